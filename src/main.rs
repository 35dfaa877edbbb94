//! The `backup` program: everything is in `backup::cli`.

fn main() -> std::process::ExitCode {
    keep_memory();
    backup::cli::run()
}

/// Has glibc keep what is freed, in one heap. Blocks of 1 MiB go from thread to thread, taken and given back thousands of
/// times: by default each goes back to the kernel, to be asked for again and zeroed page by page, a tenth of the CPU of
/// `create`; and a heap a thread keeps what the others ask for.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "no crate sets these without")]
fn keep_memory() {
    const MIB: i32 = 1 << 20;
    let settings = [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, 32 * MIB), (libc::M_TRIM_THRESHOLD, 256 * MIB)];
    for (name, value) in settings {
        // SAFETY: it takes two numbers and looks at no memory of ours; there is no other thread yet. One that it does not
        // take, it leaves as it was.
        unsafe { libc::mallopt(name, value) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_memory() {}
