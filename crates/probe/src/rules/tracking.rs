//! Whether packets of a namespace are tracked, from what could be read.
//!
//! To 4.9 loading the protocol module tracked everything in every namespace; since 4.10 the hooks are
//! registered for a namespace when a rule asks. Kernel: `nf_ct_netns_get()`, nf_conntrack_proto.c;
//! what asks is in docs/formats/ruleset.md.

use plimsoll_ct::{Entries, Profile};
use plimsoll_diagnosis::facts::{Fact, Reason, Source, Tracking};
use plimsoll_diagnosis::{Said, count, said};
use plimsoll_wire::modprobe::{Directive, ModuleDirective};
use plimsoll_wire::modules::Module;
use plimsoll_wire::ruleset::{Need, Rule, Ruleset};

/// What can tell whether packets are tracked.
#[derive(Debug, Clone, Copy)]
pub struct Signs<'a> {
    /// Generation.
    pub profile: &'a Profile,
    /// Loaded modules.
    pub modules: &'a Fact<Vec<Module>>,
    /// Module options: `enable_hooks` can't be read from a running kernel.
    pub directives: &'a [ModuleDirective],
    /// Rules of the namespace.
    pub rules: &'a Fact<Ruleset>,
    /// Entries of the namespace.
    pub count: &'a Fact<Entries>,
}

/// Modules that track without a rule: they call conntrack themselves.
const WITHOUT_RULES: &[&str] = &["openvswitch", "act_ct", "ip_vs"];

/// Modules whose loading started tracking up to 4.9.
const STARTERS: &[&str] = &["ip_conntrack", "nf_conntrack_ipv4", "nf_conntrack_ipv6"];

/// Whether packets of a namespace are tracked, with what proves it.
pub fn tracking(signs: &Signs<'_>) -> Fact<Tracking> {
    if not_loaded(signs) {
        return off(
            said!("nf_conntrack is not loaded", "nf_conntrack 没有加载"),
            Source::name("/proc/modules"),
        );
    }
    if signs.profile.hooks_on_demand { on_demand(signs) } else { by_module(signs) }
}

fn on(because: impl Into<Said>, source: impl Into<Source>) -> Fact<Tracking> {
    Fact::known(Tracking::On { because: because.into() }, source)
}

fn off(because: impl Into<Said>, source: impl Into<Source>) -> Fact<Tracking> {
    Fact::known(Tracking::Off { because: because.into() }, source)
}

fn entries(signs: &Signs<'_>) -> Option<u64> {
    signs.count.get().map(|count| count.0)
}

/// Whether the module is known not to be there: neither a setting nor a line of it. Anybody may see that, even
/// where the rules may not be read.
fn not_loaded(signs: &Signs<'_>) -> bool {
    signs.count.gap().is_some_and(|gap| gap.reason == Reason::NotLoaded)
        && signs.modules.value().is_some_and(|modules| {
            !modules.iter().any(|m| m.name == "nf_conntrack" || m.name == "ip_conntrack")
        })
}

/// Kernels to 4.9.
fn by_module(signs: &Signs<'_>) -> Fact<Tracking> {
    const SOURCE: &str = "/proc/modules";
    if let Some(modules) = signs.modules.value() {
        if let Some(starter) = STARTERS.iter().find(|s| modules.iter().any(|m| m.name == **s)) {
            return on(
                said!(
                    "{starter} is loaded, and this kernel then tracks everything",
                    "{starter} 已加载，而本内核这时什么都跟踪"
                ),
                Source::name(SOURCE),
            );
        }
        // Built in, it has no line there.
        if entries(signs).is_none_or(|n| n == 0) {
            return off(
                said!("none of {} is loaded", "{} 都没有加载", STARTERS.join(", ")),
                Source::name(SOURCE),
            );
        }
    }
    match entries(signs) {
        Some(0) if signs.modules.value().is_none() => Fact::missing_needs(
            Reason::Failed,
            said!(
                "no entries, and the list of modules could not be read",
                "没有条目，而模块的列表没能读到"
            ),
            Said::name("/proc/modules"),
        ),
        Some(n) => on(
            said!("{} entries are in the table", "表里有 {} 个条目", count(n)),
            Source::name("nf_conntrack_count"),
        ),
        None => Fact::missing_needs(
            Reason::NotCollected,
            said!(
                "neither the list of modules nor the count could be read",
                "模块的列表和条目数都没能读到"
            ),
            Said::name("/proc/modules"),
        ),
    }
}

