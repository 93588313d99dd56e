//! Rules, by iptables-restore: all of one table's text or nothing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use plimsoll_diagnosis::plan::{IptablesChange, Placed};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::filter::{Backend, Chain, Program, TableFamily, read_save};

use rustix::fs::{FlockOperation, flock};

use super::{Seen, listed, program};
use crate::error::plain;
use crate::journal::Memo;
use crate::place::{self, Place};

/// Seconds to wait for the lock of xtables, which firewall services hold while they work.
const PATIENCE: &str = "5";
/// In a memo: the table was not there before.
const NO_TABLE: &str = "no table";

pub(super) fn look(c: &IptablesChange) -> io::Result<Seen> {
    let text = section(c)?.unwrap_or_default();
    let pieces: Vec<Piece<'_>> = c.revert.lines().filter_map(Piece::of).collect();
    let gone: Vec<&Piece<'_>> = pieces.iter().filter(|piece| !piece.is_in(&text)).collect();
    Ok(match gone.len() {
        n if n == pieces.len() => Seen::Before,
        0 => Seen::After,
        _ => {
            let gone: Vec<Said> = gone.into_iter().map(|piece| piece.said(c)).collect();
            Seen::Part(listed(&gone))
        }
    })
}

/// What a line of the text that takes a change back takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    /// A rule in a chain, known by its comment as `--comment "…"`.
    Rule { chain: &'a str, comment: &'a str },
    /// A chain of our own, with whatever is in it.
    Chain(&'a str),
}

impl<'a> Piece<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (verb, rest) = line.split_once(' ')?;
        let chain = rest.split(' ').next()?;
        match verb {
            "-D" => {
                let comment = &rest[rest.find("--comment \"")?..];
                let end = comment.match_indices('"').nth(1)?.0;
                Some(Self::Rule { chain, comment: &comment[..=end] })
            }
            "-X" => Some(Self::Chain(chain)),
            _ => None,
        }
    }

    fn is_in(&self, text: &str) -> bool {
        text.lines().any(|line| match self {
            Self::Rule { chain, comment } => {
                let rule = line.strip_prefix("-A ").and_then(|rest| rest.strip_prefix(chain));
                rule.is_some_and(|rest| rest.starts_with(' ') && rest.contains(comment))
            }
            Self::Chain(name) => {
                let head = line.strip_prefix(':').and_then(|rest| rest.strip_prefix(name));
                head.is_some_and(|rest| rest.starts_with(' '))
            }
        })
    }

    fn said(&self, c: &IptablesChange) -> Said {
        let table = format!("{} {}", c.restore.trim_end_matches("-restore"), c.table);
        match self {
            Self::Rule { chain, .. } => {
                said!("a rule in {table} {chain}", "{table} {chain} 里的一条规则")
            }
            Self::Chain(name) => said!("chain {table} {name}", "链 {table} {name}"),
        }
    }
}

/// The text that takes back what is there of a change.
fn revert_of(c: &IptablesChange, there: &str) -> String {
    let is_there = |line: &&str| {
        let emptied = line.strip_prefix("-F ").map(Piece::Chain);
        Piece::of(line).or(emptied).is_none_or(|piece| piece.is_in(there))
    };
    c.revert.lines().filter(is_there).flat_map(|line| [line, "\n"]).collect()
}

/// `--test` checks the text and commits nothing, but it brings the table into being, so it is only asked
/// where the table is there.
pub(super) fn prepare(c: &IptablesChange) -> io::Result<()> {
    program::find(&c.restore)?;
    fits(c)?;
    if section(c)?.is_none() {
        return Ok(());
    }
    program::run(&c.restore, &["-n", "--test"], &c.apply).map(|_| ())
}

pub(super) fn before(c: &IptablesChange) -> io::Result<Memo> {
    if section(c)?.is_some() {
        return Ok(Memo::new());
    }
    let module = module_of(c);
    let mut memo = vec![NO_TABLE.to_owned()];
    if !loaded(&module)? {
        memo.push(without(&module));
    }
    Ok(memo)
}

pub(super) fn make(c: &IptablesChange) -> io::Result<()> {
    fits(c)?;
    restore(c, &c.apply)?;
    held(c, Placed::misplaced)
}

