//! Which system calls concern files, and which file: from the registers and the memory of a stopped thread (x86-64).

use nix::libc::{self, user_regs_struct};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// A call that names files.
pub struct Known {
    pub name: &'static str,
    pub paths: Vec<PathBuf>,
    pub fd: Option<i32>,
    /// It changes what is on the disk, or makes it last.
    pub changes: bool,
}

/// What a thread is about to do; none when it concerns no file.
pub fn decode(thread: Pid, registers: &user_regs_struct) -> Option<Known> {
    let r = registers;
    let arguments = [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9];
    let here = u64::from(libc::AT_FDCWD as u32);
    let on = |name, changes| {
        let fd = arguments[0] as i32;
        Some(Known { name, paths: link(thread, &format!("fd/{fd}")).into_iter().collect(), fd: Some(fd), changes })
    };
    // Pairs of a folder's descriptor and the address of a path.
    let named = |name, changes, places: &[(u64, u64)]| {
        let paths = places.iter().filter_map(|(folder, path)| resolve(thread, *folder as i32, *path)).collect();
        Some(Known { name, paths, fd: None, changes })
    };
    let [a, b, c, d, e, _] = arguments;
    let creates = |flags: u64| flags as i32 & (libc::O_CREAT | libc::O_TRUNC) != 0;
    match r.orig_rax as i64 {
        libc::SYS_write => on("write", true),
        libc::SYS_pwrite64 => on("pwrite64", true),
        libc::SYS_writev => on("writev", true),
        libc::SYS_pwritev | libc::SYS_pwritev2 => on("pwritev", true),
        libc::SYS_sendfile => on("sendfile", true),
        libc::SYS_fsync => on("fsync", true),
        libc::SYS_fdatasync => on("fdatasync", true),
        libc::SYS_sync_file_range => on("sync_file_range", true),
        libc::SYS_syncfs => on("syncfs", true),
        libc::SYS_ftruncate => on("ftruncate", true),
        libc::SYS_fallocate => on("fallocate", true),
        libc::SYS_fchmod => on("fchmod", true),
        libc::SYS_fchown => on("fchown", true),
        libc::SYS_fsetxattr => on("fsetxattr", true),
        libc::SYS_copy_file_range => {
            let paths = link(thread, &format!("fd/{}", c as i32)).into_iter().collect();
            Some(Known { name: "copy_file_range", paths, fd: Some(c as i32), changes: true })
        }
        libc::SYS_read => on("read", false),
        libc::SYS_pread64 => on("pread64", false),
        libc::SYS_fadvise64 => on(if d == libc::POSIX_FADV_DONTNEED as u64 { "dontneed" } else { "fadvise64" }, false),
        libc::SYS_close => on("close", false),
        libc::SYS_open => named("open", creates(b), &[(here, a)]),
        libc::SYS_creat => named("creat", true, &[(here, a)]),
        libc::SYS_openat => named("openat", creates(c), &[(a, b)]),
        libc::SYS_openat2 => named("openat2", creates(word(thread, c)?), &[(a, b)]),
        libc::SYS_rename => named("rename", true, &[(here, a), (here, b)]),
        libc::SYS_renameat => named("renameat", true, &[(a, b), (c, d)]),
        libc::SYS_renameat2 => named("renameat2", true, &[(a, b), (c, d)]),
        libc::SYS_unlink => named("unlink", true, &[(here, a)]),
        libc::SYS_unlinkat => named("unlinkat", true, &[(a, b)]),
        libc::SYS_rmdir => named("rmdir", true, &[(here, a)]),
        libc::SYS_mkdir => named("mkdir", true, &[(here, a)]),
        libc::SYS_mkdirat => named("mkdirat", true, &[(a, b)]),
        libc::SYS_mknod => named("mknod", true, &[(here, a)]),
        libc::SYS_mknodat => named("mknodat", true, &[(a, b)]),
        libc::SYS_link => named("link", true, &[(here, a), (here, b)]),
        libc::SYS_linkat => named("linkat", true, &[(a, b), (c, d)]),
        libc::SYS_symlink => named("symlink", true, &[(here, b)]),
        libc::SYS_symlinkat => named("symlinkat", true, &[(b, c)]),
        libc::SYS_truncate => named("truncate", true, &[(here, a)]),
        libc::SYS_chmod => named("chmod", true, &[(here, a)]),
        libc::SYS_fchmodat => named("fchmodat", true, &[(a, b)]),
        libc::SYS_chown => named("chown", true, &[(here, a)]),
        libc::SYS_lchown => named("lchown", true, &[(here, a)]),
        libc::SYS_fchownat => named("fchownat", true, &[(a, b)]),
        libc::SYS_setxattr => named("setxattr", true, &[(here, a)]),
        libc::SYS_lsetxattr => named("lsetxattr", true, &[(here, a)]),
        libc::SYS_utimensat if b == 0 => on("utimensat", true),
        libc::SYS_utimensat => named("utimensat", true, &[(a, b)]),
        // Shared mappings and rings write without a call that could be counted; the program has neither on its files.
        libc::SYS_io_uring_enter => panic!("io_uring cannot be followed"),
        libc::SYS_mmap if d as i32 & libc::MAP_SHARED != 0 && c as i32 & libc::PROT_WRITE != 0 && e as i32 >= 0 => {
            let paths = link(thread, &format!("fd/{}", e as i32)).into_iter().collect();
            Some(Known { name: "mmap", paths, fd: Some(e as i32), changes: true })
        }
        _ => None,
    }
}

/// The memory of a stopped thread.
pub fn memory(thread: Pid) -> File {
    OpenOptions::new().read(true).write(true).open(format!("/proc/{thread}/mem")).unwrap()
}

fn word(thread: Pid, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    memory(thread).read_exact_at(&mut bytes, address).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

fn link(thread: Pid, name: &str) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{thread}/{name}")).ok()
}

/// The path at an address, relative to a folder's descriptor.
fn resolve(thread: Pid, folder: i32, address: u64) -> Option<PathBuf> {
    let path = PathBuf::from(OsString::from_vec(text(thread, address)?));
    if path.is_absolute() {
        return Some(path);
    }
    let folder = if folder == libc::AT_FDCWD { link(thread, "cwd") } else { link(thread, &format!("fd/{folder}")) };
    Some(folder?.join(path))
}

/// The text at an address, up to its NUL. A read stops at a page that is not there, so little is read at a time.
fn text(thread: Pid, address: u64) -> Option<Vec<u8>> {
    let memory = File::open(format!("/proc/{thread}/mem")).ok()?;
    let (mut text, mut chunk) = (Vec::new(), [0; 256]);
    while text.len() < libc::PATH_MAX as usize {
        let read = memory.read_at(&mut chunk, address + text.len() as u64).ok()?;
        match chunk[..read].iter().position(|byte| *byte == 0) {
            Some(end) => {
                text.extend(&chunk[..end]);
                return Some(text);
            }
            None if read == 0 => return None,
            None => text.extend(&chunk[..read]),
        }
    }
    None
}
