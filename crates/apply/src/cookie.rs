//! The number of a network namespace that no other of this boot is ever given. Its inode is given anew at once.

use std::io;

use nix::libc;
use nix::sys::socket::sockopt::GetStruct;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, getsockopt, socket};

/// `SO_NETNS_COOKIE` (Linux 5.14).
#[derive(Clone, Copy)]
struct NetnsCookie;

nix::getsockopt_impl!(NetnsCookie, libc::SOL_SOCKET, libc::SO_NETNS_COOKIE, u64, GetStruct<u64>);

/// That of the namespace the calling thread is in. `Ok(None)`: the kernel knows none.
pub(crate) fn here() -> io::Result<Option<u64>> {
    let any = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    match getsockopt(&any, NetnsCookie) {
        Ok(cookie) => Ok(Some(cookie)),
        Err(nix::Error::ENOPROTOOPT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
