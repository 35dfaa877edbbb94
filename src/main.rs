//! The `backup` program: everything is in `backup::cli`.

fn main() -> std::process::ExitCode {
    backup::cli::run()
}
