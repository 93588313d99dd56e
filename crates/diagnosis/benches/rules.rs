//! Rulesets of 100,000 rules and hostile shapes, read and judged: each within 2 s.
//!
//! Time on the processor from the tool's output to the judgement of one service, median of three. Fails when a promise
//! is broken.
#![allow(missing_docs)]

use std::fmt::Write;
use std::time::Duration;

use plimsoll_diagnosis::rules::{Role, Traffic, judge};
use plimsoll_wire::filter::{Backend, Program, TableFamily, read_json, read_save};

const RULES: usize = 100_000;
const PROMISE: Duration = Duration::from_secs(2);

fn address(n: usize) -> String {
    format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)
}

/// One chain, each rule with an address of its own, new connections only.
fn flat() -> String {
    let mut text = String::from(
        "*filter\n:INPUT DROP [0:0]\n-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n",
    );
    for n in 0..RULES {
        writeln!(
            text,
            "-A INPUT -s {}/32 -p tcp -m state --state NEW -m tcp --dport {} -j ACCEPT",
            address(n),
            1 + n % 60_000
        )
        .expect("memory");
    }
    text + "COMMIT\n"
}

/// As kube-proxy writes 20,000 services.
fn services() -> String {
    let mut text = String::from("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j KUBE-SERVICES\n");
    for n in 0..RULES / 5 {
        let ip = address(n);
        write!(
            text,
            "-A KUBE-SERVICES -d {ip}/32 -p tcp -m comment --comment \"default/s{n} cluster IP\" -m tcp --dport 443 -j \
             KUBE-SVC-{n}\n-A KUBE-SVC-{n} ! -s 10.244.0.0/16 -d {ip}/32 -p tcp -m tcp --dport 443 -j KUBE-MARK-MASQ\n\
             -A KUBE-SVC-{n} -j KUBE-SEP-{n}\n-A KUBE-SEP-{n} -s {ip}/32 -j KUBE-MARK-MASQ\n\
             -A KUBE-SEP-{n} -p tcp -m tcp -j DNAT --to-destination {ip}:8443\n"
        )
        .expect("memory");
    }
    text + "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\nCOMMIT\n"
}

/// Chains that each call the next one ten times, for new connections: 10^10000 ways through.
fn fan() -> String {
    let mut text = String::from("*filter\n:INPUT DROP [0:0]\n-A INPUT -j c0\n");
    for n in 0..RULES / 10 {
        for _ in 0..10 {
            writeln!(text, "-A c{n} -m state --state NEW -j c{}", n + 1).expect("memory");
        }
    }
    text + "-A INPUT -m state --state NEW -j ACCEPT\nCOMMIT\n"
}

/// nft's JSON: 1,000 rules that ask one set of 65,536 addresses, then as many rules as promised.
fn json() -> String {
    let elements: Vec<String> = (0..65_536).map(|n| format!("\"{}\"", address(n * 2))).collect();
    let mut text = format!(
        r#"{{"nftables":[{{"table":{{"family":"inet","name":"t"}}}},{{"set":{{"family":"inet","name":"s","table":"t","elem":[{}]}}}},{{"chain":{{"family":"inet","table":"t","name":"input","type":"filter","hook":"input","prio":0,"policy":"drop"}}}}"#,
        elements.join(",")
    );
    for n in 0..RULES {
        let right = if n % 100 == 0 { "\"@s\"".to_owned() } else { format!("\"{}\"", address(n)) };
        write!(
            text,
            r#",{{"rule":{{"family":"inet","table":"t","chain":"input","handle":{n},"expr":[{{"match":{{"op":"==","left":{{"payload":{{"protocol":"ip","field":"saddr"}}}},"right":{right}}}}},{{"match":{{"op":"==","left":{{"payload":{{"protocol":"tcp","field":"dport"}}}},"right":{}}}}},{{"match":{{"op":"in","left":{{"ct":{{"key":"state"}}}},"right":"new"}}}},{{"accept":null}}]}}}}"#,
            1 + n % 60_000
        )
        .expect("memory");
    }
    text + "]}"
}

fn saved(text: &str) -> Program {
    let mut program = Program::default();
    read_save(text, Backend::Legacy, TableFamily::Ip, &mut program);
    program
}

fn told(text: &str) -> Program {
    let mut program = Program::default();
    read_json(text.as_bytes(), &mut program).expect("JSON");
    program
}

/// How long this thread has run, whatever else the machine does.
fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    Duration::from_nanos(text.split(' ').next().and_then(|n| n.parse().ok()).expect("a number"))
}

fn measure(name: &str, text: &str, read: fn(&str) -> Program) -> bool {
    let own = ["192.0.2.10".parse().expect("an address")];
    let mut times = [(Duration::ZERO, Duration::ZERO); 3];
    for time in &mut times {
        let started = on_processor();
        let program = read(text);
        time.0 = on_processor() - started;
        std::hint::black_box(judge(&program, [&Traffic::new(6, 443, Role::Server).on(&own)]));
        time.1 = on_processor() - started;
    }
    times.sort_by_key(|time| time.1);
    let (read, whole) = times[1];
    let kept = whole < PROMISE;
    println!(
        "{name:<44} read {:>6.0} ms, read and judged {:>6.0} ms{}",
        read.as_secs_f64() * 1e3,
        whole.as_secs_f64() * 1e3,
        if kept { "" } else { "  BROKEN: promised 2 s" }
    );
    kept
}

fn main() {
    let kept = [
        measure("100,000 iptables rules in one chain", &flat(), saved),
        measure("kube-proxy, 20,000 services, 100,000 rules", &services(), saved),
        measure("10,000 chains that call each other, 100,000", &fan(), saved),
        measure("100,000 nft rules, a set of 65,536", &json(), told),
    ];
    if kept.contains(&false) {
        std::process::exit(1);
    }
}
