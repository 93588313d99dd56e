//! `plimsoll size`: what the load needs, from one of four sources; the size for it; print.

use std::path::Path;
use std::process::ExitCode;

use plimsoll_ct::Bytes;
use plimsoll_diagnosis::facts::Snapshot;
use plimsoll_diagnosis::size::{self, Demand, GivenClass, Machine, Origin, Peak, Remark, Sizing};
use plimsoll_diagnosis::{Said, said, shell_word};
use plimsoll_model::Settings;
use plimsoll_probe::dead;
use plimsoll_probe::live::{self, NamespaceSelector};
use plimsoll_replay::Row;
use plimsoll_report::number::{count, counted};
use plimsoll_report::{self as report, Language, Style, spoken};

use crate::arguments::Size;
use crate::replay::{self, Failure};
use crate::{check, exit, terminal};

/// The limit.
const MAX: &str = "nf_conntrack_max";
const BUCKETS: &str = "nf_conntrack_buckets";
/// More than any capture needs.
const NO_LIMIT: u64 = i32::MAX as u64;
/// Nothing could be measured.
const UNKNOWN: u8 = 3;

/// Runs it.
pub fn run(arguments: &Size) -> ExitCode {
    let language = language(arguments);
    let sizing = match sizing(arguments) {
        Ok(sizing) => sizing,
        Err(Failure::Usage(why)) => {
            terminal::tell(language, &why);
            return exit::usage();
        }
        Err(Failure::Failed(why)) => {
            terminal::tell(language, &why);
            return ExitCode::from(UNKNOWN);
        }
    };
    let text = if arguments.json {
        report::size_json(&sizing)
    } else {
        let unicode = terminal::shows(arguments.lang, arguments.screen.ascii);
        let style = terminal::style(&arguments.screen);
        report::size_text(&sizing, &Style { unicode, language, ..style })
    };
    if let Err(why) = terminal::print(&text) {
        terminal::tell(language, &why);
        return ExitCode::from(UNKNOWN);
    }
    ExitCode::from(u8::from(sizing.enough() == Some(false)))
}

/// That of the answer: what programs read is English.
fn language(arguments: &Size) -> Language {
    if arguments.json {
        Language::English
    } else {
        terminal::spoken(arguments.lang, arguments.screen.ascii)
    }
}

/// What is said where a recording is asked for: nothing of this host is recorded.
const NO_HISTORY: Said = Said::of(
    "there is no recording of this host: plimsoll keeps none yet. `plimsoll size` measures now, \
     --capture FILE replays what was captured, --rate and --lifetime take what you know",
    "没有本机的记录：plimsoll 还不保存记录。`plimsoll size` 现在就测量，--capture FILE 回放抓到的包，\
     --rate 和 --lifetime 接受您已知的值",
);

fn sizing(arguments: &Size) -> Result<Sizing, Failure> {
    if arguments.history {
        return Err(Failure::Failed(NO_HISTORY));
    }
    let by_hand = !arguments.rate.is_empty() || !arguments.capture.is_empty();
    let (before, after) = host(arguments, !by_hand).map_err(Failure::Usage)?;
    let machine = Machine::of(&after);
    let demand = if !arguments.rate.is_empty() {
        given(arguments, &after, &machine).map_err(Failure::Usage)?
    } else if !arguments.capture.is_empty() {
        captured(arguments, &after, &machine)?
    } else {
        size::seen(before.as_ref(), &after, arguments.peak).ok_or_else(|| {
            Failure::Failed(Said::of(
                "the number of entries could not be read: give --rate and --lifetime",
                "读不到条目数：请给出 --rate 和 --lifetime",
            ))
        })?
    };
    Ok(size::size(demand, &machine, arguments.margin))
}

/// The host that it is for.
fn host(arguments: &Size, measured: bool) -> Result<(Option<Snapshot>, Snapshot), Said> {
    let (path, tree): (&Path, bool) = match (&arguments.root, &arguments.bundle) {
        (Some(path), _) => (path, true),
        (None, Some(path)) => (path, false),
        (None, None) => {
            let options = if measured {
                let only = arguments.netns.iter().map(|text| NamespaceSelector::parse(text));
                let only = only.collect();
                live::Options { interval: arguments.interval, only, ..live::Options::default() }
            } else {
                crate::fix::quick()
            };
            let unicode = terminal::shows(arguments.lang, arguments.screen.ascii);
            let looking = || live::observe(&options);
            let observation =
                terminal::measuring(options.interval, language(arguments), unicode, looking);
            if !observation.unmatched.is_empty() {
                let asked = arguments.netns.as_deref().unwrap_or_default();
                return Err(said!(
                    "no network namespace answers to {asked:?}",
                    "没有这样的网络命名空间：{asked:?}"
                ));
            }
            return Ok((Some(observation.before), observation.after));
        }
    };
    let (files, origin) = check::open(path, tree)?;
    Ok((None, dead::snapshot(&files, origin)))
}

