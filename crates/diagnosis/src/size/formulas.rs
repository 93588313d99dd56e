//! What other formulas in circulation say, and why they say something else.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::{Bytes, Era};

use super::Machine;
use crate::words;

/// kube-proxy's `maxPerCore` and `min`, as it comes.
const KUBE_PER_CORE: u64 = 32_768;
const KUBE_MIN: u64 = 131_072;
/// What tuned's profile for OpenShift sets, whatever the host.
const TUNED: u64 = 1_048_576;

/// A formula and what it gives on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Formula {
    /// Whose, and of what.
    pub rule: Rule,
    /// Limit.
    pub max: u64,
    /// Buckets, if it has an opinion.
    pub buckets: Option<u64>,
}

/// Formulas in circulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// This kernel's own: of this memory, so many entries for each bucket.
    Kernel(Bytes, u64),
    /// RAM / 16384 / (bits / 32), of so many octets.
    Memory(u64),
    /// kube-proxy's, of so many CPUs.
    KubeProxy(u32),
    /// What the module's option hashsize sets: eight times so many buckets.
    Hashsize(u64),
    /// tuned's profile for OpenShift.
    Tuned,
}

impl Rule {
    /// Whose: "this kernel's own default".
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel(..) => "this kernel's own default",
            Self::Memory(_) => "RAM / 16384 / (bits / 32)",
            Self::KubeProxy(_) => "kube-proxy",
            Self::Hashsize(_) => "module option hashsize=N",
            Self::Tuned => "tuned, profile openshift",
        }
    }

    /// The formula in words.
    pub fn words(self) -> String {
        match self {
            Self::Kernel(memory, 1) => {
                format!("buckets by memory ({}), limit = buckets", words::bytes(memory))
            }
            Self::Kernel(memory, per) => {
                format!("buckets by memory ({}), limit = {per} × buckets", words::bytes(memory))
            }
            Self::Memory(octets) => {
                format!("{} / 16,384 / 2; buckets = limit / 8", words::count(octets))
            }
            Self::KubeProxy(cpus) => format!(
                "max(32,768 × {}, 131,072); buckets = limit / 4",
                words::counted(cpus.into(), "CPU", "CPUs")
            ),
            Self::Hashsize(buckets) => {
                format!("limit = 8 × N at loading; N = {} as now", words::count(buckets))
            }
            Self::Tuned => "the same on every host".to_string(),
        }
    }

    /// Why it differs.
    pub const fn why(self) -> &'static str {
        match self {
            Self::Kernel(..) => "knows the memory in three steps, and no load",
            Self::Memory(_) => {
                "from the days of ip_conntrack: an entry for every 32 KiB, whatever the load; its chains would hold 16 \
                 entries"
            }
            Self::KubeProxy(_) => "counts CPUs: neither memory nor load nor namespaces",
            Self::Hashsize(_) => "the kernel's ratio of 2.6 stays wherever the option is given",
            Self::Tuned => "one number for all hosts",
        }
    }
}

/// All that can be computed here.
pub(super) fn others(machine: &Machine) -> Vec<Formula> {
    let mut all = Vec::new();
    let mut say = |rule, max, buckets| all.push(Formula { rule, max, buckets: Some(buckets) });
    let profile = &machine.profile;
    if let Some(memory) = machine.memory {
        let (buckets, max) = profile.defaults(memory);
        say(Rule::Kernel(memory, profile.max_per_bucket), max, buckets);
        let max = memory.0 / 16_384 / 2;
        say(Rule::Memory(memory.0), max, max / 8);
    }
    if let Some(cpus) = machine.cpus {
        let max = (KUBE_PER_CORE * u64::from(cpus)).max(KUBE_MIN);
        say(Rule::KubeProxy(cpus), max, max / 4);
    }
    if let Some(buckets) = machine.buckets_now
        && profile.max_per_bucket != 8
        && profile.era != Era::IpConntrack
    {
        say(Rule::Hashsize(buckets), buckets.saturating_mul(8), buckets);
    }
    say(Rule::Tuned, TUNED, TUNED);
    all
}
