//! A line that is written, and what became of it.

use alloc::format;
use alloc::string::{String, ToString};

use plimsoll_ct::Setting;
use plimsoll_wire::sysctl::Assignment;

use super::super::keys::place;
use super::super::outcome::Fate;
use super::super::plan::Stage;
use super::super::run::Write;
use super::{LintKind, Linter};
use crate::words::clean;

impl Linter<'_> {
    pub(super) fn write(&mut self, write: &Write) {
        let a = &write.assignment;
        match &write.fate {
            Fate::Wins(_) | Fate::Overridden(..) | Fate::Unclear => {
                if let Some(odd) = &write.odd {
                    let mend = "write it as a plain decimal number".to_string();
                    self.add(LintKind::OddValue, a, odd.clone(), mend, false);
                }
            }
            Fate::NotYet => {
                let Some(setting) = write.setting else { return };
                // With another order it is not lost: told as such.
                if self.outcome(setting).is_some_and(|o| o.or.is_some()) {
                    return;
                }
                // Set once more by somebody, when the module is there.
                let harmless = self.comes_true(setting, &a.value)
                    || a.may_fail
                    || self.outcome(setting).is_some_and(|o| o.winner().is_some());
                let (what, mend) = self.later(write, setting);
                self.add(LintKind::LoadsLater, a, what, mend, harmless);
            }
            Fate::Never(why) => {
                let what = format!("lost: {why}");
                let mend = "remove that line, or the settings with it".to_string();
                self.add(LintKind::NeverLoaded, a, what, mend, a.may_fail);
            }
            Fate::Refused(why) => self.refused(write, why),
            Fate::ReadOnly => self.read_only(write),
            Fate::Dead { instead } => self.dead(write, instead.as_deref()),
            Fate::Unknown { nearest } => self.unknown(a, nearest.as_deref()),
            Fate::Replaced(_) | Fate::NotRead(_) => {}
        }
    }

    fn refused(&mut self, write: &Write, why: &str) {
        let a = &write.assignment;
        let mut what = format!("the kernel refuses the value: {why}");
        if write.stage == Stage::Sysctl && self.plan.loader.keeps_last() {
            let mut replaced = self.plan.applied.replaced.iter();
            if let Some((old, _)) =
                replaced.find(|(old, _)| old.key == a.key && old.value != a.value)
            {
                let at = place(&old.file, old.line);
                what.push_str(&format!(
                    "; {at} is not written either, since only the last line of a key is"
                ));
            }
        }
        let mend = match write.setting.and_then(|s| bare_number(s, &a.value)) {
            Some(number) => format!("write {} = {number}", clean(&a.key)),
            None => "write a plain decimal number".to_string(),
        };
        self.add(LintKind::BadValue, a, what, mend, a.may_fail);
    }

    fn read_only(&mut self, write: &Write) {
        let a = &write.assignment;
        let meant = match write.setting {
            // Whoever writes a count means the limit.
            Some(s) if s.name == "nf_conntrack_count" => Setting::find("nf_conntrack_max"),
            other => other,
        };
        let mend = match meant {
            Some(s) if s.name == "nf_conntrack_buckets" => format!(
                "put `options {} hashsize={}` into /etc/modprobe.d",
                self.facts.core(),
                clean(&a.value)
            ),
            Some(s) => format!("remove it, or set {}", self.keys.name(s)),
            None => "remove it".to_string(),
        };
        let what = "this kernel only lets it be read".to_string();
        let harmless = a.may_fail || meant.is_some_and(|s| self.comes_true(s, &a.value));
        self.add(LintKind::ReadOnlyKey, a, what, mend, harmless);
        // A value of another name does what was meant; buckets need the module's option.
        self.meant(meant.filter(|s| s.name == "nf_conntrack_max").map(|s| self.keys.name(s)));
    }

    fn dead(&mut self, write: &Write, instead: Option<&str>) {
        let a = &write.assignment;
        let release = self.facts.kernel.value().map_or(self.facts.profile.name, |k| &k.release);
        let what = format!("this kernel ({}) does not have the name", clean(release));
        let mend = match instead {
            Some(name) => format!("write {name} = {}", clean(&a.value)),
            None => "remove it".to_string(),
        };
        let outcome = write.setting.and_then(|s| self.outcome(s));
        let set = outcome.is_some_and(|o| o.winner().is_some());
        self.add(LintKind::DeadKey, a, what, mend, a.may_fail || set);
        self.meant(instead.map(ToString::to_string));
    }

    fn unknown(&mut self, a: &Assignment, nearest: Option<&str>) {
        let (what, mend) = match nearest {
            Some(name) => (
                format!("no kernel has this key; the nearest is {name}"),
                format!("write {name} = {}", clean(&a.value)),
            ),
            None => ("no kernel has this key".to_string(), "remove it".to_string()),
        };
        let set = nearest.and_then(Setting::find).is_some_and(|s| self.comes_true(s, &a.value));
        self.add(LintKind::UnknownKey, a, what, mend, a.may_fail || set);
    }

    /// Why the key is not there yet, and what makes it be.
    fn later(&self, write: &Write, setting: &Setting) -> (String, String) {
        let core = self.facts.core();
        let who = match &self.run.core {
            Some(loaded) if loaded.stage > write.stage => {
                format!("{core} is loaded later, by {}", loaded.by)
            }
            Some(_) if self.facts.has_separate_protocols() => {
                "nf_conntrack_ipv4, which brings this key, is loaded later".to_string()
            }
            Some(loaded) => format!("{core} is loaded by {}", loaded.by),
            None => format!("nothing loads {core} before"),
        };
        let what = format!("lost: the key does not exist yet when {} writes it; {who}", write.by);
        (what, self.early(write.stage, setting))
    }
}

/// The number that a refused text means: a time with a unit in seconds, a number with separators or a multiplier.
fn bare_number(setting: &Setting, text: &str) -> Option<u64> {
    let text = text.trim().trim_matches(['"', '\'']);
    let digits: String =
        text.chars().filter(|c| !matches!(c, ',' | '_' | '.' | '\'' | ';')).collect();
    if let Ok(number) = digits.parse() {
        return Some(number);
    }
    if setting.unit == plimsoll_ct::Unit::Seconds {
        return match text.strip_suffix('d').and_then(|n| n.parse::<u64>().ok()) {
            Some(days) => days.checked_mul(86_400),
            None => plimsoll_wire::kube_proxy::seconds(text),
        };
    }
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    match unit {
        "k" | "K" | "Ki" => number.checked_mul(1024),
        "m" | "M" | "Mi" => number.checked_mul(1 << 20),
        _ => None,
    }
}
