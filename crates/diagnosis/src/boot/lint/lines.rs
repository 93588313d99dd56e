//! A line that is written, and what became of it.

use alloc::string::{String, ToString};

use plimsoll_ct::Setting;
use plimsoll_wire::sysctl::Assignment;

use super::super::keys::place;
use super::super::outcome::Fate;
use super::super::plan::Stage;
use super::super::run::Write;
use super::super::value::surely;
use super::{LintKind, Linter};
use crate::Said;
use crate::words::clean;

impl Linter<'_> {
    pub(super) fn write(&mut self, write: &Write) {
        let a = &write.assignment;
        match &write.fate {
            Fate::Wins(_) | Fate::Overridden(..) | Fate::Unclear | Fate::Untold => {
                if let Some(odd) = &write.odd {
                    self.add(LintKind::OddValue, a, odd.what.clone(), odd.mend.clone(), false);
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
                let why = self.later(write);
                let mend = self.early(write.stage, setting);
                let what = said!("lost: {why}", "不起作用：{why:#}");
                self.add(LintKind::LoadsLater, a, what, mend, harmless);
                self.because(why);
            }
            Fate::Never(why) => {
                let what = said!("lost: {why}", "不起作用：{why:#}");
                let mend = said!(
                    "remove that line, or the settings with it",
                    "删掉那一行，或者连同设置一起删掉"
                );
                self.add(LintKind::NeverLoaded, a, what, mend, a.may_fail);
            }
            Fate::Refused(why) => self.refused(write, why),
            Fate::ReadOnly => self.read_only(write),
            Fate::Dead { instead } => self.dead(write, instead.as_deref()),
            Fate::Unknown { nearest } => self.unknown(a, nearest.as_deref()),
            Fate::Replaced(_) | Fate::NotRead(_) => {}
        }
    }

    fn refused(&mut self, write: &Write, why: &Said) {
        let a = &write.assignment;
        let mut what = said!("the kernel refuses the value: {why}", "内核拒绝这个值：{why:#}");
        if write.stage == Stage::Sysctl && self.plan.loader.keeps_last() {
            let mut replaced = self.plan.applied.replaced.iter();
            if let Some((old, _)) =
                replaced.find(|(old, _)| old.key == a.key && old.value != a.value)
            {
                let at = place(&old.file, old.line);
                what.push(&said!(
                    "; {at} is not written either, since only the last line of a key is",
                    "；{at:#} 也不会写入，因为每个参数只写最后一行"
                ));
            }
        }
        let mend = write.setting.map(|setting| self.takes(setting, a));
        let mend =
            mend.unwrap_or_else(|| said!("write a plain decimal number", "写一个普通的十进制数"));
        self.add(LintKind::BadValue, a, what, mend, a.may_fail);
    }

    /// What to write instead of a refused value: the number that was meant, or else one that the kernel takes.
    fn takes(&self, setting: &Setting, a: &Assignment) -> Said {
        let (profile, rank) = self.facts.refuser();
        let range = surely(setting, profile, rank, self.facts.hz.get());
        match (bare_number(setting, &a.value), range.end()) {
            (Some(number), _) if i64::try_from(number).is_ok_and(|n| range.contains(&n)) => {
                said!("write {} = {number}", "写成 {} = {number}", clean(&a.key))
            }
            (Some(_), 1) => said!("write 0 or 1", "写 0 或 1"),
            (Some(_), most) => said!("write at most {most}", "最多写 {most}"),
            (None, _) => said!("write a plain decimal number", "写一个普通的十进制数"),
        }
    }

    fn read_only(&mut self, write: &Write) {
        let a = &write.assignment;
        let meant = match write.setting {
            // Whoever writes a count means the limit.
            Some(s) if s.name == "nf_conntrack_count" => Setting::find("nf_conntrack_max"),
            other => other,
        };
        let mend = match meant {
            Some(s) if s.name == "nf_conntrack_buckets" => said!(
                "put `options {} hashsize={}` into /etc/modprobe.d",
                "在 /etc/modprobe.d 里写 `options {} hashsize={}`",
                self.facts.core(),
                clean(&a.value)
            ),
            Some(s) => said!("remove it, or set {}", "删掉它，或者设 {}", self.keys.name(s)),
            None => said!("remove it", "删掉它"),
        };
        let what = said!("this kernel only lets it be read", "本内核只允许读它");
        let harmless = a.may_fail || meant.is_some_and(|s| self.comes_true(s, &a.value));
        self.add(LintKind::ReadOnlyKey, a, what, mend, harmless);
        // A value of another name does what was meant; buckets need the module's option.
        self.meant(meant.filter(|s| s.name == "nf_conntrack_max").map(|s| self.keys.name(s)));
    }

    fn dead(&mut self, write: &Write, instead: Option<&str>) {
        let a = &write.assignment;
        let release = self.facts.kernel.value().map_or(self.facts.profile.name, |k| &k.release);
        let what = said!(
            "this kernel ({}) does not have the name",
            "本内核（{}）没有这个名字",
            clean(release)
        );
        let mend = match instead {
            Some(name) => said!("write {name} = {}", "写成 {name} = {}", clean(&a.value)),
            None => said!("remove it", "删掉它"),
        };
        let outcome = write.setting.and_then(|s| self.outcome(s));
        let set = outcome.is_some_and(|o| o.winner().is_some());
        self.add(LintKind::DeadKey, a, what, mend, a.may_fail || set);
        self.meant(instead.map(ToString::to_string));
    }

    fn unknown(&mut self, a: &Assignment, nearest: Option<&str>) {
        let (what, mend) = match nearest {
            Some(name) if a.key.starts_with('\u{feff}') => (
                said!(
                    "a byte order mark (U+FEFF) stands before it, which nothing shows and nobody takes off: no kernel \
                     has this key",
                    "前面有一个字节顺序标记（U+FEFF），看不见，也没有谁去掉它：没有任何内核有这个参数"
                ),
                said!(
                    "save the file without the mark: {name} = {}",
                    "存盘时不要带这个标记：{name} = {}",
                    clean(&a.value)
                ),
            ),
            Some(name) => (
                said!(
                    "no kernel has this key; the nearest is {name}",
                    "没有任何内核有这个参数；最接近的是 {name}"
                ),
                said!("write {name} = {}", "写成 {name} = {}", clean(&a.value)),
            ),
            None => (
                said!("no kernel has this key", "没有任何内核有这个参数"),
                said!("remove it", "删掉它"),
            ),
        };
        let set = nearest.and_then(Setting::find).is_some_and(|s| self.comes_true(s, &a.value));
        self.add(LintKind::UnknownKey, a, what, mend, a.may_fail || set);
    }

    /// Why the key is not there yet.
    fn later(&self, write: &Write) -> Said {
        let core = self.facts.core();
        let who = match &self.run.core {
            Some(loaded) if loaded.stage > write.stage => {
                said!("{core} is loaded later, by {}", "{core} 稍后才由 {:#} 加载", loaded.by)
            }
            Some(_) if self.facts.has_separate_protocols() => {
                said!(
                    "nf_conntrack_ipv4, which brings this key, is loaded later",
                    "带来这个参数的 nf_conntrack_ipv4 稍后才加载"
                )
            }
            Some(loaded) => said!("{core} is loaded by {}", "{core} 由 {:#} 加载", loaded.by),
            None => said!("nothing loads {core} before", "在那之前没有什么会加载 {core}"),
        };
        said!(
            "the key does not exist yet when {} writes it; {who}",
            "{:#} 写它时参数还不存在；{who:#}",
            write.by
        )
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
