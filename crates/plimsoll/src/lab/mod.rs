//! `plimsoll lab`: the whole incident, staged, shown, cured, in under a minute.

use std::io::{self, ErrorKind, IsTerminal, Write, stderr};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use plimsoll_ct::{Counter, Entries, Seconds};
use plimsoll_diagnosis::{Said, said};
use plimsoll_lab::{
    Closing, HostLimit, Kind, Lab, LabError, Options, Pace, Repair, SERVICE_PORT, Sources,
    Visitors, install_signal_cleanup, sweep,
};
use plimsoll_probe::said_of;
use plimsoll_report::Language;
use plimsoll_report::number::count;

use crate::arguments::{self, Screen};
use crate::{check, exit, terminal};

/// How long another lab that has the limit is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Visitors a second: enough to see, too few to matter.
const VISITORS: u32 = 50;
/// SYNs a second of the flood: each wants a new entry.
const FLOOD: u64 = 2000;
/// The fill stops this share short of the limit; the visitors and the flood do the rest.
const SHORT: u64 = 200;

/// Runs the story.
pub fn run(arguments: &arguments::Lab) -> ExitCode {
    let voice = Voice(terminal::spoken(arguments.lang, false));
    let ended = if arguments.clean { voice.clean() } else { voice.story(arguments) };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended::Lab(error)) => {
            let _ = writeln!(stderr(), "plimsoll lab: {}", told(&error).spoken(voice.0));
            exit::failed()
        }
        // Whoever closed the pipe has seen enough.
        Err(Ended::Unwritten(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Ended::Unwritten(error)) => exit::unwritten(voice.0, &terminal::unwritten(&error)),
    }
}

/// What ends the story before its end. The lab is undone on the way out.
enum Ended {
    /// The lab could not do what comes next.
    Lab(LabError),
    /// Nobody is told any more.
    Unwritten(io::Error),
}

impl From<LabError> for Ended {
    fn from(error: LabError) -> Self {
        Self::Lab(error)
    }
}

/// What stopped it, as it is told.
fn told(error: &LabError) -> Said {
    match error {
        LabError::System { doing, source } => {
            said!("{doing}: {}", "{doing:#}：{:#}", said_of(source))
        }
        ours => said!("{ours}", "{ours:#}"),
    }
}

/// Who tells the story, in a language.
#[derive(Debug, Clone, Copy)]
struct Voice(Language);

impl Voice {
    fn clean(self) -> Result<(), Ended> {
        let limit = HostLimit::repair(PATIENCE)?;
        let swept = sweep()?.len();
        self.line(&match limit {
            Repair::NothingToDo => {
                Said::of("The limit was left as it should be.", "上限没有留下改动。")
            }
            Repair::Restored(limit) => {
                said!("The limit is {} again.", "上限已恢复为 {}。", count(limit.0))
            }
            Repair::ChangedByOthers(limit) => said!(
                "Somebody set the limit to {} meanwhile: left alone.",
                "其间有人把上限设为 {}：保持不动。",
                count(limit.0)
            ),
        })?;
        self.line(&said!("Namespaces removed: {swept}.", "删除的命名空间：{swept} 个。"))?;
        Ok(())
    }

