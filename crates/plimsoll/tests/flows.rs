//! `plimsoll flows` end to end: beside `conntrack -L` on one table of everything, on saved listings, and where it errs.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::{BINARY, Copy, NOBODY, Netns, plimsoll, root, run, text, turn};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");

fn flows(arguments: &[&str]) -> Output {
    let mut all = vec!["flows"];
    all.extend(arguments);
    plimsoll(&all)
}

/// What it prints, of an exit with success.
fn shown(arguments: &[&str]) -> String {
    let out = flows(arguments);
    assert!(out.status.success(), "{arguments:?}: {}", text(&out.stderr));
    text(&out.stdout)
}

/// Whether the BPF census may be had here at all.
fn has_bpf() -> bool {
    std::path::Path::new("/sys/kernel/btf/vmlinux").exists()
}

/// The kernel's states of TCP; the last is the old name of SYN_SENT2.
const STATES: [&str; 10] = [
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "LISTEN",
];

/// A namespace with an entry of every kind, held by a program inside.
struct Everything {
    namespace: Netns,
    program: std::process::Child,
}

impl Everything {
    fn new(name: &str) -> Self {
        let namespace = Netns::new(name);
        // The fixture's own script makes the namespace anew, with its rules.
        run("sh", &[&format!("{FIXTURES}/ctnetlink/stage.sh"), &namespace.0]);
        for key in ["nf_conntrack_acct", "nf_conntrack_timestamp"] {
            namespace.run("sysctl", &["-qw", &format!("net.netfilter.{key}=1")]);
        }
        let program = Command::new("ip")
            .args(["netns", "exec", &namespace.0, "python3"])
            .arg(format!("{FIXTURES}/ctnetlink/traffic.py"))
            // It holds its sockets until its standard input ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 starts");
        let mut made = Self { namespace, program };
        let ready = made.program.stdout.take().expect("a pipe");
        // A word about what could not be sent may come before.
        let lines = BufReader::new(ready).lines();
        assert!(
            lines.map_while(Result::ok).any(|line| line == "ready"),
            "the traffic was not made"
        );
        made
    }

    /// Entries in states that no traffic stays in.
    fn insert_states(&self) {
        for (n, state) in STATES.iter().enumerate() {
            let (port, family) = ((700 + n).to_string(), ["10.9.0.1", "fd00::9"][n % 2]);
            let of = ["-I", "-t", "900", "-s", family, "-d", family, "-p", "tcp", "--state", state];
            let rest = ["--sport", &port, "--dport", "80", "-u", "SEEN_REPLY,ASSURED", "-m", &port];
            self.namespace.run("conntrack", &[&of[..], &rest].concat());
        }
        // A protocol that some kernels have no tracker of any more.
        let of = [
            "-I", "-t", "900", "-s", "10.9.0.1", "-d", "10.9.0.2", "-p", "dccp", "--state", "OPEN",
        ];
        let rest = ["--role", "client", "--sport", "3", "--dport", "4"];
        self.namespace.run("conntrack", &[&of[..], &rest].concat());
    }

    /// The same table read by another program and by us. Seconds pass and connections close between the two, so the
    /// other program is asked before and after: a number that changed between may be any between.
    fn compare(&self, theirs: &[&str], ours: &[&str], order: Order) -> (String, String) {
        let mut all = vec![BINARY, "flows", "-q"];
        all.extend(ours);
        for _ in 0..100 {
            let before = order.of(&self.namespace.run(theirs[0], &theirs[1..]));
            let seen = order.of(&self.namespace.run(all[0], &all[1..]));
            let after = order.of(&self.namespace.run(theirs[0], &theirs[1..]));
            if let Some(expected) = at_a_moment_between(&before, &after, &seen) {
                return (expected, seen);
            }
        }
        panic!("the table never stood still");
    }
}

/// What the order of the lines means.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// It is the table's.
    Table,
    /// The kernel filters by protocol within one family at a time.
    Nothing,
}

