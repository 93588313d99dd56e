//! From flags to configurations: the host as it is set, and each combination of the grid.

use std::borrow::Cow;
use std::path::Path;

use plimsoll_ct::{KernelVersion, Profile, SETTINGS};
use plimsoll_model::{BEHAVIOURS, Config, SettingError, Settings, profile_named};

use plimsoll_diagnosis::{Said, said};

use super::arguments::{Arguments, Grid};

/// Most combinations of a grid: each is a table of its own.
const MOST: usize = 64;

/// The first kernel with timeout policies.
const FIRST_POLICIES: (u16, u16) = (3, 4);

/// Of the profiles the first with zones, and the first with zones of one direction: the ones that hold 2.6.34 and 4.3.
const FIRST_ZONES: [(u16, u16); 2] = [(2, 20), (4, 1)];

/// A setting with what is different about it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// In words.
    pub label: String,
    /// By sysctl names, as they are to be written.
    pub changes: Vec<(&'static str, u64)>,
    /// All of it.
    pub settings: Settings,
}

/// The kernel by a person's word: a profile, a release, or the one that runs. With what is to be said of it: nobody knows what
/// kernels will do that are not there yet.
pub fn profile(word: &str) -> Result<(&'static Profile, Option<Said>), Said> {
    if let Some(profile) = profile_named(word) {
        return Ok((profile, None));
    }
    let release = if word == "running" {
        let path = Path::new("/proc/sys/kernel/osrelease");
        std::fs::read_to_string(path).map_err(|e| super::of_file(path, &e))?
    } else {
        word.to_owned()
    };
    match KernelVersion::parse(&release) {
        Some(version) if version.rank() >= (2, 0) => {
            let profile = Profile::of(&version);
            let [oldest, youngest] = Profile::SEEN;
            let strange = if version.rank() > youngest {
                let (major, minor) = youngest;
                Some(said!(
                    "newer than any that was compared ({major}.{minor})",
                    "比对照过的都新（{major}.{minor}）"
                ))
            } else if version.rank() < oldest {
                let (major, minor) = oldest;
                Some(said!(
                    "older than any that is known ({major}.6.{minor})",
                    "比已知的都旧（{major}.6.{minor}）"
                ))
            } else {
                None
            };
            let note = strange.map(|why| {
                said!(
                    "Linux {version} is {why}: it is taken for {}",
                    "Linux {version} {why:#}：按 {} 处理",
                    profile.name
                )
            });
            Ok((profile, note))
        }
        Some(_) | None => {
            let names: Vec<_> = plimsoll_ct::PROFILES.iter().map(|p| p.name).collect();
            let mut names: Vec<_> = names.into_iter().collect();
            names.dedup();
            Err(said!(
                "--profile {word}: expected a kernel release, \"running\", el5 to el9, or one of {}",
                "--profile {word}：应为内核版本、\"running\"、el5 到 el9，或其中之一：{}",
                names.join(" ")
            ))
        }
    }
}

/// The host as the flags set it.
pub fn host(arguments: &Arguments) -> Result<(&'static Profile, Settings), Said> {
    let (profile, _) = profile(&arguments.profile)?;
    let mut settings = Settings::of(profile, arguments.memory);
    for (key, value) in &arguments.set {
        settings.set(&whole(key), *value).map_err(|e| why(&e))?;
    }
    no_limit(profile, &settings)?;
    if !arguments.timeout_policy.is_empty() && profile.from < FIRST_POLICIES {
        return Err(said!(
            "--timeout-policy: {} has none, they came with 3.4",
            "--timeout-policy：{} 没有超时策略，从 3.4 起才有",
            profile.name
        ));
    }
    for rule in &arguments.zone {
        let [some, one_way] = FIRST_ZONES;
        if profile.from < some || rule.zone.is_one_way() && profile.from < one_way {
            let (what, version) = if rule.zone.is_one_way() {
                (Said::of("zones of one direction", "单方向的区域"), "4.3")
            } else {
                (Said::of("zones", "区域"), "2.6.34")
            };
            return Err(said!(
                "--zone {rule}: {} has no {what}, they came with {version}",
                "--zone {rule}：{} 没有{what:#}，从 {version} 起才有",
                profile.name
            ));
        }
    }
    if arguments.timeout_policy.len() > usize::from(u8::MAX) {
        return Err(Said::of(
            "--timeout-policy: so many are not kept apart",
            "--timeout-policy：太多了，无法一一区分",
        ));
    }
    settings.policies.extend(arguments.timeout_policy.iter().map(|rule| rule.policy.clone()));
    if arguments.scale > 1 && settings.checksum {
        return Err(Said::of(
            "--scale changes addresses and leaves the checksums: it can't be used with \
             nf_conntrack_checksum=1",
            "--scale 改变地址而不改校验和：不能与 nf_conntrack_checksum=1 一起用",
        ));
    }
    Ok((profile, settings))
}