/// Rates and lifetimes of the command line, joined by class.
fn given(arguments: &Size, after: &Snapshot, machine: &Machine) -> Result<Demand, Said> {
    let lifetime = |class: &str| {
        let named = |wanted: &str| arguments.lifetime.iter().find(|(c, _)| c == wanted);
        named(class).or_else(|| named("")).map(|(_, seconds)| *seconds)
    };
    for (flag, given) in [("--rate", &arguments.rate), ("--lifetime", &arguments.lifetime)] {
        let twice = |&(n, (class, _)): &(usize, &(String, f64))| {
            given[..n].iter().any(|(before, _)| before == class)
        };
        if let Some((_, (class, _))) = given.iter().enumerate().find(twice) {
            let class = if class.is_empty() { class.clone() } else { format!(" {class}=…") };
            return Err(said!("{flag}{class} is given twice", "{flag}{class} 给了两次"));
        }
    }
    for (class, _) in &arguments.lifetime {
        if !class.is_empty() && !arguments.rate.iter().any(|(c, _)| c == class) {
            return Err(said!(
                "--lifetime {class}=… has no --rate {class}=…",
                "--lifetime {class}=… 没有对应的 --rate {class}=…"
            ));
        }
    }
    let classes: Vec<GivenClass> = arguments
        .rate
        .iter()
        .map(|(name, rate)| GivenClass {
            name: name.clone(),
            rate: *rate,
            lifetime: lifetime(name),
        })
        .collect();
    let namespace = after.namespaces.iter().find(|n| n.is_initial()).or(after.namespaces.first());
    size::given(&classes, arguments.peak, namespace, machine)
}

