//! What other formulas in circulation say, and why they say something else.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Era;

use super::Machine;
use crate::words;

/// kube-proxy's `maxPerCore` and `min`, as it comes.
const KUBE_PER_CORE: u64 = 32_768;
const KUBE_MIN: u64 = 131_072;
/// What tuned's profile for OpenShift sets, whatever the host.
const TUNED: u64 = 1_048_576;

/// A formula and what it gives on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formula {
    /// Whose: "this kernel's own default".
    pub name: String,
    /// The formula in words.
    pub rule: String,
    /// Limit.
    pub max: u64,
    /// Buckets, if it has an opinion.
    pub buckets: Option<u64>,
    /// Why it differs.
    pub why: String,
}

/// All that can be computed here.
pub(super) fn others(machine: &Machine) -> Vec<Formula> {
    let mut all = Vec::new();
    let profile = &machine.profile;
    if let Some(memory) = machine.memory {
        let (buckets, max) = profile.defaults(memory);
        let per = profile.max_per_bucket;
        all.push(Formula {
            name: "this kernel's own default".to_string(),
            rule: format!(
                "buckets by memory ({}), limit = {}",
                words::bytes(memory),
                if per == 1 { "buckets".to_string() } else { format!("{per} × buckets") }
            ),
            max,
            buckets: Some(buckets),
            why: "knows the memory in three steps, and no load".to_string(),
        });
        let bits = 64;
        let max = memory.0 / 16_384 / (bits / 32);
        all.push(Formula {
            name: "RAM / 16384 / (bits / 32)".to_string(),
            rule: format!("{} / 16,384 / {}; buckets = limit / 8", words::count(memory.0), bits / 32),
            max,
            buckets: Some(max / 8),
            why: "from the days of ip_conntrack: an entry for every 32 KiB, whatever the load; its chains \
                  would hold 16 entries"
                .to_string(),
        });
    }
    if let Some(cpus) = machine.cpus {
        let max = (KUBE_PER_CORE * u64::from(cpus)).max(KUBE_MIN);
        all.push(Formula {
            name: "kube-proxy".to_string(),
            rule: format!(
                "max(32,768 × {}, 131,072); buckets = limit / 4",
                words::counted(u64::from(cpus), "CPU", "CPUs")
            ),
            max,
            buckets: Some(max / 4),
            why: "counts CPUs: neither memory nor load nor namespaces".to_string(),
        });
    }
    if let Some(buckets) = machine.buckets_now
        && profile.max_per_bucket != 8
        && profile.era != Era::IpConntrack
    {
        all.push(Formula {
            name: "module option hashsize=N".to_string(),
            rule: format!("limit = 8 × N at loading; N = {} as now", words::count(buckets)),
            max: buckets.saturating_mul(8),
            buckets: Some(buckets),
            why: "the kernel's ratio of 2.6 stays wherever the option is given".to_string(),
        });
    }
    all.push(Formula {
        name: "tuned, profile openshift".to_string(),
        rule: "the same on every host".to_string(),
        max: TUNED,
        buckets: Some(TUNED),
        why: "one number for all hosts".to_string(),
    });
    all
}