/// Each combination of the grid, in the order of the flags.
pub fn grid(base: &Settings, grid: &[Grid]) -> Result<Vec<Candidate>, Said> {
    if grid.is_empty() {
        return Ok(Vec::new());
    }
    let mut all =
        vec![Candidate { label: String::new(), changes: Vec::new(), settings: base.clone() }];
    for (key, values) in joined(grid) {
        let mut wider = Vec::new();
        for candidate in &all {
            for &value in &values {
                wider.push(candidate.with(&key, value).map_err(|e| why(&e))?);
            }
        }
        all = wider;
        if all.len() > MOST {
            return Err(said!(
                "--what-if: more than {MOST} combinations",
                "--what-if：组合超过 {MOST} 种"
            ));
        }
    }
    Ok(all)
}

/// The values of each setting, which may be given in several pieces, and by several of its names.
fn joined(grid: &[Grid]) -> Vec<(Cow<'_, str>, Vec<u64>)> {
    let mut all: Vec<(Cow<'_, str>, Vec<u64>)> = Vec::new();
    for (key, values) in grid {
        let key = whole(key);
        let key = plimsoll_ct::Setting::find(&key).map_or(key, |setting| setting.name.into());
        match all.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => known.extend(values),
            None => all.push((key, values.clone())),
        }
    }
    all
}

/// Kernels that know no table without a limit refuse 0, or would admit nothing.
pub fn no_limit(profile: &Profile, settings: &Settings) -> Result<(), Said> {
    if settings.max > 0 || profile.zero_is_unlimited {
        return Ok(());
    }
    Err(said!(
        "nf_conntrack_max: the kernel refuses 0; up to 6.18 it means no limit, {} has none such",
        "nf_conntrack_max：内核不接受 0；到 6.18 为止它表示不设上限，{} 没有这回事",
        profile.name
    ))
}

/// Each combination once, the first of those that come to the same; what is to be said of the others.
pub fn once(all: &mut Vec<Candidate>) -> Option<Said> {
    let given = all.len();
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in all.drain(..) {
        if kept.iter().all(|k| k.settings != candidate.settings) {
            kept.push(candidate);
        }
    }
    *all = kept;
    let again = given - all.len();
    (again > 0).then(|| {
        said!(
            "--what-if: {again} of the {given} combinations come to the same as another, which is tried once",
            "--what-if：{given} 种组合中有 {again} 种与另一种相同，只试一次"
        )
    })
}

impl Candidate {
    /// With one more change.
    pub fn with(&self, key: &str, value: u64) -> Result<Self, SettingError> {
        let mut new = self.clone();
        new.settings.set(key, value)?;
        let setting = plimsoll_ct::Setting::find(key);
        let name = setting.map_or("", |s| s.name);
        let short = name.strip_prefix("nf_conntrack_").unwrap_or(name);
        new.label = format!("{} {short}={value}", self.label).trim().to_owned();
        new.changes.push((name, value));
        Ok(new)
    }
}

/// With this hash key for all.
pub fn config(arguments: &Arguments, profile: &'static Profile, settings: &Settings) -> Config {
    Config { netns: arguments.netns, ..Config::new(profile, settings.clone()) }
}

/// The name of a setting, `nf_conntrack_` put before it where it was left out, as the answers do.
fn whole(key: &str) -> Cow<'_, str> {
    let known = |name: &str| plimsoll_ct::Setting::find(name).is_some();
    let longer = format!("nf_conntrack_{key}");
    if !known(key) && known(&longer) { longer.into() } else { key.into() }
}

