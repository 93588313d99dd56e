//! Rulesets as firewalls, container engines and distributions write them (fixtures/rules/corpus/RECIPE.md), each with what
//! the analyser says of some ports: `expected.txt` is read by people. `PLIMSOLL_BLESS=1` writes it anew.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use plimsoll_diagnosis::rules::{Role, Traffic, judge};
use plimsoll_wire::filter::{Backend, Program, TableFamily, read_json, read_save};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/rules/corpus");

fn program(directory: &Path) -> Program {
    let mut program = Program::default();
    for (name, backend, family) in [
        ("iptables-legacy-save", Backend::Legacy, TableFamily::Ip),
        ("ip6tables-legacy-save", Backend::Legacy, TableFamily::Ip6),
        ("iptables-nft-save", Backend::IptablesNft, TableFamily::Ip),
        ("ip6tables-nft-save", Backend::IptablesNft, TableFamily::Ip6),
    ] {
        if let Ok(text) = fs::read_to_string(directory.join(name)) {
            read_save(&text, backend, family, &mut program);
        }
    }
    if let Ok(json) = fs::read(directory.join("nft.json")) {
        read_json(&json, &mut program).unwrap();
    }
    assert!(!program.tables.is_empty(), "{}", directory.display());
    program
}

/// `tcp/443 server`, `tcp/22 server with 10.0.0.0/8`
fn traffic(question: &str, own: &[IpAddr]) -> Traffic {
    let words: Vec<&str> = question.split_whitespace().collect();
    let (protocol, port) = words[0].split_once('/').unwrap();
    let role = match words[1] {
        "server" => Role::Server,
        "client" => Role::Client,
        "forward" => Role::Forward,
        other => panic!("{other}"),
    };
    let number = if protocol == "tcp" { 6 } else { 17 };
    let traffic = Traffic::new(number, port.parse().unwrap(), role).on(own);
    match words.get(2..) {
        Some(["with", prefix]) => {
            let (ip, bits) = prefix.split_once('/').unwrap();
            traffic.with((ip.parse().unwrap(), bits.parse().unwrap()))
        }
        _ => traffic,
    }
}

fn answer(program: &Program, question: &str, own: &[IpAddr]) -> String {
    let judgement = judge(program, [&traffic(question, own)]);
    let mut text = format!("{question}\n");
    for need in &judgement.needs {
        writeln!(text, "  needed: {}", need.sentence()).unwrap();
    }
    for why in &judgement.blocked {
        writeln!(text, "  blocked: {why}").unwrap();
    }
    for rule in &judgement.closed {
        writeln!(text, "  closed: {rule}").unwrap();
    }
    for rule in &judgement.untracked {
        writeln!(text, "  untracked: {rule}").unwrap();
    }
    for note in &judgement.notes {
        writeln!(text, "  note: {note}").unwrap();
    }
    for accept in &judgement.accepts {
        writeln!(text, "  ahead of {}", accept.stands_for).unwrap();
        writeln!(
            text,
            "    {} {} {}: {}",
            accept.table,
            accept.chain,
            accept.before,
            accept.rule()
        )
        .unwrap();
    }
    if text.lines().count() == 1 {
        text.push_str("  may be untracked as it is\n");
    }
    text
}

fn answers(directory: &Path) -> (String, String) {
    let path = directory.join("expected.txt");
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let own = expected.lines().find_map(|l| l.strip_prefix("on ")).expect("a line `on ADDRESSES`");
    let addresses: Vec<IpAddr> = own.split_whitespace().map(|ip| ip.parse().unwrap()).collect();
    let program = program(directory);
    let mut text = format!("on {own}\n");
    for question in expected.lines().filter(|l| l.starts_with("tcp/") || l.starts_with("udp/")) {
        text.push('\n');
        text.push_str(&answer(&program, question, &addresses));
    }
    (expected, text)
}

fn rulesets() -> Vec<PathBuf> {
    let all = fs::read_dir(CORPUS).unwrap().map(|e| e.unwrap().path());
    let mut all: Vec<PathBuf> =
        all.filter(|p| p.is_dir() && p.file_name().is_some_and(|n| n != "written")).collect();
    all.sort();
    all
}

#[test]
fn rulesets_as_firewalls_write_them_are_judged_as_expected() {
    let all = rulesets();
    assert!(all.len() >= 11, "{all:?}");
    for directory in all {
        let (expected, text) = answers(&directory);
        if std::env::var_os("PLIMSOLL_BLESS").is_some() {
            fs::write(directory.join("expected.txt"), text).unwrap();
        } else {
            assert_eq!(text, expected, "{}", directory.display());
        }
    }
}
