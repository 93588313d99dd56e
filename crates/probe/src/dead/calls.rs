//! What other readers of the probe make of saved files.

use plimsoll_diagnosis::facts::{BootFiles, Fact, Host, Namespace, Reason, Tracking};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::filter::Program;
use plimsoll_wire::modprobe::ModuleDirective;
use plimsoll_wire::ruleset::Ruleset;

use super::read::Saved;
use crate::{config, rules as rule_readers};

/// What the files that take part in booting say.
pub(super) fn boot_files(saved: &Saved<'_>, host: &Host) -> BootFiles {
    config::boot_files(saved.files, host.kernel.value(), false)
}

/// Rules of a namespace: of the initial one, or of that `ip netns` name.
pub(super) fn rules(saved: &Saved<'_>, namespace: Option<&str>) -> Fact<Ruleset> {
    rule_readers::of_files(saved.files, namespace)
}

/// Whether these are all that the outputs would have told.
pub(super) fn rules_whole(rules: &Fact<Ruleset>) -> Fact<()> {
    let unread = rules.value().map_or(&[][..], |rules| &rules.unread);
    let whys: Vec<Said> = unread
        .iter()
        .map(|(_, why)| {
            let place = why.split([':', ' ']).next().unwrap_or_default();
            said!("{why}", "{place} 没有读全")
        })
        .collect();
    if whys.is_empty() {
        return rules.clone().map(|_| ());
    }
    let why = Said::join(&whys, &Said::of("; ", "；"));
    Fact::missing_needs(Reason::Malformed, why, said!("all rules", "全部规则"))
}

/// The same with every condition.
pub(super) fn program(saved: &Saved<'_>, namespace: Option<&str>) -> Fact<Program> {
    rule_readers::program_of_files(saved.files, namespace)
}

/// Whether a namespace's packets were tracked.
pub(super) fn tracking(
    host: &Host,
    directives: &[ModuleDirective],
    namespace: &Namespace,
) -> Fact<Tracking> {
    rule_readers::tracking(&rule_readers::Signs {
        profile: &host.profile,
        modules: &host.modules,
        directives,
        rules: &namespace.rules,
        count: &namespace.count,
    })
}
