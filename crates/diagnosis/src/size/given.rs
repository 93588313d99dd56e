//! Demand from rates and lifetimes that a person gives.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{ClassDemand, Demand, How, Machine, Origin, Peak};
use crate::facts::Namespace;
use crate::{Said, words};

/// New flows per second and how long each lasts.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenClass {
    /// `tcp`, `udp`, `icmp`, or any other word. For these three the lifetime is the flow's: the entry stays on
    /// for its timeout. For any other word, the empty one included, it is the entry's.
    pub name: String,
    /// New ones per second.
    pub rate: f64,
    /// Seconds from the first packet to the last.
    pub lifetime: Option<f64>,
}

/// Seconds from which on a UDP flow with answers is a stream (since Linux 5.0; before, with the first answer).
const STREAM_AFTER: f64 = 2.0;

/// Demand of these classes with the timeouts of a namespace; `peak` times as much at the peak.
pub fn given(
    classes: &[GivenClass],
    peak: Option<f64>,
    namespace: Option<&Namespace>,
    machine: &Machine,
) -> Result<Demand, Said> {
    let mut rows = Vec::new();
    let mut all = 0.0;
    for class in classes {
        let lasts = class.lifetime.unwrap_or(0.0);
        let after = after_the_last_packet(&class.name, lasts, namespace, machine);
        if class.lifetime.is_none() && after.is_none() {
            return Err(no_lifetime(&class.name));
        }
        let (stays, how) = match &after {
            Some((name, seconds)) => (lasts + *seconds as f64, How::Lasts(lasts, name, *seconds)),
            None => (lasts, How::Given),
        };
        let entries = class.rate * stays;
        all += class.rate;
        rows.push(ClassDemand {
            name: if class.name.is_empty() { "all".to_string() } else { class.name.clone() },
            rate: Some(class.rate),
            stays: Some(stays),
            entries: words::rounded(entries),
            how,
        });
    }
    rows.extend(super::demand::uncollected(all, machine));
    let mean = crate::groups::sum(rows.iter().map(|r| r.entries));
    let peak = peak.map_or(Peak::Assumed, Peak::Given);
    Ok(Demand { from: Origin::Given, classes: rows, mean, peak, remarks: Vec::new() })
}

/// Neither a lifetime nor a protocol whose timeout could stand for it.
fn no_lifetime(name: &str) -> Said {
    match name {
        "" => Said::of(
            "--rate without a class needs --lifetime: how long an entry stays",
            "不分类的 --rate 需要 --lifetime：条目留多久",
        ),
        name => said!(
            "--rate {name}=… needs --lifetime {name}=…: only tcp, udp and icmp have a timeout that is known here",
            "--rate {name}=… 需要 --lifetime {name}=…：只有 tcp、udp 和 icmp 有已知的超时"
        ),
    }
}

pub(super) fn seconds_of(seconds: f64) -> String {
    if seconds < 10.0 && seconds > 0.0 {
        format!("{seconds} s")
    } else {
        words::span(seconds).to_string()
    }
}

/// The timeout that runs after a flow's last packet: its name and seconds.
fn after_the_last_packet(
    class: &str,
    lasts: f64,
    namespace: Option<&Namespace>,
    machine: &Machine,
) -> Option<(&'static str, u64)> {
    let name = match class {
        "tcp" => "nf_conntrack_tcp_timeout_time_wait",
        "udp" if lasts > STREAM_AFTER => "nf_conntrack_udp_timeout_stream",
        "udp" => "nf_conntrack_udp_timeout",
        "icmp" => "nf_conntrack_icmp_timeout",
        _ => return None,
    };
    let own = || match name {
        "nf_conntrack_udp_timeout_stream" => Some(machine.profile.udp_stream.0),
        _ => plimsoll_ct::Setting::find(name).and_then(|s| s.default),
    };
    let seconds = namespace.and_then(|n| n.setting(name)).or_else(own)?;
    Some((name.trim_start_matches("nf_conntrack_"), seconds))
}
