//! What the kernel gives the settings by itself when the core of conntrack starts.
//!
//! Source: KERNELS.md, defaults of limit and buckets; the module's parameters.

use alloc::vec;
use alloc::vec::Vec;

use plimsoll_ct::{Era, Setting};
use plimsoll_wire::modprobe::{Directive, ModuleDirective};

use super::BootFacts;
use super::keys::place;
use crate::{Said, words};

/// Entries of the hash table for each bucket of the table of expectations.
const EXPECT_SHARE: u64 = 256;
/// Expectations for each bucket of that table.
const EXPECT_PER_BUCKET: u64 = 4;
/// First release with the hook switch as a parameter, and the span of the helper's.
const HOOKS_SINCE: (u16, u16) = (5, 1);
const HELPER: ((u16, u16), (u16, u16)) = ((3, 5), (5, 19));
/// First release that passes over a parameter it does not know; before, the module is refused.
pub(super) const FORGIVES_SINCE: (u16, u16) = (3, 11);

/// A value of the kernel's own, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) value: u64,
    /// It follows the memory as the kernel sees it, which is not quite what is read.
    pub(super) about: bool,
    pub(super) why: Said,
    /// The option that made it: file and line.
    pub(super) option: Option<Said>,
}

/// An option as it reaches the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModuleOption<'a> {
    pub(super) name: &'a str,
    pub(super) value: Option<&'a str>,
    pub(super) directive: &'a ModuleDirective,
}

/// Options of the core module, in the order in which they are handed over. To what is built in only the kernel's
/// command line speaks.
pub(super) fn options<'a>(
    directives: &'a [ModuleDirective],
    core: &str,
    built_in: bool,
) -> Vec<ModuleOption<'a>> {
    directives
        .iter()
        .filter(|d| d.module == core && (!built_in || d.file == "/proc/cmdline"))
        .filter_map(|directive| match &directive.directive {
            Directive::Option { name, value } => {
                Some(ModuleOption { name, value: value.as_deref(), directive })
            }
            Directive::Blacklist
            | Directive::Install { .. }
            | Directive::Alias { .. }
            | Directive::Softdep { .. } => None,
        })
        .collect()
}

/// Parameters that the core module of this kernel has.
pub(super) fn parameters(facts: &BootFacts) -> Vec<&'static str> {
    if facts.profile.era == Era::IpConntrack {
        return vec!["hashsize"];
    }
    let rank = facts.rank();
    let mut all = vec!["hashsize", "expect_hashsize", "acct"];
    if rank >= (3, 3) {
        all.push("tstamp");
    }
    if rank >= HOOKS_SINCE {
        all.push("enable_hooks");
    }
    if (HELPER.0..=HELPER.1).contains(&rank) {
        all.push("nf_conntrack_helper");
    }
    all
}

/// Whether a parameter's value is one; a module with a wrong one is not loaded.
pub(super) fn is_value(name: &str, value: Option<&str>) -> bool {
    match (name, value) {
        // A switch may stand alone.
        ("acct" | "tstamp" | "enable_hooks" | "nf_conntrack_helper", None) => true,
        ("acct" | "tstamp" | "enable_hooks" | "nf_conntrack_helper", Some(v)) => {
            matches!(v, "0" | "1" | "y" | "Y" | "n" | "N" | "on" | "off")
        }
        (_, Some(v)) => number(v).is_some(),
        (_, None) => false,
    }
}

/// A parameter's number, as `kstrtouint()` takes it.
pub(super) fn number(text: &str) -> Option<u64> {
    let value = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None if text.len() > 1 && text.starts_with('0') => u64::from_str_radix(&text[1..], 8),
        None => text.parse(),
    };
    value.ok().filter(|v| *v <= u64::from(u32::MAX))
}