/// Kernels since 4.10.
fn on_demand(signs: &Signs<'_>) -> Fact<Tracking> {
    if let Some(rules) = signs.rules.value()
        && let Some(rule) = rules.needing().next()
    {
        let source = signs.rules.source().cloned().unwrap_or(Source::name(""));
        return on(because(rule), source);
    }
    if let Some(forced) = enable_hooks(signs) {
        return on(
            said!(
                "{}, line {}: enable_hooks tracks without any rule",
                "{} 第 {} 行：enable_hooks 不需要任何规则就跟踪",
                forced.file,
                forced.line
            ),
            Source::name(forced.file.clone()),
        );
    }
    match (signs.rules.value().filter(|rules| rules.complete()), entries(signs)) {
        (Some(_), Some(0)) => off(
            said!("no rule asks for it, and there are no entries", "没有规则需要它，也没有条目"),
            said!("rules, count", "规则、条目数"),
        ),
        (Some(_), Some(n)) => leftover(signs, n),
        (Some(_), None) => {
            off(said!("no rule asks for it", "没有规则需要它"), Source::name("rules"))
        }
        (None, Some(n)) if n > 0 => on(
            said!(
                "{} entries are in the table (its rules are not all known)",
                "表里有 {} 个条目（它的规则不全都知道）",
                count(n)
            ),
            Source::name("count"),
        ),
        (None, _) => unknown_rules(signs),
    }
}

/// Entries and no rule that made them.
fn leftover(signs: &Signs<'_>, n: u64) -> Fact<Tracking> {
    let n = count(n);
    let Some(modules) = signs.modules.value() else {
        return Fact::missing(
            Reason::Failed,
            said!(
                "no rule asks for tracking, yet {n} entries are there: left from rules that are gone, or \
                 made by Open vSwitch, tc or IPVS",
                "没有规则需要跟踪，却有 {n} 个条目：是已经不在的规则留下的，或者由 Open vSwitch、tc 或 IPVS 建立"
            ),
        );
    };
    match WITHOUT_RULES.iter().find(|w| modules.iter().any(|m| m.name == **w)) {
        Some(tracker) => on(
            said!(
                "no rule asks for it, but {tracker} is loaded and {n} entries are there",
                "没有规则需要它，但 {tracker} 已加载，并且有 {n} 个条目"
            ),
            said!("rules, /proc/modules, count", "规则、/proc/modules、条目数"),
        ),
        None => off(
            said!(
                "no rule asks for it any more; {n} entries are left to age out",
                "不再有规则需要它；剩下的 {n} 个条目会自行过期"
            ),
            said!("rules, /proc/modules, count", "规则、/proc/modules、条目数"),
        ),
    }
}

/// No entries, and rules that are not all known.
fn unknown_rules(signs: &Signs<'_>) -> Fact<Tracking> {
    match (signs.rules.value(), signs.rules.gap()) {
        (_, Some(gap)) => Fact::Missing(gap.clone()),
        (Some(rules), None) => {
            let unread: Vec<&str> = rules.unread.iter().map(|(_, why)| why.as_str()).collect();
            let why = if unread.is_empty() {
                "not all back ends were saved".into()
            } else {
                unread.join("; ")
            };
            Fact::missing_needs(
                Reason::NotCollected,
                said!(
                    "no known rule asks for it, but not all rules are known: {why}",
                    "没有已知的规则需要它，但规则没有全部读到"
                ),
                said!("all rules", "全部规则"),
            )
        }
        (None, None) => Fact::missing(
            Reason::Failed,
            said!("rules are neither known nor missing", "规则既不是已知也不是未知"),
        ),
    }
}