/// Whether the rules that the places of ours were chosen by are still there.
fn fits(c: &IptablesChange) -> io::Result<()> {
    held(c, Placed::changed)
}

fn held(
    c: &IptablesChange,
    wrong: impl Fn(&Placed, Option<&Chain>) -> Option<Said>,
) -> io::Result<()> {
    if c.placed.is_empty() {
        return Ok(());
    }
    let mut now = Program::default();
    let text = section(c)?.unwrap_or_default();
    read_save(&text, Backend::Legacy, TableFamily::Ip, &mut now);
    let table = now.tables.first();
    let chain = |p: &Placed| table.and_then(|t| t.chains.get(t.chain(&p.chain)?));
    match c.placed.iter().find_map(|p| wrong(p, chain(p))) {
        Some(why) => Err(io::Error::other(why)),
        None => Ok(()),
    }
}

pub(super) fn take_back(c: &IptablesChange) -> io::Result<()> {
    let there = section(c)?.unwrap_or_default();
    restore(c, &revert_of(c, &there))
}

/// Takes the table away that came with the change, once nothing is in it. `Some`: which one stays, and why. May be asked
/// again at any time.
pub(super) fn give_back(
    place: &Place,
    c: &IptablesChange,
    before: &Memo,
) -> io::Result<Option<Said>> {
    if !before.iter().any(|word| word == NO_TABLE) || !place.run(|| bare(c))? {
        return Ok(None);
    }
    if program::run(&c.restore, &["--version"], "")?.contains("nf_tables") {
        place.run(|| drop_empty_table(c))?;
        return Ok(None);
    }
    let stays = unload(place, c, before).err();
    Ok(stays.map(|why| {
        let why = plain(&why);
        said!("{} of {} ({why})", "{1} 的 {0}（{why:#}）", c.table, c.save)
    }))
}

/// Whether the table is there, with no rule, no chain of its own, and no policy but ACCEPT.
fn bare(c: &IptablesChange) -> io::Result<bool> {
    let bare =
        |text: String| text.lines().skip(1).all(|l| l.starts_with(':') && l.contains(" ACCEPT "));
    Ok(section(c)?.is_some_and(bare))
}

/// iptables on nf_tables makes a table with its first rule and leaves it behind with the last.
fn drop_empty_table(c: &IptablesChange) -> io::Result<()> {
    let family = if c.restore.starts_with("ip6") { "ip6" } else { "ip" };
    let text = program::run("nft", &["list", "table", family, &c.table], "")?;
    if is_empty(&text) {
        program::run("nft", &["delete", "table", family, &c.table], "")?;
    }
    Ok(())
}