impl Order {
    fn of(self, text: &str) -> String {
        let mut lines: Vec<&str> = text.lines().collect();
        if self == Self::Nothing {
            // By all but the seconds.
            lines.sort_by_key(|line| {
                let words = line.split_whitespace().filter(|word| word.parse::<u64>().is_err());
                words.collect::<Vec<_>>()
            });
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// Text and numbers in turn.
fn runs(text: &str) -> Vec<&str> {
    text.as_bytes()
        .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit())
        .map(|run| std::str::from_utf8(run).expect("ASCII"))
        .collect()
}

/// What `before` was at some moment until `after`: where a number changed, as `seen` has it, if it lies between.
/// `None`: more than numbers changed.
fn at_a_moment_between(before: &str, after: &str, seen: &str) -> Option<String> {
    let (before, after, seen) = (runs(before), runs(after), runs(seen));
    if before.len() != after.len() {
        return None;
    }
    let mut text = String::new();
    for (place, (first, last)) in before.iter().zip(&after).enumerate() {
        let now = seen.get(place).copied().unwrap_or_default();
        let number = |run: &str| run.parse::<u64>().ok();
        match (number(first), number(last), number(now)) {
            (Some(a), Some(b), Some(n)) if (a.min(b)..=a.max(b)).contains(&n) => {
                text.push_str(now);
            }
            _ if first == last => text.push_str(first),
            (Some(_), Some(_), _) => text.push_str(first),
            _ => return None,
        }
    }
    Some(text)
}

impl Drop for Everything {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[test]
fn every_form_of_conntrack_and_of_the_proc_file_is_the_same_to_the_byte() {
    if !root() {
        return;
    }
    let _turn = turn();
    let stage = Everything::new("bytes");
    stage.insert_states();
    for form in [
        "conntrack",
        "extended",
        "id",
        "extended,id,ktimestamp",
        "save",
        "xml",
        "xml,ktimestamp,id",
        "labels",
        "timestamp",
    ] {
        let theirs: &[&str] = if form == "conntrack" {
            &["conntrack", "-L"]
        } else {
            &["conntrack", "-L", "-o", form]
        };
        for reader in ["auto", "netlink", "bpf"] {
            // Ids are ctnetlink's own, and stand in all XML.
            if reader == "bpf" && (!has_bpf() || form.contains("id") || form.contains("xml")) {
                continue;
            }
            let (expected, seen) =
                stage.compare(theirs, &["-o", form, "--reader", reader], Order::Table);
            assert!(expected.lines().count() >= 15, "{expected}");
            assert_eq!(seen, expected, "-o {form} --reader {reader}");
        }
    }
    let proc = ["cat", "/proc/net/nf_conntrack"];
    for reader in ["proc", "netlink", "auto"] {
        let (expected, seen) =
            stage.compare(&proc, &["-o", "proc", "--reader", reader], Order::Table);
        assert_eq!(seen, expected, "--reader {reader}");
    }
}

#[test]
fn filters_let_through_what_conntrack_lets_through() {
    if !root() {
        return;
    }
    let _turn = turn();
    let stage = Everything::new("filters");
    for (theirs, ours) in [
        (&["-p", "tcp"][..], "tcp"),
        (&["-p", "tcp", "--dport", "8080"], "tcp dport 8080"),
        (&["-p", "udp", "--orig-port-dst", "7001"], "udp and dport 7001"),
        (&["-f", "ipv6"], "ipv6"),
        (&["-m", "42"], "mark 0x2a"),
        (&["-u", "ASSURED"], "assured"),
        (&["-u", "UNREPLIED"], "unreplied"),
        (&["-w", "7"], "zone 7"),
        (&["-d", "127.0.0.3"], "dst 127.0.0.3"),
        (&["-s", "127.0.0.0/8"], "src net 127.0.0.0/8"),
        (&["-p", "tcp", "--state", "ESTABLISHED"], "state established"),
        // Of ICMP it says that every query is rewritten.
        (&["-p", "tcp", "--any-nat"], "tcp nat"),
        (&["-p", "icmp"], "icmp"),
        (&["-p", "gre"], "proto 47"),
        (&["-p", "tcp", "--reply-port-src", "8080"], "tcp reply sport 8080"),
    ] {
        let mut all = vec!["conntrack", "-L"];
        all.extend(theirs);
        let (expected, seen) = stage.compare(&all, &["-o", "conntrack", ours], Order::Nothing);
        assert!(!expected.is_empty(), "{theirs:?} shows nothing");
        assert_eq!(seen, expected, "{ours}");
    }
}

#[test]
fn a_table_of_several_namespaces_adds_up_to_the_lines_of_each() {
    if !root() {
        return;
    }
    let _turn = turn();
    let (one, two) = (Everything::new("one"), Netns::new("two"));
    two.run(
        "nft",
        &["add table inet t; add chain inet t c { type filter hook output priority 0; }; \
        add rule inet t c ct state new counter"],
    );
    two.send_udp("127.0.0.1", 6000, 30);
    let empty = Netns::new("empty");
    let mut here = Command::new("ip");
    here.args(["netns", "exec", &empty.0, BINARY, "flows", "--by", "state"]);
    let said = text(&here.output().expect("ip starts").stderr);
    assert!(said.contains("this network namespace has no entries"), "{said}");
    assert!(said.contains("--all-netns"), "{said}");
    let lines = |namespace: &Netns| namespace.run("conntrack", &["-L"]).lines().count() as u64;
    let count = |one: &str, two: &str| -> Vec<(String, u64)> {
        let listed = shown(&["-q", "--netns", one, "--netns", two, "--by", "netns", "--json"]);
        let rows = listed.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        rows.map(|row| {
            (
                row["netns"].as_str().expect("a name").into(),
                row["entries"].as_u64().expect("a number"),
            )
        })
        .collect()
    };
    for _ in 0..20 {
        let before = (lines(&one.namespace), lines(&two));
        let mut seen = count(&one.namespace.0, &two.0);
        if before == (lines(&one.namespace), lines(&two)) {
            seen.sort();
            assert_eq!(seen, [(one.namespace.0.clone(), before.0), (two.0.clone(), before.1)]);
            return;
        }
    }
    panic!("the tables never stood still");
}

#[test]
fn a_saved_listing_of_any_form_gives_the_same_groups() {
    let by = ["-q", "--by", "proto,dport,zone", "--json"];
    let group = |file: &str| {
        let path = format!("{FIXTURES}/ctnetlink/{file}");
        let mut all = vec!["--from", &path];
        all.extend(by);
        shown(&all)
    };
    let expected = group("dump-accounting.ktimestamp");
    assert_eq!(group("dump-accounting.tool"), expected);
    assert_eq!(group("dump-accounting.xml"), expected);
    // In the form of command lines there are no counters.
    let bare = |text: &str| -> Vec<(Value, Value)> {
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        rows.map(|row| (row["dport"].clone(), row["entries"].clone())).collect()
    };
    assert_eq!(bare(&group("dump-accounting.save")), bare(&expected));
}

#[test]
fn a_listing_is_read_from_standard_input_and_from_a_compressed_file() {
    let path = format!("{FIXTURES}/ctnetlink/dump-defaults.tool");
    let plain = std::fs::read(&path).expect("the fixture");
    let mut child = Command::new(BINARY)
        .args(["flows", "-q", "--from", "-", "-o", "conntrack"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("a pipe").write_all(&plain).expect("it reads");
    let out = child.wait_with_output().expect("it ends");
    assert_eq!(text(&out.stdout), text(&plain));
    let packed = std::env::temp_dir().join(format!("plimsoll-flows-{}.gz", std::process::id()));
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&plain).expect("memory");
    std::fs::write(&packed, gz.finish().expect("memory")).expect("a file");
    let seen = shown(&["-q", "--from", packed.to_str().expect("UTF-8"), "-o", "conntrack"]);
    std::fs::remove_file(&packed).expect("it is there");
    assert_eq!(seen, text(&plain));
}

#[test]
fn a_filter_that_is_wrong_is_pointed_at() {
    for (arguments, expected) in [
        (
            &["tcp", "and", "dprt", "443"][..],
            "plimsoll: filter, column 9: expected a test, not \"dprt\"\n  tcp and dprt 443\n          ^^^^ did you mean \"dport\"?\n",
        ),
        (&["--by", "stat"], "did you mean \"state\"?"),
        (&["-o", "jsn"], "expected table, json, csv"),
        (&["--by", "state", "-o", "conntrack"], "--by adds entries up"),
        (&["--netns", "plimsoll-no-such"], "no network namespace answers to \"plimsoll-no-such\""),
        (&["--root", "/etc/passwd"], "expected a directory"),
    ] {
        let out = flows(arguments);
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(64), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert!(out.stdout.is_empty());
    }
    for (arguments, expected) in [
        (&["--from", "/etc/hostname"][..], "/etc/hostname: no entry in it"),
        (&["--from", "/no/such/file"], "/no/such/file: No such file"),
    ] {
        let out = flows(arguments);
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn what_could_not_be_judged_is_said() {
    let path = format!("{FIXTURES}/ctnetlink/dump-defaults.tool");
    let out = flows(&["--from", &path, "age > 1h or dying"]);
    let said = text(&out.stderr);
    assert!(said.contains("could not be judged, for want of: age"), "{said}");
    assert!(said.contains("status bits"), "{said}");
}

#[test]
fn without_the_right_it_says_which_is_missing_and_what_can_be_seen() {
    if !root() {
        return;
    }
    let (copy, other) = (Copy::new("flows"), Netns::new("refused"));
    let refused = |rest: &str| {
        let out = copy.shell(&format!("{NOBODY} {{}} flows {rest}"));
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains("missing: "), "{said}");
        said
    };
    let said = refused("tcp");
    let seen = said.split("what can be seen: ").nth(1).unwrap_or_else(|| panic!("{said}"));
    let most = seen.split(" of ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a limit");
    // Grouped: 262,144.
    assert!(most.split(',').all(|digits| digits.len() <= 3), "{said}");
    // Of another namespace nothing can be seen, and each reason is told once.
    let said = refused(&format!("--netns {}", other.0));
    assert!(!said.contains("what can be seen"), "{said}");
    assert_eq!(said.matches("operation not permitted").count(), 1, "{said}");
}

#[test]
fn who_sees_only_some_namespaces_is_told_so_and_what_would_show_the_others() {
    if !root() {
        return;
    }
    // In a container of its own, where /proc shows no process of others and no name of a namespace is mounted.
    let own = Netns::new("some");
    let inside = format!(
        "mount -t tmpfs none /run/netns && exec {BINARY} flows --all-netns --reader netlink"
    );
    let out = Command::new("ip")
        .args(["netns", "exec", &own.0, "unshare", "--mount", "--pid", "--fork", "--mount-proc"])
        .args(["sh", "-c", &inside])
        .output()
        .expect("ip starts");
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(said.contains("0 entries shown"), "{said}");
    let why = "there may be more network namespaces: /proc shows the processes of one container";
    assert!(
        said.contains(why) && said.contains("(needs the host's process namespace, and root)"),
        "{said}"
    );
    // Who may look everywhere is told nothing of the kind.
    let all = flows(&["--all-netns", "--reader", "netlink"]);
    assert!(!text(&all.stderr).contains("may be more"), "{}", text(&all.stderr));
}

#[test]
fn without_proc_it_says_how_to_have_it() {
    if !root() {
        return;
    }
    let line = "umount -l /proc && exec \"$0\" flows";
    let out = Command::new("unshare").args(["--mount", "sh", "-c", line, BINARY]).output();
    let out = out.expect("unshare starts");
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("/proc is not mounted here: `mount -t proc proc /proc`"), "{said}");
}

#[test]
fn limit_is_told_to_be_of_entries_and_of_events() {
    let help = text(&plimsoll(&["flows", "--help"]).stdout);
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("--limit <N> Stop after so many entries, or events"), "{help}");
}

#[test]
fn parquet_holds_what_json_holds() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;
    let listing = format!("{FIXTURES}/ctnetlink/dump-accounting.ktimestamp");
    for by in [&[][..], &["--by", "proto,dport,src/24"]] {
        let rest = [&["-q", "--from", &listing][..], by].concat();
        let out = flows(&[&rest[..], &["-o", "parquet"]].concat());
        let path =
            std::env::temp_dir().join(format!("plimsoll-flows-{}.parquet", std::process::id()));
        std::fs::write(&path, &out.stdout).expect("a file");
        let file = std::fs::File::open(&path).expect("it is there");
        let reader = SerializedFileReader::new(file).expect("Parquet");
        let json = shown(&[&rest[..], &["-o", "json"]].concat());
        let mut lines = json.lines();
        for row in reader.get_row_iter(None).expect("rows") {
            let row = row.expect("a row");
            let line: Value = serde_json::from_str(lines.next().expect("as many")).expect("JSON");
            for (name, field) in row.get_column_iter() {
                let value = &line[name];
                match field {
                    Field::Null => assert!(value.is_null(), "{name}: {value}"),
                    Field::Bool(yes) => assert_eq!(value, yes, "{name}"),
                    Field::ULong(number) => assert_eq!(value, number, "{name}"),
                    Field::Str(text) => assert_eq!(value, text, "{name}"),
                    Field::Double(share) => {
                        assert!((value.as_f64().expect("a number") - share).abs() < 1e-6, "{name}");
                    }
                    other => panic!("{name}: {other:?}"),
                }
            }
        }
        assert_eq!(lines.next(), None);
        std::fs::remove_file(&path).expect("it is there");
    }
}

#[test]
fn a_dead_host_is_asked_like_a_living_one() {
    let tree = format!("{FIXTURES}/trees/kernel-2.6.32");
    assert_eq!(
        shown(&["-q", "--root", &tree, "--by", "proto,netns", "-o", "csv"]).lines().count(),
        2
    );
    let bundle = format!("{FIXTURES}/bundles/newer-layout.tar.gz");
    let all = shown(&["-q", "--bundle", &bundle, "-o", "conntrack"]);
    let host = shown(&["-q", "--bundle", &bundle, "--netns", "host", "-o", "conntrack"]);
    let shop = shown(&["-q", "--bundle", &bundle, "netns shop", "-o", "conntrack"]);
    assert!(!shop.is_empty());
    assert_eq!(all.lines().count(), host.lines().count() + shop.lines().count());
    // The timeouts were saved, so idle times are known.
    assert!(
        !shown(&["-q", "--bundle", &bundle, "idle >= 0s", "--limit", "1", "--json"]).is_empty()
    );
    let out = flows(&["--bundle", &bundle, "--netns", "nowhere"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("no table of nowhere was saved; there are host, shop"));
}

#[test]
fn an_entry_is_attributed_to_the_process_that_holds_its_socket() {
    if !root() {
        return;
    }
    let _turn = turn();
    let stage = Everything::new("owners");
    let name = stage.namespace.0.as_str();
    let seen = shown(&["-q", "--netns", name, "--json", "tcp and dport 21 and process python3"]);
    let entry: Value = serde_json::from_str(seen.trim()).expect("one entry");
    // `ip netns exec` became the program itself.
    assert_eq!(entry["pid"], stage.program.id());
    let none = shown(&[
        "-q",
        "--netns",
        name,
        "--json",
        "tcp and not process python3 and state established",
    ]);
    assert_eq!(none, "");
    let groups = shown(&["-q", "--netns", name, "--by", "process", "--json", "tcp dport 21"]);
    assert!(groups.contains("\"process\":\"python3\""), "{groups}");
}

#[test]
fn every_reader_gives_the_same_groups() {
    if !root() {
        return;
    }
    let _turn = turn();
    let stage = Everything::new("readers");
    let by = ["--by", "proto,state,src,dst,dport,zone,mark,class", "--json"];
    let expected =
        stage.namespace.run(BINARY, &[&["flows", "-q", "--reader", "netlink"], &by[..]].concat());
    let bare = |text: &str| -> Vec<(Value, Value, Value)> {
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let mut rows: Vec<_> = rows
            .map(|row| (row["dport"].clone(), row["src"].clone(), row["entries"].clone()))
            .collect();
        rows.sort_by_key(|row| format!("{row:?}"));
        rows
    };
    for reader in ["proc", "bpf"] {
        let out = Command::new("ip")
            .args(["netns", "exec", &stage.namespace.0, BINARY, "flows", "--reader", reader])
            .args(by)
            .output()
            .expect("ip starts");
        if reader == "bpf" && !out.status.success() {
            eprintln!("flows: no BPF here: {}", text(&out.stderr));
            continue;
        }
        assert_eq!(bare(&text(&out.stdout)), bare(&expected), "--reader {reader}");
        assert!(text(&out.stderr).contains(&format!("read by {reader}")));
    }
}

/// A way that is barred is passed over, with the reason; what is shown stays the same.
#[test]
fn without_bpf_without_its_right_and_without_netlink_the_next_reader_tells_the_same() {
    if !root() {
        return;
    }
    let _turn = turn();
    let netns = Netns::new("fallback");
    for port in ["80", "81", "443"] {
        let of = ["-I", "-t", "900", "-s", "10.9.0.1", "-d", "10.9.0.2", "-p", "tcp"];
        let rest = ["--state", "ESTABLISHED", "--sport", "9", "--dport", port];
        netns.run("conntrack", &[&of[..], &rest].concat());
    }
    // Capabilities 38 and 39 are CAP_PERFMON and CAP_BPF.
    let no_bpf = "setpriv --bounding-set=-cap_38,-cap_39,-sys_admin";
    let has_btf = std::path::Path::new("/sys/kernel/btf/vmlinux").exists();
    let asked = format!("{BINARY} flows --by proto,dport -o csv");
    let expected = ["proto,dport,entries", "tcp,80,1", "tcp,81,1", "tcp,443,1"];
    for (before, reader, reasons) in [
        (String::new(), if has_btf { "bpf" } else { "netlink" }, &[][..]),
        (no_bpf.to_owned(), "netlink", &["not by bpf: not permitted"]),
        (
            format!("{no_bpf},-net_admin"),
            "proc",
            &[
                "not by bpf: not permitted",
                "not by netlink: ctnetlink dump: Operation not permitted",
            ],
        ),
        (
            "unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && exec \"$@\"' sh".to_owned(),
            "netlink",
            &["not by bpf: this kernel has no BTF"],
        ),
    ] {
        let line = format!("{before} {asked}");
        let out = Command::new("ip")
            .args(["netns", "exec", &netns.0, "sh", "-c", &line])
            .output()
            .expect("ip starts");
        let said = text(&out.stderr);
        assert!(out.status.success(), "{line}: {said}");
        assert!(said.contains(&format!("read by {reader}")), "{line}: {said}");
        for reason in reasons {
            assert!(said.contains(reason), "{line}: {said}");
        }
        let shown = text(&out.stdout);
        let columns = |line: &str| line.split(',').take(3).collect::<Vec<_>>().join(",");
        assert_eq!(shown.lines().map(columns).collect::<Vec<_>>(), expected, "{line}");
    }
    // Asked for by name, it is not replaced.
    for (reader, right) in
        [("bpf", "missing: CAP_BPF and CAP_PERFMON"), ("netlink", "missing: CAP_NET_ADMIN")]
    {
        let line = format!("{no_bpf},-net_admin {asked} --reader {reader}");
        let out = Command::new("ip")
            .args(["netns", "exec", &netns.0, "sh", "-c", &line])
            .output()
            .expect("ip starts");
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains(right), "{said}");
    }
}