/// `rule filter INPUT: -A INPUT -m state …`
fn because(rule: &Rule) -> Said {
    let words: Vec<Said> = rule.needs.iter().map(|need| needed(*need)).collect();
    let place = if rule.chain.is_empty() {
        said!("table {}", "表 {} 的规则", rule.table)
    } else {
        said!("rule in {} {}", "{} {} 的规则", rule.table, rule.chain)
    };
    said!(
        "{place} needs {}: {}",
        "{place:#}需要{:#}：{}",
        Said::join(&words, &Said::of(" and ", "和")),
        rule.text
    )
}

/// What a rule needs of tracking.
const fn needed(need: Need) -> Said {
    Said::of(
        need.name(),
        match need {
            Need::State => "状态",
            Need::Nat => " NAT",
            Need::Count => "连接计数",
            Need::Helper => " helper",
            Need::Mark => "连接标记",
            Need::SynProxy => " SYN 代理",
            Need::Policy => " zone 或超时策略",
            Need::Offload => " flow offload",
        },
    )
}

/// `options nf_conntrack enable_hooks=1`
fn enable_hooks<'a>(signs: &Signs<'a>) -> Option<&'a ModuleDirective> {
    let mut options = signs.directives.iter().filter_map(|d| match &d.directive {
        Directive::Option { name, value } if name == "enable_hooks" => Some((d, value.as_deref())),
        Directive::Option { .. }
        | Directive::Blacklist
        | Directive::Install { .. }
        | Directive::Alias { .. }
        | Directive::Softdep { .. } => None,
    });
    // The last one holds.
    let (last, value) = options.rfind(|(d, _)| d.module == "nf_conntrack")?;
    value.is_none_or(|v| matches!(v, "1" | "Y" | "y")).then_some(last)
}

#[cfg(test)]
mod tests {
    use plimsoll_wire::ruleset::{Backend, TableFamily, read_nft, read_save};

    use super::*;

    struct Host {
        profile: &'static str,
        modules: Fact<Vec<Module>>,
        directives: Vec<ModuleDirective>,
        rules: Fact<Ruleset>,
        count: Fact<Entries>,
    }

    fn host(profile: &'static str, modules: &[&str], count: u64) -> Host {
        let modules = modules
            .iter()
            .map(|name| Module {
                name: (*name).into(),
                size: 1,
                references: Some(0),
                used_by: vec![],
            })
            .collect();
        let mut rules = Ruleset::default();
        read_nft("", &mut rules);
        rules.note_read(Backend::Legacy, TableFamily::Ip);
        rules.note_read(Backend::Legacy, TableFamily::Ip6);
        Host {
            profile,
            modules: Fact::known(modules, Source::name("/proc/modules")),
            directives: Vec::new(),
            rules: Fact::known(rules, Source::name("test")),
            count: Fact::known(Entries(count), Source::name("test")),
        }
    }

    impl Host {
        fn rule(mut self, text: &str) -> Self {
            let Fact::Known { value, .. } = &mut self.rules else { panic!("known") };
            read_save(text, TableFamily::Ip, value);
            self
        }

        fn tracking(&self) -> Fact<Tracking> {
            tracking(&Signs {
                profile: Profile::named(self.profile).expect("a profile"),
                modules: &self.modules,
                directives: &self.directives,
                rules: &self.rules,
                count: &self.count,
            })
        }

        fn is(&self, wanted: &str) {
            let fact = self.tracking();
            let (word, because) = match (&fact, fact.value()) {
                (_, Some(Tracking::On { because })) => ("on", because.clone()),
                (_, Some(Tracking::Off { because })) => ("off", because.clone()),
                (fact, None) => {
                    ("missing", fact.gap().map_or_else(Said::default, |g| g.detail.clone()))
                }
            };
            assert_eq!(format!("{word}: {because}"), wanted);
        }
    }