/// A table of old iptables goes with its module only, in all namespaces at once, with the rules of all: so only if the
/// module came with the change, and nobody else has the table. The error is why it stays.
fn unload(place: &Place, c: &IptablesChange, before: &Memo) -> io::Result<()> {
    let stays = |why: Said| Err(io::Error::other(why));
    let module = module_of(c);
    if !loaded(&module)? {
        return stays(Said::of("it is built into this kernel", "它已编译进本内核"));
    }
    if !before.contains(&without(&module)) {
        return stays(said!(
            "its module {module} was loaded before",
            "它的模块 {module} 之前就已加载"
        ));
    }
    if !place::shows_the_host() {
        return stays(Said::of(
            "not all namespaces can be seen from here",
            "从这里看不到所有命名空间",
        ));
    }
    // Whoever writes such rules holds it, so nobody does from the look until the module is gone.
    let _held = lock()?;
    let names = if c.restore.starts_with("ip6") { "ip6" } else { "ip" };
    let names = format!("/proc/thread-self/net/{names}_tables_names");
    let holders = Place::all().iter().try_fold(0, |holders, (_, one)| {
        let has = one.run(|| match fs::read_to_string(&names) {
            Ok(text) => Ok(text.lines().any(|name| name == c.table)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        })?;
        io::Result::Ok(holders + u32::from(has))
    })?;
    if holders > 1 {
        return stays(Said::of("another network namespace has it too", "另一个网络命名空间也有它"));
    }
    if !place.run(|| bare(c))? {
        return stays(Said::of("somebody else has put something in it", "别人在里面放了东西"));
    }
    program::run("modprobe", &["-r", &module], "").map(|_| ())
}

/// The lock that iptables of old and its restore wait for.
fn lock() -> io::Result<File> {
    const TRIES: u32 = 100;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open("/run/xtables.lock")?;
    for _ in 0..TRIES {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(50)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other(Said::of("another iptables is at work", "另一个 iptables 正在运行")))
}

fn module_of(c: &IptablesChange) -> String {
    let family = if c.restore.starts_with("ip6") { "ip6table" } else { "iptable" };
    format!("{family}_{}", c.table)
}

/// In a memo: the module was not loaded before.
fn without(module: &str) -> String {
    format!("no module {module}")
}

/// Whether it is in the kernel and can be taken out.
fn loaded(module: &str) -> io::Result<bool> {
    match fs::read_to_string("/proc/modules") {
        Ok(text) => Ok(text.lines().any(|l| l.split(' ').next() == Some(module))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// No line but the heads of chains.
fn is_empty(listing: &str) -> bool {
    listing.lines().map(str::trim).all(|line| {
        let head = line.starts_with("table ") || line.starts_with("chain ");
        line.is_empty() || line == "}" || head || line.ends_with("policy accept;")
    })
}

/// The text of the table, from `*table` to COMMIT. The whole is asked for: to name a table brings it into
/// being.
fn section(c: &IptablesChange) -> io::Result<Option<String>> {
    let text = program::run(&c.save, &[], "")?;
    let head = format!("*{}", c.table);
    let mut lines = text.lines().skip_while(|l| *l != head).peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    Ok(Some(lines.take_while(|l| *l != "COMMIT").collect::<Vec<_>>().join("\n")))
}

fn restore(c: &IptablesChange, text: &str) -> io::Result<()> {
    // Versions before 1.6.2 do not wait; those do not know the option either.
    match program::run(&c.restore, &["-n", "-w", PATIENCE], text) {
        Err(error) if error.to_string().contains("option") => {
            program::run(&c.restore, &["-n"], text).map(|_| ())
        }
        other => other.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_there_is_taken_back() {
        let jump =
            |hook| format!("{hook} -p tcp -m comment --comment \"plimsoll: x\" -j PLIMSOLL-X");
        let (before, after) = (jump("PREROUTING"), jump("OUTPUT"));
        let revert =
            format!("*raw\n-D {before}\n-D {after}\n-F PLIMSOLL-X\n-X PLIMSOLL-X\nCOMMIT\n");
        let c = IptablesChange {
            restore: "iptables-restore".into(),
            save: "iptables-save".into(),
            table: "raw".into(),
            apply: String::new(),
            revert: revert.clone(),
            marks: Vec::new(),
            placed: Vec::new(),
        };
        let chains = "*raw\n:OUTPUT ACCEPT [1:2]\n:PLIMSOLL-X - [0:0]\n:PLIMSOLL-XY - [0:0]\n";
        assert_eq!(revert_of(&c, &format!("{chains}-A {before}\n-A {after}\n")), revert);
        // Two rules have one comment, and one of them is gone.
        let one = format!("*raw\n-D {after}\n-F PLIMSOLL-X\n-X PLIMSOLL-X\nCOMMIT\n");
        assert_eq!(revert_of(&c, &format!("{chains}-A {after}\n")), one);
        let others = "*raw\n:PLIMSOLL-XY - [0:0]\n-A OUTPUT -j PLIMSOLL-XY\n";
        assert_eq!(revert_of(&c, others), "*raw\nCOMMIT\n");
    }

    #[test]
    fn a_table_with_a_rule_or_a_policy_is_not_empty() {
        let head =
            "table ip raw {\n\tchain OUTPUT {\n\t\ttype filter hook output priority raw; policy ";
        assert!(is_empty(&format!("{head}accept;\n\t}}\n}}\n")));
        assert!(!is_empty(&format!("{head}drop;\n\t}}\n}}\n")));
        assert!(!is_empty(&format!("{head}accept;\n\t\ttcp dport 22 accept\n\t}}\n}}\n")));
    }
}
