//! Allowances of the cloud's own connection tracker, as the network driver counts them.
//!
//! AWS: the `ena` driver's `conntrack_allowance_exceeded` and its companions. Asked by the ioctl that
//! `ethtool -S` uses, so that no tool need be installed; reading statistics needs no right.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use plimsoll_diagnosis::facts::{CloudAllowance, Fact, Reason};
use plimsoll_diagnosis::{Said, said};
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};
use rustix::net::{AddressFamily, SocketType, socket};

use super::text;

/// Drivers whose statistics hold allowances. Asking every driver could take long: some ask their card.
const DRIVERS: &[&str] = &["ena"];

/// Every allowance of every such interface of the calling thread's namespace.
pub(super) fn allowances() -> Fact<Vec<CloudAllowance>> {
    let mut found = Vec::new();
    let Ok(interfaces) = fs::read_dir("/sys/class/net") else {
        return Fact::missing(
            Reason::Failed,
            said!("/sys/class/net: not there", "/sys/class/net：不存在"),
        );
    };
    let mut asked = 0;
    for interface in interfaces.flatten() {
        let driver = fs::read_link(interface.path().join("device/driver")).ok();
        let driver = driver.as_ref().and_then(|path| path.file_name()?.to_str());
        let Ok(interface) = interface.file_name().into_string() else { continue };
        if !driver.is_some_and(|driver| DRIVERS.contains(&driver)) {
            continue;
        }
        asked += 1;
        match statistics(&interface) {
            Ok(statistics) => found.extend(
                statistics.into_iter().filter(|(name, _)| name.contains("allowance")).map(
                    |(name, value)| CloudAllowance { interface: interface.clone(), name, value },
                ),
            ),
            Err(error) => {
                let detail = said!(
                    "ethtool -S {interface}: {}",
                    "ethtool -S {interface}：{:#}",
                    text::plain(&error)
                );
                return Fact::missing(Reason::Failed, detail);
            }
        }
    }
    let source = match asked {
        0 => said!(
            "/sys/class/net: no interface of a driver that counts allowances",
            "/sys/class/net：没有哪个接口的驱动会统计配额"
        ),
        _ => Said::name("ethtool -S"),
    };
    Fact::known(found, source)
}

/// Bytes of a name.
const NAME: usize = 32;
/// More statistics than any driver has.
const MOST: u32 = 20_000;
const SIOCETHTOOL: Opcode = 0x8946;
const GET_STRINGS: u32 = 0x1b;
const GET_STATISTICS: u32 = 0x1d;
const GET_SET_INFO: u32 = 0x37;
/// The set of names that belongs to the statistics.
const SET_OF_STATISTICS: u32 = 1;

/// `ethtool -S`: names and values of an interface.
pub(super) fn statistics(interface: &str) -> io::Result<Vec<(String, u64)>> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // struct ethtool_sset_info: cmd, reserved, mask of sets; the kernel adds a length for each set it has.
    let mut info = Buffer::new(6);
    info.words[0] = GET_SET_INFO;
    // The mask has 64 bits, in the machine's order.
    info.words[2 + usize::from(cfg!(target_endian = "big"))] = 1 << SET_OF_STATISTICS;
    info.ask(&socket, interface)?;
    let count = if info.words[2..4] == [0, 0] { 0 } else { info.words[4] };
    if count == 0 {
        return Ok(Vec::new());
    }
    if count > MOST {
        return Err(io::Error::other(format!("{count} statistics")));
    }
    let length = count as usize;
    // struct ethtool_gstrings: cmd, set, length, names of 32 bytes.
    let mut names = Buffer::new(3 + length * NAME / 4);
    names.words[..3].copy_from_slice(&[GET_STRINGS, SET_OF_STATISTICS, count]);
    names.ask(&socket, interface)?;
    // struct ethtool_stats: cmd, length, values of 64 bits.
    let mut values = Buffer::new(2 + length * 2);
    values.words[..2].copy_from_slice(&[GET_STATISTICS, count]);
    values.ask(&socket, interface)?;
    if names.words[2] != count || values.words[1] != count {
        return Err(io::Error::other("the number of statistics changed meanwhile"));
    }
    let names: Vec<u8> =
        names.words[3..3 + length * NAME / 4].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let values = values.words[2..2 + length * 2].as_chunks::<2>().0;
    Ok(names
        .chunks_exact(NAME)
        .zip(values)
        .map(|(name, value)| {
            let name = name.split(|&b| b == 0).next().unwrap_or_default();
            let [low, high] = value.map(u32::to_ne_bytes);
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&low);
            bytes[4..].copy_from_slice(&high);
            (text::cut(&String::from_utf8_lossy(name)), u64::from_ne_bytes(bytes))
        })
        .collect())
}