    #[test]
    fn to_4_9_the_loaded_module_tracks_whatever_the_rules() {
        host("2.6.18", &["ip_tables", "ip_conntrack"], 0)
            .is("on: ip_conntrack is loaded, and this kernel then tracks everything");
        host("3.10", &["nf_conntrack"], 0)
            .is("off: none of ip_conntrack, nf_conntrack_ipv4, nf_conntrack_ipv6 is loaded");
        host("3.10", &[], 262_144).is("on: 262,144 entries are in the table");
    }

    #[test]
    fn since_4_10_a_rule_that_needs_it_tracks() {
        host("6.18", &["nf_conntrack"], 0)
            .rule("*filter\n-A INPUT -m state --state NEW -j ACCEPT\n")
            .is("on: rule in filter INPUT needs state: -A INPUT -m state --state NEW -j ACCEPT");
    }

    #[test]
    fn since_4_10_no_rule_and_no_entry_is_off_though_the_module_is_loaded() {
        host("6.18", &["nf_conntrack"], 0)
            .rule("*raw\n-A PREROUTING -j CT --notrack\n")
            .is("off: no rule asks for it, and there are no entries");
    }

    #[test]
    fn a_module_that_is_not_loaded_tracks_nothing_though_no_rule_may_be_read() {
        for profile in ["2.6.32", "6.18"] {
            let mut none = host(profile, &["ip_tables"], 0);
            none.count =
                Fact::missing(Reason::NotLoaded, Said::name("nf_conntrack_count: no such file"));
            none.rules = Fact::missing(Reason::NotPermitted, Said::name("ip_tables_names"));
            none.is("off: nf_conntrack is not loaded");
        }
        // Hidden by a container engine, the module is there nevertheless.
        let mut hidden = host("6.18", &["nf_conntrack"], 0);
        hidden.count =
            Fact::missing(Reason::NotLoaded, Said::name("nf_conntrack_count: no such file"));
        hidden.is("off: no rule asks for it");
        let mut masked = host("6.18", &[], 0);
        masked.count =
            Fact::missing(Reason::Failed, Said::name("hidden, though conntrack is there"));
        masked.is("off: no rule asks for it");
    }

    #[test]
    fn entries_without_a_rule_are_leftovers_unless_something_else_tracks() {
        host("6.18", &["nf_conntrack"], 7)
            .is("off: no rule asks for it any more; 7 entries are left to age out");
        host("6.18", &["openvswitch"], 7)
            .is("on: no rule asks for it, but openvswitch is loaded and 7 entries are there");
        let mut unknown = host("6.18", &[], 7);
        unknown.modules = Fact::missing(Reason::NotBuilt, Said::name(""));
        assert!(unknown.tracking().gap().is_some());
    }

    #[test]
    fn rules_that_are_not_all_known_prove_nothing_off() {
        let mut half = host("6.18", &[], 0);
        let Fact::Known { value, .. } = &mut half.rules else { panic!("known") };
        value.unread.push((Backend::Nft, "no nft is installed".into()));
        half.is(
            "missing: no known rule asks for it, but not all rules are known: no nft is installed",
        );
        half.count = Fact::known(Entries(3), Source::name("test"));
        half.is("on: 3 entries are in the table (its rules are not all known)");
    }

    #[test]
    fn enable_hooks_tracks_without_rules() {
        let mut forced = host("6.18", &[], 0);
        let text = "options nf_conntrack enable_hooks=1\n";
        forced.directives = plimsoll_wire::modprobe::read_conf("/etc/modprobe.d/x.conf", text);
        forced.is("on: /etc/modprobe.d/x.conf, line 1: enable_hooks tracks without any rule");
        let text = "options nf_conntrack enable_hooks=1\noptions nf_conntrack enable_hooks=0\n";
        forced.directives = plimsoll_wire::modprobe::read_conf("/etc/modprobe.d/x.conf", text);
        forced.is("off: no rule asks for it, and there are no entries");
    }
}
