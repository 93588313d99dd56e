//! The settings of one namespace, by their sysctl names, old and new.
//!
//! Source: docs/KERNELS.md, section 2. Timeouts: whole seconds, except SCTP's shutdown timeouts on old
//! kernels.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use plimsoll_ct::{Bytes, Profile, Setting};

use crate::behaviour::{BEHAVIOURS, Behaviour};
use crate::policy::TimeoutPolicy;
use crate::tcp::{TcpSettings, Timeouts};

/// Settings of the namespace that is modelled, and the two globals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `nf_conntrack_max`; 0: no limit on kernels that know none.
    pub max: u64,
    /// `nf_conntrack_buckets`
    pub buckets: u64,
    /// Ticks per second that the kernel was built with: 100 to 1200 in real ones. A model takes 1 to 10,000, and the nearest of these for others.
    pub hz: u32,
    /// `nf_conntrack_checksum`: verify checksums. A capture taken on the sending host holds unfinished
    /// ones, so the model's default is off, unlike the kernel's.
    pub checksum: bool,
    /// `nf_conntrack_helper`: helpers are assigned by port where no rule does it, as if they were loaded.
    pub helpers: bool,
    /// `nf_conntrack_expect_max`
    pub expect_max: u64,
    /// `nf_conntrack_acct`
    pub accounting: bool,
    /// TCP.
    pub tcp: TcpSettings,
    /// TCP timeouts.
    pub tcp_timeouts: Timeouts,
    /// `udp_timeout`, `udp_timeout_stream`, in seconds, as all timeouts below but SCTP's.
    pub udp: [u32; 2],
    /// The same for UDP-Lite, where it has its own.
    pub udp_lite: [u32; 2],
    /// `icmp_timeout`
    pub icmp: u32,
    /// `icmpv6_timeout`
    pub icmpv6: u32,
    /// `gre_timeout`, `gre_timeout_stream`
    pub gre: [u32; 2],
    /// `generic_timeout`
    pub generic: u32,
    /// SCTP timeouts by state number, in hundredths of a second.
    pub sctp: [u32; 10],
    /// DCCP timeouts by state number, in seconds.
    pub dccp: [u32; 8],
    /// Seconds that an incomplete IPv4 datagram is kept (`net.ipv4.ipfrag_time`).
    pub fragments_v4: u32,
    /// `frag6_timeout`
    pub fragments_v6: u32,
    /// Bytes that incomplete datagrams of one family may hold (`frag6_high_thresh`, `ipfrag_high_thresh`).
    pub fragment_bytes: usize,
    /// Timeout policies, by the numbers that [`Treatment::policy`](crate::Treatment::policy) names.
    pub policies: Vec<TimeoutPolicy>,
    /// `log_invalid`: the protocol whose packets are complained about in the log, 255 for all, 0 for none.
    pub log_invalid: u8,
    /// How this generation words these lines is known.
    pub complaints: bool,
    /// `net.core.message_cost`: seconds of the log's rate limiter.
    pub message_cost: u32,
    /// `net.core.message_burst`: lines in that time.
    pub message_burst: u32,
}

/// Why a setting could not be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingError {
    /// No such setting in any generation.
    Unknown(String),
    /// It exists, and does not change what the model does.
    NotModelled(&'static str),
    /// What it does in this generation was not looked at yet.
    NotCompared(&'static str),
    /// The kernel refuses the value.
    Refused {
        /// Setting.
        name: &'static str,
        /// Value.
        value: u64,
    },
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(key) => write!(f, "{key}: no such setting of conntrack"),
            Self::NotModelled(name) => write!(f, "{name}: has no effect in the model"),
            Self::NotCompared(name) => {
                write!(
                    f,
                    "{name}: what this kernel writes was not compared; it was with the profiles"
                )?;
                let compared = BEHAVIOURS.iter().filter(|b| b.wording.compared);
                compared.enumerate().try_for_each(|(place, behaviour)| {
                    let comma = if place == 0 { "" } else { "," };
                    write!(f, "{comma} {}", behaviour.name)
                })
            }
            Self::Refused { name, value } => write!(f, "{name}: the kernel refuses {value}"),
        }
    }
}

impl core::error::Error for SettingError {}

/// `frag6_low_thresh`, as kernels have it.
const FRAGMENTS_LOW: usize = 3 << 20;

