//! A kernel release string, as far as conntrack cares.

use alloc::string::String;
use core::fmt;

/// Who built the kernel, where that changes conntrack's behaviour (backports).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vendor {
    /// Mainline, or a distribution that does not patch conntrack.
    Upstream,
    /// Red Hat Enterprise Linux and its rebuilds, by major release (`.el6`).
    Enterprise(u8),
}

/// `uname -r`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelVersion {
    /// 6 of 6.18.44
    pub major: u16,
    /// 18 of 6.18.44
    pub minor: u16,
    /// 44 of 6.18.44; for 2.6.x kernels the third number (18 of 2.6.18).
    pub patch: u16,
    /// Builder.
    pub vendor: Vendor,
    /// The whole string.
    pub release: String,
}

impl KernelVersion {
    /// From `uname -r` ("2.6.32-642.el6.x86_64", "6.18.44+deb13-cloud-amd64").
    /// `None` when it does not begin with two numbers.
    pub fn parse(release: &str) -> Option<Self> {
        let release = release.trim();
        let mut parts = release.splitn(3, '.');
        let major = number(parts.next()?)?;
        let minor = number(parts.next()?)?;
        let patch = parts.next().and_then(number).unwrap_or(0);
        let vendor = release
            .split(['.', '-', '_'])
            .find_map(|part| part.strip_prefix("el").and_then(number))
            .and_then(|n| u8::try_from(n).ok())
            .map_or(Vendor::Upstream, Vendor::Enterprise);
        Some(Self { major, minor, patch, vendor, release: release.into() })
    }

    /// Orders releases on one line: (6, 18) for 6.18.44, (2, 32) for 2.6.32, (2, 0) for 2.4.
    pub const fn rank(&self) -> (u16, u16) {
        if self.major == 2 {
            return if self.minor >= 6 { (2, self.patch) } else { (2, 0) };
        }
        (self.major, self.minor)
    }
}

/// The number a text starts with.
fn number(text: &str) -> Option<u16> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text[..digits].parse().ok()
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_centos_5_release_is_rank_2_18_of_enterprise_5() {
        let v = KernelVersion::parse("2.6.18-398.el5PAE").expect("parses");
        assert_eq!((v.rank(), v.vendor), ((2, 18), Vendor::Enterprise(5)));
    }

    #[test]
    fn a_rocky_9_release_is_enterprise_9() {
        let v = KernelVersion::parse("5.14.0-427.13.1.el9_4.x86_64").expect("parses");
        assert_eq!((v.rank(), v.vendor), ((5, 14), Vendor::Enterprise(9)));
    }

    #[test]
    fn a_cloud_release_is_upstream() {
        let v = KernelVersion::parse("6.18.15+deb13-cloud-amd64\n").expect("parses");
        assert_eq!((v.rank(), v.patch, v.vendor), ((6, 18), 15, Vendor::Upstream));
    }

    #[test]
    fn words_are_no_release() {
        assert_eq!(KernelVersion::parse("linux"), None);
        assert_eq!(KernelVersion::parse(""), None);
    }
}