/// What the kernel reads a question from and writes the answer to. Spare room at the end: a driver that
/// grew statistics since it was asked for their number must not write past it.
struct Buffer {
    words: Vec<u32>,
}

impl Buffer {
    fn new(words: usize) -> Self {
        Self { words: vec![0; words * 2 + 4096] }
    }

    fn ask(&mut self, socket: &OwnedFd, interface: &str) -> io::Result<()> {
        let mut name = [0; 16];
        if interface.len() >= name.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        name[..interface.len()].copy_from_slice(interface.as_bytes());
        let request = Request { name, data: self.words.as_mut_ptr(), padding: [0; 2] };
        // SAFETY: `Request` is a struct ifreq; its pointer leads to a buffer that outlives the call and is as
        // large as the command in its first word and the number beside it need.
        Ok(unsafe { ioctl(socket.as_fd(), request) }?)
    }
}

/// struct ifreq with a pointer in its union (24 bytes on 64 bits, 16 on 32).
#[repr(C)]
struct Request {
    name: [u8; 16],
    data: *mut u32,
    padding: [usize; 2],
}

// SAFETY: the opcode takes a struct ifreq, which `as_ptr` gives; nothing is read from what it returns.
unsafe impl Ioctl for Request {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        SIOCETHTOOL
    }

    fn as_ptr(&mut self) -> *mut core::ffi::c_void {
        (&raw mut *self).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut core::ffi::c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::live::discover::Found;
    use crate::live::enter::{self, Visit};

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        assert!(statistics("no-such-if").is_err());
        assert!(statistics("a-name-that-is-far-too-long").is_err());
    }

    #[test]
    fn a_driver_that_has_statistics_tells_each_by_name() {
        let name = format!("live-{}-cloud", std::process::id());
        let ip = |line: &str| {
            let words = line.split(' ');
            Command::new("ip").args(words).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
        };
        if !ip(&format!("netns add {name}")) {
            eprintln!("skipped: needs root and iproute2");
            return;
        }
        let made = ip(&format!("-n {name} link add one type veth peer name other"));
        let file = PathBuf::from(format!("/run/netns/{name}"));
        let inode = fs::metadata(&file).ok().map(|file| file.ino());
        let found = Found { inode, files: vec![file], ..Found::default() };
        let visits = enter::each(&[&found], |_, _| (statistics("one"), statistics("lo")));
        assert!(ip(&format!("netns delete {name}")) && made);
        let [Visit::Read((veth, loopback))] = visits.as_slice() else { panic!("not entered") };
        let veth = veth.as_ref().expect("veth has statistics");
        let peer = veth.iter().find(|(name, _)| name == "peer_ifindex");
        assert!(peer.is_some_and(|(_, index)| *index > 1), "{veth:?}");
        assert!(loopback.as_ref().map_or(true, Vec::is_empty));
    }

    #[test]
    fn a_machine_without_such_a_driver_has_no_allowances() {
        let fact = allowances();
        let list = fact.value().expect("is told");
        assert!(list.iter().all(|a| a.name.contains("allowance")));
    }
}