impl Settings {
    /// Entries that a table under these settings is laid out for: the limit; 0, which is as many as a kernel of today would
    /// allow, where there is none or one that is so far above the buckets that nobody means it.
    pub const fn laid_out_for(&self) -> u64 {
        /// Kernels gave themselves eight times the buckets at most.
        const MOST: u64 = 16;
        if self.max > self.buckets.saturating_mul(MOST) { 0 } else { self.max }
    }

    /// The same for a table under any of several settings.
    pub fn laid_out_for_all<'a>(all: impl IntoIterator<Item = &'a Self>) -> u64 {
        let each = all.into_iter().map(Self::laid_out_for);
        // 0 is more than any other.
        each.max_by_key(|most| most.wrapping_sub(1)).unwrap_or(0)
    }

    /// What a kernel of this profile gives itself on a host with `memory` bytes of RAM.
    pub fn of(profile: &Profile, memory: Bytes) -> Self {
        let behaviour = Behaviour::of(profile);
        let (buckets, max) = profile.defaults(memory);
        let stream = profile.udp_stream.get() as u32;
        Self {
            max,
            buckets,
            hz: if profile.enterprise.is_some() { 1000 } else { 250 },
            checksum: false,
            helpers: behaviour.helpers,
            expect_max: (buckets / 256).max(1) * 4,
            accounting: false,
            tcp: TcpSettings { behaviour: behaviour.tcp, ..TcpSettings::default() },
            tcp_timeouts: Timeouts::default(),
            udp: [30, stream],
            udp_lite: [30, stream],
            icmp: 30,
            icmpv6: 30,
            gre: [30, 180],
            generic: 600,
            sctp: behaviour.sctp.timeouts,
            dccp: [0, 240, 480, 480, 43_200, 64, 64, 240],
            fragments_v4: 30,
            fragments_v6: 60,
            fragment_bytes: 4 << 20,
            policies: Vec::new(),
            log_invalid: 0,
            complaints: behaviour.wording.compared,
            message_cost: 5,
            message_burst: 10,
        }
    }

    /// Sets one by its sysctl name, in any notation and of any generation.
    pub fn set(&mut self, key: &str, value: u64) -> Result<(), SettingError> {
        let setting = Setting::find(key).ok_or_else(|| SettingError::Unknown(key.into()))?;
        let refused = SettingError::Refused { name: setting.name, value };
        let name = setting.name.strip_prefix("nf_conntrack_").unwrap_or(setting.name);
        if name == "frag6_high_thresh" {
            // Not below the low one, which stays the kernel's own.
            let bytes = usize::try_from(value).ok().filter(|bytes| *bytes >= FRAGMENTS_LOW);
            self.fragment_bytes = bytes.ok_or(refused)?;
            return Ok(());
        }
        let number = u32::try_from(value).map_err(|_| refused.clone())?;
        let switch = |target: &mut bool| match value {
            0 | 1 => {
                *target = value == 1;
                Ok(())
            }
            _ => Err(refused.clone()),
        };
        match name {
            "max" if value <= i32::MAX as u64 => self.max = value,
            "buckets" if (1..=1 << 31).contains(&value) => {
                self.buckets = value.next_multiple_of(512);
            }
            "expect_max" if (1..=i32::MAX as u64).contains(&value) => self.expect_max = value,
            "max" | "buckets" | "expect_max" => return Err(refused),
            "checksum" => switch(&mut self.checksum)?,
            "acct" => switch(&mut self.accounting)?,
            "helper" => switch(&mut self.helpers)?,
            "tcp_loose" if self.tcp.behaviour.loose_is_a_switch => switch(&mut self.tcp.loose)?,
            "tcp_loose" => self.tcp.loose = value != 0,
            "tcp_be_liberal" => switch(&mut self.tcp.be_liberal)?,
            "tcp_ignore_invalid_rst" => switch(&mut self.tcp.ignore_invalid_rst)?,
            "tcp_max_retrans" => {
                self.tcp.max_retrans = u8::try_from(value).map_err(|_| refused)?;
            }
            "log_invalid" if self.complaints || value == 0 => {
                self.log_invalid = u8::try_from(value).map_err(|_| refused)?;
            }
            "log_invalid" => return Err(SettingError::NotCompared(setting.name)),
            // What is not as many ticks in a signed number.
            _ if number > i32::MAX as u32 / self.hz.max(1) && self.timeout_mut(name).is_some() => {
                return Err(refused);
            }
            _ => match self.timeout_mut(name) {
                Some((place, unit)) => *place = number.checked_mul(unit).ok_or(refused)?,
                None => return Err(SettingError::NotModelled(setting.name)),
            },
        }
        Ok(())
    }

    /// The value of one by its sysctl name; `None` where it is unknown or not modelled.
    pub fn get(&self, key: &str) -> Option<u64> {
        let setting = Setting::find(key)?;
        let name = setting.name.strip_prefix("nf_conntrack_").unwrap_or(setting.name);
        Some(match name {
            "max" => self.max,
            "buckets" => self.buckets,
            "checksum" => self.checksum.into(),
            "acct" => self.accounting.into(),
            "helper" => self.helpers.into(),
            "expect_max" => self.expect_max,
            "tcp_loose" => self.tcp.loose.into(),
            "tcp_be_liberal" => self.tcp.be_liberal.into(),
            "tcp_ignore_invalid_rst" => self.tcp.ignore_invalid_rst.into(),
            "tcp_max_retrans" => self.tcp.max_retrans.into(),
            "frag6_high_thresh" => self.fragment_bytes as u64,
            "log_invalid" => self.log_invalid.into(),
            timeout => {
                let mut copy = self.clone();
                let (value, unit) = copy.timeout_mut(timeout)?;
                u64::from(*value / unit)
            }
        })
    }

    /// A timeout by its bare name, and how many of its units make a second.
    pub(crate) fn timeout_mut(&mut self, name: &str) -> Option<(&mut u32, u32)> {
        let tcp = &mut self.tcp_timeouts;
        let sctp = &mut self.sctp;
        let dccp = &mut self.dccp;
        Some(match name {
            "tcp_timeout_syn_sent" => (&mut tcp.states[1], 1),
            "tcp_timeout_syn_recv" => (&mut tcp.states[2], 1),
            "tcp_timeout_established" => (&mut tcp.states[3], 1),
            "tcp_timeout_fin_wait" => (&mut tcp.states[4], 1),
            "tcp_timeout_close_wait" => (&mut tcp.states[5], 1),
            "tcp_timeout_last_ack" => (&mut tcp.states[6], 1),
            "tcp_timeout_time_wait" => (&mut tcp.states[7], 1),
            "tcp_timeout_close" => (&mut tcp.states[8], 1),
            "tcp_timeout_syn_sent2" => (&mut tcp.states[9], 1),
            "tcp_timeout_max_retrans" => (&mut tcp.max_retrans, 1),
            "tcp_timeout_unacknowledged" => (&mut tcp.unacknowledged, 1),
            "udp_timeout" => (&mut self.udp[0], 1),
            "udp_timeout_stream" => (&mut self.udp[1], 1),
            "udplite_timeout" => (&mut self.udp_lite[0], 1),
            "udplite_timeout_stream" => (&mut self.udp_lite[1], 1),
            "icmp_timeout" => (&mut self.icmp, 1),
            "icmpv6_timeout" => (&mut self.icmpv6, 1),
            "gre_timeout" => (&mut self.gre[0], 1),
            "gre_timeout_stream" => (&mut self.gre[1], 1),
            "generic_timeout" => (&mut self.generic, 1),
            "frag6_timeout" => (&mut self.fragments_v6, 1),
            "sctp_timeout_closed" => (&mut sctp[1], 100),
            "sctp_timeout_cookie_wait" => (&mut sctp[2], 100),
            "sctp_timeout_cookie_echoed" => (&mut sctp[3], 100),
            "sctp_timeout_established" => (&mut sctp[4], 100),
            "sctp_timeout_shutdown_sent" => (&mut sctp[5], 100),
            "sctp_timeout_shutdown_recd" => (&mut sctp[6], 100),
            "sctp_timeout_shutdown_ack_sent" => (&mut sctp[7], 100),
            "sctp_timeout_heartbeat_sent" => (&mut sctp[8], 100),
            "sctp_timeout_heartbeat_acked" => (&mut sctp[9], 100),
            "dccp_timeout_request" => (&mut dccp[1], 1),
            "dccp_timeout_respond" => (&mut dccp[2], 1),
            "dccp_timeout_partopen" => (&mut dccp[3], 1),
            "dccp_timeout_open" => (&mut dccp[4], 1),
            "dccp_timeout_closereq" => (&mut dccp[5], 1),
            "dccp_timeout_closing" => (&mut dccp[6], 1),
            "dccp_timeout_timewait" => (&mut dccp[7], 1),
            _ => return None,
        })
    }

    /// The longest of the timeouts, in seconds.
    pub(crate) fn longest(&self) -> u32 {
        let Self { tcp_timeouts, udp, udp_lite, gre, sctp, dccp, .. } = self;
        let tcp = [tcp_timeouts.max_retrans, tcp_timeouts.unacknowledged];
        let single = [self.icmp, self.icmpv6, self.generic];
        let groups: [&[u32]; 7] = [&tcp_timeouts.states, &tcp, udp, udp_lite, gre, dccp, &single];
        let hundredths = sctp.iter().max().map_or(0, |longest| longest / 100);
        groups.into_iter().flatten().fold(hundredths, |longest, &own| longest.max(own))
    }

    /// Seconds as ticks.
    pub const fn ticks(&self, seconds: u32) -> u32 {
        let ticks = seconds as u64 * self.hz as u64;
        if ticks > i32::MAX as u64 { i32::MAX as u32 } else { ticks as u32 }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn settings() -> Settings {
        Settings::of(Profile::named("6.18").unwrap(), Bytes(8 << 30))
    }

    #[test]
    fn a_setting_is_set_by_its_new_and_its_old_name() {
        let mut s = settings();
        s.set("net.netfilter.nf_conntrack_tcp_timeout_established", 7200).unwrap();
        assert_eq!(s.tcp_timeouts.states[3], 7200);
        s.set("net.ipv4.netfilter.ip_conntrack_tcp_timeout_established", 600).unwrap();
        assert_eq!(s.tcp_timeouts.states[3], 600);
        s.set("net.ipv4.ip_conntrack_max", 1000).unwrap();
        assert_eq!(s.max, 1000);
    }

    #[test]
    fn what_the_kernel_refuses_is_refused_and_what_is_unknown_is_named() {
        let mut s = settings();
        assert!(matches!(s.set("nf_conntrack_max", 1 << 31), Err(SettingError::Refused { .. })));
        assert!(matches!(s.set("nf_conntrack_acct", 2), Err(SettingError::Refused { .. })));
        // 2^31 ticks.
        assert_eq!(s.set("nf_conntrack_udp_timeout", 8_589_934), Ok(()));
        assert!(matches!(
            s.set("nf_conntrack_udp_timeout", 8_589_935),
            Err(SettingError::Refused { .. })
        ));
        // The low threshold is 3 MiB.
        assert_eq!(s.set("nf_conntrack_frag6_high_thresh", 1 << 40), Ok(()));
        assert!(matches!(
            s.set("nf_conntrack_frag6_high_thresh", (3 << 20) - 1),
            Err(SettingError::Refused { .. })
        ));
        assert!(matches!(s.set("tcp_syncookies", 1), Err(SettingError::Unknown(_))));
        assert!(matches!(
            s.set("nf_conntrack_log_invalid", 256),
            Err(SettingError::Refused { .. })
        ));
        assert!(matches!(s.set("nf_conntrack_tcp_loose", 2), Err(SettingError::Refused { .. })));
        let mut s = Settings::of(Profile::named("4.14").unwrap(), Bytes(8 << 30));
        assert_eq!(s.set("nf_conntrack_tcp_loose", 3), Ok(()));
        let mut s = Settings::of(Profile::named("5.4").unwrap(), Bytes(8 << 30));
        assert!(matches!(s.set("nf_conntrack_tcp_loose", 3), Err(SettingError::Refused { .. })));
        assert!(matches!(
            s.set("nf_conntrack_log_invalid", 255),
            Err(SettingError::NotCompared("nf_conntrack_log_invalid"))
        ));
    }

    #[test]
    fn every_timeout_of_the_kernels_listing_is_modelled() {
        let mut s = settings();
        for setting in plimsoll_ct::SETTINGS {
            let timeout = setting.name.contains("_timeout");
            if timeout && !setting.name.contains("retry") {
                assert_eq!(s.set(setting.name, 17), Ok(()), "{}", setting.name);
                assert_eq!(s.get(setting.name), Some(17), "{}", setting.name);
            }
        }
    }
}