/// The error, and the nearest name where there is none of that name.
fn why(error: &SettingError) -> Said {
    match error {
        SettingError::Unknown(key) => {
            let asks = nearest(key).map_or_else(Said::default, |name| {
                said!("; did you mean {name}?", "；您是不是指 {name}？")
            });
            said!("{error}{asks}", "{key}：连接跟踪没有这个设置{asks:#}")
        }
        SettingError::Refused { name, value } => {
            said!("{error}", "{name}：内核不接受 {value}")
        }
        SettingError::NotModelled(name) => {
            said!("{error}", "{name}：在模型里不起作用")
        }
        SettingError::NotCompared(name) => {
            let compared = BEHAVIOURS.iter().filter(|b| b.wording.compared).map(|b| b.name);
            let compared = compared.collect::<Vec<_>>().join(", ");
            said!(
                "{error}",
                "{name}：本内核写些什么没有对照过；对照过的有这些 --profile：{compared}"
            )
        }
    }
}

/// The known name with the fewest differences, if they are few.
fn nearest(key: &str) -> Option<&'static str> {
    let bare = key.rsplit(['.', '/']).next().unwrap_or(key);
    let names = || SETTINGS.iter().flat_map(|s| [Some(s.name), s.old_name]).flatten();
    // Somebody may have left out what all names begin with.
    let short = |name: &'static str| name.strip_prefix("nf_conntrack_").unwrap_or(name);
    if let Some(name) = SETTINGS
        .iter()
        .map(|s| s.name)
        .find(|name| short(name) == bare || short(name).strip_prefix("tcp_timeout_") == Some(bare))
    {
        return Some(name);
    }
    let far = |name| strsim::damerau_levenshtein(bare, name);
    let (least, name) = names().map(|name| (far(name).min(far(short(name))), name)).min()?;
    (least <= 1 + bare.len() / 5).then_some(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_answered_with_the_name_that_was_meant() {
        for (typed, meant) in [
            ("nf_conntrack_maxx", Some("nf_conntrack_max")),
            (
                "net.netfilter.nf_conntrack_tcp_timeout_etsablished",
                Some("nf_conntrack_tcp_timeout_established"),
            ),
            ("established", Some("nf_conntrack_tcp_timeout_established")),
            ("max", Some("nf_conntrack_max")),
            ("tcp_timeout_etsablished", Some("nf_conntrack_tcp_timeout_established")),
            ("mxa", Some("nf_conntrack_max")),
            ("foo", None),
            ("ip_conntrack_mx", Some("ip_conntrack_max")),
            ("vm.swappiness", None),
        ] {
            assert_eq!(nearest(typed), meant, "{typed}");
        }
    }

    #[test]
    fn a_kernel_is_found_by_profile_by_release_and_as_the_running_one() {
        let known = |word: &str| {
            let (profile, note) = profile(word).unwrap();
            assert_eq!(note, None, "{word}");
            profile
        };
        assert_eq!(known("el7").name, "3.10");
        assert_eq!(known("3.10.0-1160.el7.x86_64").enterprise, Some(7));
        assert_eq!(known("5.14.0-427.13.1.el9_4.x86_64").name, "el9");
        assert_eq!(known("5.10.0").name, "5.10");
        assert_eq!((known("7.3").name, known("7.1").name), ("7.1", "7.1"));
        assert!(profile("running").is_ok());
        let error = profile("windows").unwrap_err();
        assert!(error.contains("expected a kernel release") && error.contains("6.18"), "{error}");
    }

    #[test]
    fn of_a_kernel_that_nobody_has_seen_it_is_said_which_one_stands_for_it() {
        for (word, note) in [
            ("9.9", "Linux 9.9 is newer than any that was compared (7.3): it is taken for 7.1"),
            ("7.4.1", "Linux 7.4.1 is newer than any that was compared (7.3): it is taken for 7.1"),
            (
                "2.4.20",
                "Linux 2.4.20 is older than any that is known (2.6.18): it is taken for 2.6.18",
            ),
        ] {
            assert_eq!(profile(word).unwrap().1, Some(Said::name(note)));
        }
    }
}