/// What captured packets need on this kernel with these timeouts and buckets.
fn captured(arguments: &Size, after: &Snapshot, machine: &Machine) -> Result<Demand, Failure> {
    let profile = after.host.kernel.value().map_or("running", |k| k.release.as_str());
    let language = language(arguments);
    replay::say_if_unseen(profile, language)?;
    let namespace = after.namespaces.iter().find(|n| n.is_initial());
    let timeouts = namespace.into_iter().flat_map(|n| {
        let names = n.settings.keys().filter(|name| name.contains("timeout"));
        names.filter_map(|name| Some((name.clone(), n.setting(name)?)))
    });
    // A timeout that the model does not know has no part in what it counts.
    let mut model = Settings::of(&machine.profile, Bytes::default());
    let timeouts = timeouts.filter(|(name, value)| model.set(name, *value).is_ok());
    // Whom early drop finds depends on the buckets.
    let buckets = machine.buckets_now.map(|buckets| (BUCKETS.to_owned(), buckets));
    let mut flags = replay::Arguments::without_a_limit(
        &arguments.capture,
        profile.to_owned(),
        timeouts.chain(buckets).collect(),
        (arguments.lang, arguments.json),
    );
    let mut unlimited = flags.clone();
    unlimited.set.push((MAX.into(), NO_LIMIT));
    let (mut answer, _) = replay::answer_for(&unlimited)?;
    if answer.tally.packets == 0 && answer.tally.truncated > 0 {
        return Err(Failure::Failed(Said::of(
            "no packet that could be read: they were cut within the headers; capture with tcpdump -s 128",
            "没有能读出的包：它们在包头之内就被截断了；请用 tcpdump -s 128 抓包",
        )));
    }
    if answer.tally.packets == 0 {
        return Err(Failure::Failed(Said::of("no packet that could be read", "没有能读出的包")));
    }
    let again = arguments.capture.iter().all(|path| replay::is_file(path));
    let chains = answer.as_set.outcome.lost_to_chains() > 0;
    if chains && again {
        // How many entries there would be is seen with more buckets.
        unlimited.no_search = false;
        answer = replay::answer_again(&unlimited)?;
    }
    let mean = answer.mean().unwrap_or(answer.needed());
    let peak = match arguments.peak {
        Some(times) => Peak::Given(times),
        None => Peak::Seen(answer.needed()),
    };
    let names: Vec<String> = arguments.capture.iter().map(|p| p.display().to_string()).collect();
    let protected = answer.as_set.outcome.peak_protected;
    let needed = answer.needed();
    let enough = count(needed.max(1));
    let mut remarks = Vec::new();
    let mut say = |text: String| remarks.push(Remark::Said(text));
    match &answer.more_buckets {
        Some(row) => {
            // The smaller one is searched with as many.
            flags.set.push((BUCKETS.into(), row.outcome.buckets));
            let buckets = count(row.outcome.buckets);
            say(spoken!(
                language,
                "With {buckets} buckets a limit of {enough} evicts nothing.",
                "有 {buckets} 个桶时，上限为 {enough} 就不淘汰任何条目。"
            ));
        }
        None if chains => say(spoken!(
            language,
            "Hash chains lost packets, so the load needs more than {enough} entries; of a pipe, which is read once, it is not \
             known how many.",
            "哈希链太长丢了包，所以负载需要的条目多于 {enough} 个；管道只能读一遍，不知道多多少。"
        )),
        // There is none that is smaller.
        None if needed <= 1 => say(spoken!(
            language,
            "A limit of 1 neither evicts nor drops anything.",
            "上限为 1 时既不淘汰也不丢包。"
        )),
        None => say(spoken!(
            language,
            "A limit of {enough} evicts nothing.",
            "上限为 {enough} 时不淘汰任何条目。"
        )),
    }
    let n = count(protected);
    let safe = if protected == 1 {
        spoken!(
            language,
            "1 entry at once is protected from eviction.",
            "同时有 1 个条目受保护，不会被淘汰。"
        )
    } else {
        spoken!(
            language,
            "{n} entries at once are protected from eviction.",
            "同时有 {n} 个条目受保护，不会被淘汰。"
        )
    };
    let searched = needed > 1 && again;
    let mut command = None;
    say(match searched.then(|| smallest(flags.clone(), protected)).transpose()? {
        None if again || needed <= 1 => safe,
        None => spoken!(
            language,
            "A pipe is read once: whether a smaller one drops nothing was not searched; {safe}",
            "管道只能读一遍：没有再找不丢包的更小上限；{safe}"
        ),
        Some(Some(row)) => {
            let (least, evicted) = (count(row.outcome.max), row.outcome.evicted);
            let (entries, evicted) = (counted(evicted, "entry", "entries"), count(evicted));
            command = shown(&flags, row.outcome.max, machine);
            let shows = command.as_ref().map_or_else(String::new, |_| {
                spoken!(language, " This shows it:", "用下面的命令可以看到：")
            });
            spoken!(
                language,
                "The smallest that drops nothing is about {least}: it evicts {entries} to make room (searched with the model). \
                 Whom early drop finds is chance, another boot's another; only what evicts nothing is certain. {safe}{shows}",
                "不丢包的最小上限大约是 {least}：为腾地方淘汰 {evicted} 个条目（用模型搜索得出）。会淘汰到谁要看\
                 运气，每次启动都不一样；只有不淘汰任何条目的上限才是确定的。{safe}{shows}"
            )
        }
        Some(None) => spoken!(
            language,
            "No smaller one was found that drops nothing; {safe}",
            "没有找到更小而不丢包的上限；{safe}"
        ),
    });
    remarks.extend(command.map(Remark::Command));
    remarks.extend(report::replay_caveats(&answer, language).into_iter().map(Remark::Said));
    let from = Origin::Captures(names.join(", "));
    Ok(Demand { from, classes: Vec::new(), mean, peak, remarks })
}

/// The command that shows what a limit makes of the captures; `None`: no line of a shell can name them safely.
fn shown(flags: &replay::Arguments, max: u64, machine: &Machine) -> Option<String> {
    let mut command = "plimsoll replay".to_owned();
    for path in &flags.captures {
        // What begins with a dash is no flag, and a path alone may stand for it.
        let path = path.to_str()?;
        let path = if path.starts_with('-') { format!("./{path}") } else { path.to_owned() };
        command = format!("{command} {}", shell_word(&path)?);
    }
    command = format!("{command} --profile {} --set {MAX}={max}", shell_word(&flags.profile)?);
    let mut usual = Settings::of(&machine.profile, flags.memory);
    for (name, value) in &flags.set {
        if usual.get(name) != Some(*value) && usual.set(name, *value).is_ok() {
            command = format!("{command} --set {name}={value}");
        }
    }
    Some(command + " --no-search")
}

/// The smallest limit that loses no packet; `None`: none was found under what evicts nothing. What may not be evicted has to
/// fit, so the search begins right below that.
fn smallest(mut flags: replay::Arguments, protected: u64) -> Result<Option<Row>, Failure> {
    flags.set.push((MAX.into(), protected.max(2) - 1));
    flags.no_search = false;
    let answer = replay::answer_again(&flags)?;
    Ok(if answer.as_set.outcome.lost == 0 { Some(answer.as_set) } else { answer.enough })
}