/// The kernel's own value of a setting. `None`: it is not known for this generation.
pub(super) fn own(
    facts: &BootFacts,
    setting: &Setting,
    options: &[ModuleOption<'_>],
) -> Option<Own> {
    let profile = &facts.profile;
    let plain = |value: u64| {
        Some(Own {
            value,
            about: false,
            why: said!("the kernel's own value", "内核自己的值"),
            option: None,
        })
    };
    let last = |name: &str| options.iter().rfind(|o| o.name == name);
    let option_value = |name: &str| {
        let option = last(name)?;
        let value = option.value.and_then(number)?;
        Some((value, place(&option.directive.file, option.directive.line)))
    };
    let switch = |name: &str, own: Option<u64>| match last(name) {
        Some(option) => {
            let on = option.value.is_none_or(|v| matches!(v, "1" | "y" | "Y" | "on"));
            let at = place(&option.directive.file, option.directive.line);
            let why = said!("the module's option {name} in {at}", "{at:#} 里的模块参数 {name}");
            Some(Own { value: u64::from(on), about: false, why, option: Some(at) })
        }
        None => plain(own?),
    };
    let hashsize = option_value("hashsize").filter(|(n, _)| *n > 0);
    match setting.name {
        "nf_conntrack_max" | "nf_conntrack_buckets" => {
            size(facts, setting.name == "nf_conntrack_max", hashsize)
        }
        "nf_conntrack_expect_max" => expectations(facts, hashsize, option_value("expect_hashsize")),
        // Older ones differ by how they were built.
        "nf_conntrack_acct" => switch("acct", (profile.from >= (3, 4)).then_some(0)),
        "nf_conntrack_timestamp" => switch("tstamp", Some(0)),
        "nf_conntrack_udp_timeout_stream" => plain(profile.udp_stream.0),
        "nf_conntrack_tcp_loose" => plain(if profile.era == Era::IpConntrack { 3 } else { 1 }),
        "nf_conntrack_events" => {
            plain(if profile.extension_size.0 == 0 && profile.era == Era::NfConntrack {
                2
            } else {
                1
            })
        }
        "nf_conntrack_frag6_low_thresh" if profile.from >= (4, 9) => plain(3_145_728),
        "nf_conntrack_frag6_high_thresh" if profile.from >= (4, 9) => plain(4_194_304),
        _ => plain(setting.default?),
    }
}

/// The limit (`max`) or the buckets; `hashsize`: the option, and where it stands.
fn size(facts: &BootFacts, max: bool, hashsize: Option<(u64, Said)>) -> Option<Own> {
    if let Some((n, at)) = hashsize {
        let buckets = match facts.profile.era {
            Era::IpConntrack => n,
            Era::Both | Era::NfConntrack => n.next_multiple_of(512),
        };
        let value = if max { buckets.saturating_mul(8) } else { buckets };
        let why = if max {
            said!(
                "hashsize={n} in {at} makes the limit 8 times the buckets",
                "{at:#} 里的 hashsize={n} 使上限成为桶数的 8 倍"
            )
        } else if buckets == n {
            said!("hashsize={n} in {at}", "{at:#} 里的 hashsize={n}")
        } else {
            said!(
                "hashsize={n} in {at}, rounded up to whole pages",
                "{at:#} 里的 hashsize={n}，向上取到整页"
            )
        };
        return Some(Own { value, about: false, why, option: Some(at) });
    }
    let memory = facts.memory.get()?;
    let (buckets, limit) = facts.profile.defaults(memory);
    let value = if max { limit } else { buckets };
    let mib = words::count(memory.0 >> 20);
    let why =
        said!("the kernel's own value for {mib} MiB of memory", "内核按 {mib} MiB 内存自己取的值");
    // Between the steps the number follows the memory itself.
    Some(Own { value, about: memory.0 <= 1 << 30, why, option: None })
}

/// The limit of expectations; the two options, and where they stand.
fn expectations(
    facts: &BootFacts,
    hashsize: Option<(u64, Said)>,
    expect_hashsize: Option<(u64, Said)>,
) -> Option<Own> {
    if let Some((n, at)) = expect_hashsize.filter(|(n, _)| *n > 0) {
        let why = said!(
            "expect_hashsize={n} in {at}, 4 for each",
            "{at:#} 里的 expect_hashsize={n}，每个 4 个"
        );
        let value = n * EXPECT_PER_BUCKET;
        return Some(Own { value, about: false, why, option: Some(at) });
    }
    let (buckets, at) = match &hashsize {
        // Computed before the rounding to whole pages.
        Some((n, at)) => (*n, Some(at.clone())),
        None => (facts.profile.defaults(facts.memory.get()?).0, None),
    };
    let value = (buckets / EXPECT_SHARE).max(1) * EXPECT_PER_BUCKET;
    let about = at.is_none() && facts.memory.get().is_some_and(|m| m.0 <= 1 << 30);
    let why = match &at {
        Some(at) => said!(
            "hashsize in {at}: 4 for each 256 buckets",
            "{at:#} 里的 hashsize：每 256 个桶 4 个"
        ),
        None => said!(
            "the kernel's own value: 4 for each 256 buckets",
            "内核自己的值：每 256 个桶 4 个"
        ),
    };
    Some(Own { value, about, why, option: at })
}
