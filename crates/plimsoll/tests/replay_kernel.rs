//! `plimsoll replay` beside the running kernel: what it prints of a capture is, line by line, what the kernel
//! shows of the same packets. Lines are compared without their order; what is left of a timeout may differ by a second.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use plimsoll_ct::{Zone, ZoneDirection};
use plimsoll_diagnosis::boot::written;
use plimsoll_fidelity::complaints::KernelLog;
use plimsoll_fidelity::filling::{Filling, Mix, Step};
use plimsoll_fidelity::forge;
use plimsoll_fidelity::full::Turn;
use plimsoll_fidelity::generated::sample;
use plimsoll_fidelity::kernel::{Kernel, POLICIES};
use plimsoll_fidelity::recording::{Recording, wall_clock};
use plimsoll_fidelity::run::ready;
use plimsoll_model::{Helper, Treatment};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_plimsoll");

/// Standard output of a command, started in the calling thread's namespace.
fn told(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(
        out.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap()
}

/// `conntrack -E` of the calling thread's namespace, listening.
struct Listener {
    child: Child,
    lines: Receiver<String>,
}

/// One at a time: a low limit is everybody's.
static ALONE: Mutex<()> = Mutex::new(());

const PATIENCE: Duration = Duration::from_secs(60);

impl Listener {
    fn start() -> Self {
        // Into a pipe the tool would write by blocks.
        let mut child = Command::new("stdbuf")
            .args(["-oL", "conntrack", "-E", "-o", "timestamp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pipe = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Ends with the tool, or with whoever wanted its lines.
            for line in pipe.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let listener = Self { child, lines };
        listener.has_read_all();
        listener
    }

    /// Waits until the tool listens and nothing waits for it: its buffer holds some hundred events, and
    /// its flag for a larger one is for another socket (1.4.7).
    fn has_read_all(&self) {
        let patience = Instant::now() + PATIENCE;
        loop {
            // The namespace is ours alone: whoever is in the three groups of events is the tool.
            let sockets = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
            let idle = sockets.lines().any(|line| {
                let words: Vec<_> = line.split_whitespace().collect();
                matches!(words[..], [_, "12", _, "00000007", "0", ..])
            });
            if idle {
                return;
            }
            assert!(Instant::now() < patience, "conntrack -E does not listen");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Its lines up to the one that names `last`.
    fn until(self, last: &str) -> String {
        let mut text = String::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|e| panic!("conntrack -E: {e}, behind\n{text}"));
            text += &line;
            text.push('\n');
            if line.contains(last) {
                return text;
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line without the numbers that may differ by one, and these numbers.
fn apart(line: &str, places: &[usize]) -> (String, Vec<f64>) {
    let mut numbers = Vec::new();
    let mut words = Vec::new();
    for (place, word) in line.split_whitespace().enumerate() {
        let bare = word.trim_matches(['[', ']']);
        match bare.parse::<f64>() {
            Ok(number) if places.contains(&place) => {
                numbers.push(number);
                words.push("*");
            }
            Ok(_) | Err(_) => words.push(word),
        }
    }
    (words.join(" "), numbers)
}

/// What differs between two texts, without the lines' order; the numbers at `places` may differ by one. A
/// line whose numbers are all below 2 may be on one side only: it is about an entry that goes.
fn differences(kernel: &str, replay: &str, places: &[usize]) -> Vec<String> {
    type Sides = [Vec<Vec<f64>>; 2];
    let mut lines: BTreeMap<String, Sides> = BTreeMap::new();
    for (side, text) in [kernel, replay].into_iter().enumerate() {
        for line in text.lines() {
            let (bare, numbers) = apart(line, places);
            lines.entry(bare).or_default()[side].push(numbers);
        }
    }
    let mut differences = Vec::new();
    for (line, [mut kernel, mut replay]) in lines {
        kernel.sort_by(|a, b| a.partial_cmp(b).unwrap());
        replay.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1.0);
        let same = kernel.len() == replay.len()
            && kernel.iter().zip(&replay).all(|(k, r)| k.len() == r.len() && near(k, r));
        if !same {
            differences.push(format!("{line}\n     kernel {kernel:?}\n     replay {replay:?}"));
        }
    }
    differences
}

/// A capture of generated flows, and what the kernel showed of them.
struct Shown {
    capture: PathBuf,
    at: String,
    events: String,
    proc: String,
    /// In the form of the proc file, in that of the tool.
    expected: [String; 2],
    tool: String,
    statistics: [String; 2],
    /// All of it was shown at once, and soon behind the packets: others may keep conntrack's netlink busy for seconds.
    at_once: bool,
}

/// A capture as a file, to be removed by who asks for it.
fn stored(recording: &Recording, name: &str) -> PathBuf {
    let name = format!("plimsoll-replay-kernel-{}-{name}.pcap", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, recording.bytes()).unwrap();
    path
}

const STATISTICS: &str = "/proc/thread-self/net/stat/nf_conntrack";
const SETTINGS: &[(&str, u64)] = &[("nf_conntrack_checksum", 0), ("nf_conntrack_acct", 1)];

/// How packets are treated, and the arguments that say so.
struct Case {
    treatment: Treatment,
    arguments: Vec<String>,
}

#[test]
fn a_number_is_read_as_the_kernel_reads_what_is_written_to_a_key() {
    if !ready() {
        return;
    }
    let _kernel = Kernel::new().unwrap();
    let key = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout";
    for text in [
        "10",
        "010",
        "0x10",
        "0X10",
        "08",
        "0x",
        "0b1",
        " 10 ",
        "\t10\n",
        "\u{b}10",
        "\r10",
        "10\r",
        "10\u{b}",
        "+10",
        "-10",
        "-010",
        "- 10",
        "10 20",
        "10 x",
        "10x",
        "10,",
        "10\0",
        "1_0",
        "4294967296",
        "18446744073709551616",
        "00000000000000000010",
        "000000000000000000010",
        "-0000000000000000010",
        "-00000000000000000010",
    ] {
        std::fs::write(key, "77").unwrap();
        let refused = std::fs::write(key, text).is_err();
        let kernel: i64 = std::fs::read_to_string(key).unwrap().trim().parse().unwrap();
        // What is out of any key's range is refused later.
        let own = written(text).ok().filter(|(number, _)| i32::try_from(*number).is_ok());
        assert_eq!(own.map_or(77, |(number, _)| number), kernel, "{text:?}");
        assert_eq!(own.is_none(), refused, "{text:?}");
    }
}

/// Sends flows through a router and keeps all that the kernel shows of it.
fn shown(treatment: &Treatment, seed: u64) -> Shown {
    let kernel = Kernel::new().unwrap();
    for (name, value) in SETTINGS {
        kernel.set(name, *value).unwrap();
    }
    let before = std::fs::read_to_string(STATISTICS).unwrap();
    let listener = Listener::start();
    let mut recording = Recording::default();
    let start = Instant::now();
    for (n, flow) in sample(700, seed).unwrap().iter().enumerate() {
        if flow.way.is_local() || flow.is_authenticated() {
            continue;
        }
        for (packet, _) in flow.packets(n as u32) {
            recording.send(&kernel, &packet, treatment).unwrap();
            if recording.packets() % 32 == 0 {
                listener.has_read_all();
            }
        }
    }
    assert!(recording.packets() > 2000, "{} packets", recording.packets());
    let ends = ("10.255.0.1".parse().unwrap(), "10.255.0.2".parse().unwrap());
    let last = forge::udp(ends.0, ends.1, (999, 53), 0, 0);
    recording.send(&kernel, &last, treatment).unwrap();
    let events = listener.until("sport=999 ");
    // The proc file goes first: reading it removes nothing.
    let proc = std::fs::read_to_string("/proc/thread-self/net/nf_conntrack").unwrap();
    let expected = std::fs::read_to_string("/proc/thread-self/net/nf_conntrack_expect").unwrap();
    let (at, listing) = (wall_clock().unwrap(), Instant::now());
    let tools = ["ipv4", "ipv6"].map(|f| told("conntrack", &["-L", "expect", "-f", f])).concat();
    let expected = [expected, tools];
    let tool = ["ipv4", "ipv6"].map(|family| told("conntrack", &["-L", "-f", family])).concat();
    let after = std::fs::read_to_string(STATISTICS).unwrap();
    let at_once =
        listing.elapsed() < Duration::from_millis(500) && start.elapsed() < Duration::from_secs(8);
    let capture = stored(&recording, &seed.to_string());
    let at = format!("@{}.{:09}", at / 1_000_000_000, at % 1_000_000_000);
    Shown { capture, at, events, proc, expected, tool, statistics: [before, after], at_once }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.capture);
    }
}

impl Shown {
    fn replay(&self, case: &Case, arguments: &[&str]) -> String {
        let mut all = vec!["replay", self.capture.to_str().unwrap(), "--at", &self.at];
        all.extend(case.arguments.iter().map(String::as_str));
        let settings: Vec<_> = SETTINGS.iter().map(|(k, v)| format!("--set={k}={v}")).collect();
        all.extend(settings.iter().map(String::as_str));
        // Many datagrams wait for their last parts.
        all.extend(["--set=nf_conntrack_frag6_high_thresh=268435456"]);
        all.extend(arguments);
        told(BINARY, &all)
    }
}

/// The columns of a statistics file, summed over the CPUs but for the first.
fn columns(text: &str) -> (&str, Vec<u64>) {
    let mut lines = text.lines();
    let header = lines.next().unwrap();
    let mut sums = vec![0; header.split_whitespace().count()];
    for (cpu, line) in lines.enumerate() {
        let values: Vec<_> = line.split_whitespace().collect();
        assert_eq!(values.len(), sums.len(), "{line}");
        for (place, (sum, value)) in sums.iter_mut().zip(values).enumerate() {
            // How full the table is stands on each line.
            if place > 0 || cpu == 0 {
                *sum += u64::from_str_radix(value, 16).unwrap();
            }
        }
    }
    (header, sums)
}

/// What differs between the kernel's statistics, as they grew, and replay's, by name.
fn statistics_differ([before, after]: &[String; 2], replay: &str) -> Vec<String> {
    let (header, replay) = columns(replay);
    let ((_, before), (kernels, after)) = (columns(before), columns(after));
    if header != kernels {
        return vec![format!("statistics: kernel {kernels:?}, replay {header:?}")];
    }
    let names = header.split_whitespace();
    let mut differences = Vec::new();
    for (name, ((before, after), replay)) in names.zip(before.iter().zip(&after).zip(&replay)) {
        // A lookup that another CPU's work sent around again is chance.
        if name != "search_restart" && after - before != *replay {
            differences.push(format!("{name}: kernel {}, replay {replay}", after - before));
        }
    }
    differences
}

fn compare(case: &Case, seed: u64) {
    let patience = Instant::now() + 2 * PATIENCE;
    let shown_once = || shown(&case.treatment, seed);
    let mut shown = shown_once();
    while !shown.at_once {
        assert!(Instant::now() < patience, "the table was never shown at once");
        shown = shown_once();
    }
    let mut wrong = Vec::new();
    for (what, kernel, arguments, places) in [
        ("/proc/net/nf_conntrack", &shown.proc, &["--dump"][..], &[4][..]),
        ("conntrack -L", &shown.tool, &["--dump", "-o", "conntrack"], &[2]),
        ("conntrack -E", &shown.events, &["--events", "-o", "timestamp"], &[0, 4]),
    ] {
        assert!(kernel.lines().count() > 100, "{what}: {} lines", kernel.lines().count());
        let found = differences(kernel, &shown.replay(case, arguments), places);
        if !found.is_empty() {
            wrong.push(format!(
                "{what}: {} differ, among them\n  {}",
                found.len(),
                found[..found.len().min(5)].join("\n  ")
            ));
        }
    }
    for (kernel, form) in shown.expected.iter().zip(["proc", "conntrack"]) {
        let own = shown.replay(case, &["--expectations", "-o", form]);
        wrong.extend(differences(kernel, &own, &[0]));
        assert_eq!(kernel.is_empty(), case.treatment.helper.is_none(), "{form}: {kernel}");
    }
    // Beside other settings, with which none of these cases shares a table: to each its own.
    let others = ["--what-if=nf_conntrack_max=9,100", "--what-if=nf_conntrack_udp_timeout=1"];
    let beside = shown.replay(case, &[&["--json"], &others[..]].concat());
    let beside: Value = serde_json::from_str(&beside).unwrap();
    let runs = beside["runs"].as_array().unwrap();
    let loses = |run: &Value| run["max"] == 9 && run["packets_lost"].as_u64() > Some(1000);
    assert!(runs.iter().any(loses), "{}", beside["runs"]);
    let entries = beside["entries"].as_array().unwrap().iter().filter_map(Value::as_str);
    let entries: Vec<_> = entries.collect();
    wrong.extend(differences(&shown.proc, &entries.join("\n"), &[4]));
    let own = shown.replay(case, &["--stats"]);
    wrong.extend(statistics_differ(&shown.statistics, &own));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_listing_is_the_kernels_line_by_line() {
    if ready() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let policies = POLICIES.map(|policy| format!("--timeout-policy={policy}"));
        let helper = Some(Helper::Ftp);
        let treatment = Treatment { policy: Some(0), helper, ..Treatment::default() };
        let [policy, _] = policies;
        compare(&Case { treatment, arguments: vec![policy, "--helper=tcp ftp".into()] }, 1);
        let treatment = Treatment { helper: Some(Helper::Pptp), ..Treatment::default() };
        compare(&Case { treatment, arguments: vec!["--helper=tcp pptp".into()] }, 3);
        for (zone, direction, seed) in [
            ("2", ZoneDirection::Both, 2),
            ("orig=2", ZoneDirection::Original, 4),
            ("reply=2", ZoneDirection::Reply, 5),
        ] {
            let treatment = Treatment { zone: Zone { id: 2, direction }, ..Treatment::default() };
            compare(&Case { treatment, arguments: vec![format!("--zone={zone}")] }, seed);
        }
    }
}

/// What a full table writes to the log, and `plimsoll replay --log` of the same packets. `None`: somebody else's lines
/// went through the same rate limiter.
fn logs_of_a_full_table(limit: u64) -> Option<[Vec<String>; 2]> {
    let kernel = Kernel::new().unwrap();
    let inode = std::fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
    let ours = format!("nf_conntrack: nf_conntrack: table full in netns {inode}, dropping packet");
    let mut recording = Recording::default();
    let treatment = Treatment::default();
    let mut number = 0;
    let open = Mix { open: 10, ..Mix::default() };
    let protected =
        Filling { name: "", first: open, then: Mix::default(), expired: false, halved: false };
    for step in protected.steps(limit, &mut number) {
        let Step::Packet(packet) = step else { continue };
        recording.send(&kernel, &packet, &treatment).unwrap();
    }
    let mut log = KernelLog::from_now().unwrap();
    let mut lines = Vec::new();
    // The limiter lets ten lines through in five seconds, and tells later how many it did not.
    for (burst, pause) in [(1u16, 0), (25, 5500), (12, 5500)] {
        std::thread::sleep(Duration::from_millis(pause));
        for port in 0..burst {
            let ends = ("10.255.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap());
            let packet = forge::udp(ends.0, ends.1, (port, 53), 0, 0);
            recording.send(&kernel, &packet, &treatment).unwrap();
        }
        lines.extend(log.texts().unwrap());
        if !lines.contains(&ours) {
            // Others have used the limiter up.
            return None;
        }
    }
    // Before the first of ours nobody knows what was suppressed.
    let first = lines.iter().position(|line| *line == ours)?;
    let own = |line: &&String| **line == ours || line.starts_with("net_ratelimit: ");
    let others = lines[first..].iter().any(|line| !own(&line));
    let stranger = lines.iter().any(|line| line.contains("table full") && *line != ours);
    let kernels: Vec<String> = lines[first..].iter().filter(own).cloned().collect();
    // Of those that others lost to the limiter meanwhile only the number is told.
    let number = |line: &String| line.split_whitespace().nth(1).and_then(|n| n.parse::<u32>().ok());
    let more = kernels.iter().filter_map(number).any(|suppressed| suppressed > 15);
    if others || stranger || more {
        return None;
    }
    let capture = stored(&recording, "log");
    let (max, netns) = (format!("--set=nf_conntrack_max={limit}"), format!("--netns={inode}"));
    let text = told(BINARY, &["replay", capture.to_str().unwrap(), "--log", &max, &netns]);
    std::fs::remove_file(&capture).unwrap();
    let bare = |line: &str| line.split_once(' ').map_or("", |(_, text)| text).to_owned();
    Some([kernels, text.lines().map(bare).collect()])
}

#[test]
fn the_log_of_a_full_table_is_the_kernels_line_by_line() {
    if !ready() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let turn = Turn::take(3000).unwrap();
    let patience = Instant::now() + 2 * PATIENCE;
    let [kernels, own] = loop {
        if let Some(both) = logs_of_a_full_table(turn.limit()) {
            break both;
        }
        assert!(Instant::now() < patience, "others wrote to the kernel's log each time");
    };
    assert_eq!(own, kernels);
    let suppressed = |line: &String| line == "net_ratelimit: 15 callbacks suppressed";
    assert_eq!((own.len(), own.iter().filter(|l| suppressed(l)).count()), (22, 1), "{own:#?}");
}