    fn story(self, arguments: &arguments::Lab) -> Result<(), Ended> {
        let started = Instant::now();
        install_signal_cleanup()?;
        self.heading(
            1,
            &Said::of(
                "Two network namespaces: a server behind a stateful firewall, and its clients",
                "两个网络命名空间：有状态防火墙后面的一台服务器，和它的客户端",
            ),
        )?;
        let lab = Lab::build(&Options {
            limit: arguments.max.map(Entries),
            patience: PATIENCE,
            ..Options::default()
        })?;
        let max = lab.limit().get().get();
        let (was, name) = (lab.limit().was(), lab.server().name());
        self.say(&match lab.limit().set() {
            Some(set) => said!(
                "The limit is {} entries for now; {} comes back whatever happens.",
                "上限暂时是 {} 个条目；无论发生什么都会恢复为 {}。",
                count(set.0),
                count(was.0)
            ),
            None => said!(
                "The limit is this host's own: {} entries.",
                "上限就是本机自己的：{} 个条目。",
                count(max)
            ),
        })?;
        self.say(&said!("The server's namespace is {name}.", "服务器的命名空间是 {name}。"))?;
        let visitors = lab.keep_visiting(VISITORS)?;
        self.watch(&lab, &visitors, 2)?;

        self.heading(2, &Said::of("Connections that nobody ever closes", "从来没有人关闭的连接"))?;
        let room = (max - max / SHORT).saturating_sub(lab.count()?);
        self.fill(&lab, room)?;

        self.heading(
            3,
            &Said::of("And a SYN flood on top: the table is full", "再加上 SYN 洪水：表满了"),
        )?;
        let flood = lab.flood(Kind::Syn, Sources::Unanswered, Pace::steady(FLOOD))?;
        self.watch(&lab, &visitors, 3)?;

        self.heading(4, &Said::of("What plimsoll check says of it", "plimsoll check 怎么说"))?;
        let screen = Screen { color: arguments.color, width: None, ascii: false };
        let answer = check::screen_of_namespace(name, &screen, arguments.lang);
        self.text(&format!("\n{answer}"))?;

        self.heading(
            5,
            &Said::of(
                "A cure that touches this namespace only: leave the hot port untracked",
                "只动这个命名空间的治法：不跟踪繁忙的端口",
            ),
        )?;
        for step in lab.untrack(SERVICE_PORT)? {
            self.say(&Said::name(format!("# {step}")))?;
        }
        let idle = Seconds(7440);
        lab.set_timeout("tcp_timeout_established", idle)?;
        self.say(&Said::name(format!(
            "# sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established={idle}"
        )))?;
        for line in [
            Said::of(
                "The shorter timeout frees nothing that is there: it is for what comes. Untracked, the port",
                "较短的超时不会释放已有的条目：它只管以后的。不跟踪之后，这个端口完全不需要",
            ),
            Said::of(
                "needs no entry at all, so the table may stay full. The flood goes on:",
                "条目，所以表满着也无妨。洪水还在继续：",
            ),
        ] {
            self.say(&line)?;
        }
        self.watch(&lab, &visitors, 3)?;
        let sent = flood.stop()?;
        drop(visitors);

        self.heading(6, &Said::of("Gone without a trace", "不留痕迹"))?;
        lab.cleanup()?;
        let (limit, seconds) = (HostLimit::current()?, started.elapsed().as_secs());
        self.say(&said!(
            "Namespaces removed, {} SYNs sent in all, the limit is {}. {seconds} s.",
            "命名空间已删除，总共发出 {} 个 SYN，上限是 {}。用时 {seconds} 秒。",
            count(sent),
            count(limit.0)
        ))?;
        Ok(())
    }

    /// Fills with real connections, with the progress on a terminal.
    fn fill(self, lab: &Lab, connections: u64) -> Result<(), Ended> {
        let live = stderr().is_terminal();
        let shown = Mutex::new(Instant::now());
        let filled = lab.fill_tcp_scattered(connections, Closing::Silent, &|made| {
            if let Ok(mut last) = shown.try_lock()
                && live
                && last.elapsed() > Duration::from_millis(200)
            {
                *last = Instant::now();
                let (made, all) = (count(made), count(connections));
                let line = said!("{made} of {all} connections", "{made} / {all} 条连接");
                let _ = write!(stderr(), "\r   {} ", line.spoken(self.0));
            }
        })?;
        if live {
            let _ = write!(stderr(), "\r{:50}\r", "");
        }
        let (made, seconds) = (count(filled.made), filled.took.as_secs_f64());
        self.say(&said!(
            "{made} real handshakes in {seconds:.0} s; both ends then fell silent, as a crashed client does.",
            "{seconds:.0} 秒内完成 {made} 次真实的握手；然后两端都沉默了，就像客户端崩溃了那样。"
        ))?;
        let held = count(lab.count()?);
        self.say(&said!(
            "The table holds {held} entries; theirs are ASSURED, and each is good for five days.",
            "表里有 {held} 个条目；这些连接的都是 ASSURED，个个都能留五天。"
        ))?;
        Ok(())
    }

    /// A line a second: the table, and what the visitors feel.
    fn watch(self, lab: &Lab, visitors: &Visitors, seconds: u32) -> Result<(), Ended> {
        let (mut reading, mut visits) = (lab.reading()?, visitors.visits());
        for _ in 0..seconds {
            std::thread::sleep(Duration::from_secs(1));
            let (now, came) = (lab.reading()?, visitors.visits());
            let between = came.since(visits);
            let dropped = count(now.grown(Counter::Drop, &reading));
            let evicted = count(now.grown(Counter::EarlyDrop, &reading));
            self.say(&said!(
                "{:>11} entries   dropped {dropped:>6}   evicted {evicted:>6}   visitors {:>3} served, {:>3} lost",
                "{:>11} 个条目   丢弃 {dropped:>6}   淘汰 {evicted:>6}   访客成功 {:>3}，失败 {:>3}",
                count(now.entries),
                between.served,
                between.lost,
            ))?;
            (reading, visits) = (now, came);
        }
        Ok(())
    }

    fn heading(self, number: u32, text: &Said) -> Result<(), Ended> {
        self.text(&format!("\n{number}. {}\n", text.spoken(self.0)))
    }

    fn say(self, text: &Said) -> Result<(), Ended> {
        self.text(&format!("   {}\n", text.spoken(self.0)))
    }

    fn line(self, text: &Said) -> Result<(), Ended> {
        self.text(&format!("{}\n", text.spoken(self.0)))
    }

    fn text(self, text: &str) -> Result<(), Ended> {
        terminal::write(text).map_err(Ended::Unwritten)
    }
}
