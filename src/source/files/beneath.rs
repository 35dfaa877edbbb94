//! Opening files below a folder without ever leaving it: no symbolic link is followed on the way, whatever is swapped
//! under our feet. `openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)` of Linux 5.6, else one component at a time.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// Opens `path` (relative, `/` between components) below `folder`. The last component is not followed either.
pub fn open(folder: impl AsFd, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(folder.as_fd(), path, flags, mode, resolve) {
        // An old kernel, or a sandbox that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => by_component(folder, path, flags, mode),
        opened => opened,
    }
}

fn by_component(folder: impl AsFd, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let mut at = folder.as_fd().try_clone_to_owned().map_err(|_| Errno::MFILE)?;
    let mut parts = path.split(|b| *b == b'/').peekable();
    while let Some(part) = parts.next() {
        if part.is_empty() || part == b".." {
            return Err(Errno::XDEV);
        }
        if parts.peek().is_none() {
            return openat(&at, part, flags, mode);
        }
        at = openat(&at, part, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    }
    Err(Errno::INVAL)
}
