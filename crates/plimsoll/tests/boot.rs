//! `plimsoll boot` on small saved hosts, one for each mistake (fixtures/boot); hostile files; and a setting watched live.
//!
//! The same cases are foretold and then really booted by `cargo xtask reboot`.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{BINARY, repository, schema, schema_errors, skipped, text};

fn boot(root: &Path, more: &[&str]) -> (String, String, Option<i32>) {
    let output = Command::new(BINARY)
        .args(["boot", "--root", root.to_str().expect("UTF-8")])
        .args(more)
        .output()
        .expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code())
}

fn document(root: &Path) -> (Value, Option<i32>) {
    let (out, err, code) = boot(root, &["--json"]);
    assert_eq!(err, "");
    (serde_json::from_str(&out).expect("JSON"), code)
}

fn cases() -> Vec<PathBuf> {
    let home = repository("fixtures/boot");
    let mut all: Vec<PathBuf> = fs::read_dir(home)
        .expect("fixtures/boot is there")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("tree").is_dir())
        .collect();
    all.sort();
    assert!(all.len() >= 12, "only {} cases", all.len());
    all
}

/// What expected.txt says against what was foretold: values, and mistakes with their places.
fn faults(case: &Path) -> Vec<String> {
    let (value, code) = document(&case.join("tree"));
    let text = fs::read_to_string(case.join("expected.txt")).expect("expected.txt reads");
    let mut faults = Vec::new();
    let (mut expected, mut harmless) = (BTreeSet::new(), BTreeSet::new());
    let shown = |after: &Value| match after["certainty"].as_str() {
        Some("absent") => "absent".to_owned(),
        _ => after["value"].to_string(),
    };
    for line in text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let "lint" | "harmless" = words[0] {
            let place = words.get(2).map(|file| format!("/{file} {}", words[3]));
            let all = if words[0] == "lint" { &mut expected } else { &mut harmless };
            all.insert((words[1].to_owned(), place.unwrap_or_default()));
            continue;
        }
        let all = value["settings"].as_array().expect("settings");
        let setting = all.iter().find(|s| s["setting"] == words[0]).expect("a setting");
        let mut came = shown(&setting["after"]);
        if !setting["or"].is_null() {
            came = format!("{came} or {}", shown(&setting["or"]["after"]));
        }
        if came != words[1..].join(" ") {
            faults.push(format!("{line}: foretold {came}, {}", setting["because"]));
        }
    }
    let lints = |harmless: bool| -> BTreeSet<(String, String)> {
        let all = value["lints"].as_array().expect("lints").iter();
        let some = all.filter(|lint| lint["harmless"] == harmless).map(|lint| {
            let place = lint["file"].as_str().map(|file| format!("{file} {}", lint["line"]));
            (lint["kind"].as_str().expect("a kind").to_owned(), place.unwrap_or_default())
        });
        some.collect()
    };
    let found = lints(false);
    faults.extend(harmless.difference(&lints(true)).map(|lint| format!("missing {lint:?}")));
    faults.extend(expected.difference(&found).map(|lint| format!("missing {lint:?}")));
    faults.extend(found.difference(&expected).map(|lint| format!("too much {lint:?}")));
    if code != Some(i32::from(!found.is_empty())) {
        faults.push(format!("exit status {code:?}"));
    }
    faults
}

#[test]
fn each_mistake_is_found_where_it_stands_and_nothing_else_is() {
    let mut wrong = Vec::new();
    for case in cases() {
        wrong.extend(faults(&case).into_iter().map(|f| format!("{}: {f}", case.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_json_is_what_its_schema_publishes() {
    let schema = schema("boot");
    let trees = fs::read_dir(repository("fixtures/trees")).expect("fixtures/trees is there");
    let saved = trees.map(|entry| entry.expect("an entry").path()).filter(|p| p.is_dir());
    for tree in cases().into_iter().map(|case| case.join("tree")).chain(saved) {
        let (value, _) = document(&tree);
        let errors = schema_errors(&schema, &value);
        assert!(errors.is_empty(), "{}: {errors:#?}", tree.display());
    }
}

#[test]
fn the_screen_tells_every_mistake_with_its_mend_within_eighty_columns() {
    for case in cases() {
        let (screen, err, _) = boot(&case.join("tree"), &["-v", "--ascii"]);
        assert_eq!(err, "");
        let (value, _) = document(&case.join("tree"));
        for lint in value["lints"].as_array().expect("lints") {
            assert!(screen.contains(lint["kind"].as_str().expect("a kind")), "{screen}");
        }
        let mends = value["lints"].as_array().expect("lints").len();
        assert_eq!(screen.matches("mend: ").count(), mends, "{screen}");
        assert!(screen.is_ascii(), "{screen}");
        let widest = screen.lines().map(str::len).max().unwrap_or(0);
        assert!(widest <= 80, "{widest}: {screen}");
    }
}

#[test]
fn one_key_is_answered_alone_and_a_wrong_one_with_the_nearest() {
    let case = repository("fixtures/boot/mended/tree");
    let (screen, _, code) = boot(&case, &["net/netfilter/nf_conntrack_max"]);
    assert!(screen.contains("net.netfilter.nf_conntrack_max  524,288"), "{screen}");
    assert!(!screen.contains("nf_conntrack_acct"), "{screen}");
    assert_eq!(code, Some(0));
    let (_, err, code) = boot(&case, &["nf_contrack_max"]);
    assert!(err.contains("the nearest is net.netfilter.nf_conntrack_max"), "{err}");
    assert_eq!(code, Some(64));
}

/// A tree that is gone with its value.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Self {
        let root =
            std::env::temp_dir().join(format!("plimsoll-boot-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for folder in [
            "etc/sysctl.d",
            "etc/modprobe.d",
            "etc/modules-load.d",
            "usr/lib/systemd",
            "proc/sys/kernel",
        ] {
            fs::create_dir_all(root.join(folder)).expect("a folder");
        }
        fs::write(root.join("usr/lib/systemd/systemd-sysctl"), "").expect("written");
        fs::write(root.join("proc/sys/kernel/osrelease"), "6.12.1\n").expect("written");
        Self(root)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn hostile_files_are_bounded_and_said_to_be_unread() {
    let tree = Tree::new("hostile");
    let at = |path: &str| tree.0.join(path);
    // A giant, a ring, a link out of the tree, a pipe, a device's name, bytes that are no text, a terminal's commands.
    fs::write(at("etc/sysctl.d/10-giant.conf"), vec![b'x'; 3 << 20]).expect("written");
    symlink("20-b.conf", at("etc/sysctl.d/20-a.conf")).expect("a link");
    symlink("20-a.conf", at("etc/sysctl.d/20-b.conf")).expect("a link");
    symlink("../../../../../../../etc/passwd", at("etc/sysctl.d/30-out.conf")).expect("a link");
    symlink("/dev/zero", at("etc/sysctl.d/40-zero.conf")).expect("a link");
    let pipe = at("etc/sysctl.d/50-pipe.conf");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    fs::write(
        at("etc/sysctl.d/60-bytes.conf"),
        [0xff, 0xfe, b'=', 0, b'\n', 0x1b, b'[', b'2', b'J', b'\n'],
    )
    .expect("written");
    fs::write(
        at("etc/sysctl.d/70-screen.conf"),
        "net.netfilter.nf_conntrack_\u{1b}[2Jmax = \u{1b}]0;x\u{7}5\nnet.netfilter.nf_conntrack_max = \u{202e}5\n",
    )
    .expect("written");
    // Many keys, each of them new; many patterns; a line without end.
    let many: String =
        (0..20_000).map(|n| format!("net.netfilter.nf_conntrack_k{n}=1\n")).collect();
    fs::write(at("etc/sysctl.d/80-many.conf"), &many[..900_000.min(many.len())]).expect("written");
    let patterns: String = (0..20_000).map(|n| format!("net.*.nf_*{n}?[a-z]*=1\n")).collect();
    fs::write(at("etc/sysctl.d/90-patterns.conf"), &patterns).expect("written");
    fs::write(at("etc/modprobe.d/x.conf"), "options nf_conntrack \\\n".repeat(20_000))
        .expect("written");
    fs::write(at("etc/modules-load.d/x.conf"), "a".repeat(500_000)).expect("written");
    let (screen, err, code) = boot(&tree.0, &["-v"]);
    assert_eq!((err.as_str(), code), ("", Some(1)));
    assert!(screen.contains("larger than 1 MiB: not read"), "{screen}");
    assert!(screen.contains("not a regular file"), "{screen}");
    assert!(!screen.contains('\u{1b}') && !screen.contains('\u{202e}'), "{screen}");
    assert!(!screen.contains("root:x:0"), "nothing outside of the tree is read");
    assert!(screen.len() < 200_000, "{}", screen.len());
    let (value, _) = document(&tree.0);
    assert!(value["lints"].as_array().expect("lints").len() <= 200);
}

#[test]
fn a_file_that_may_not_be_read_is_told_and_the_rest_is_judged() {
    use std::os::unix::fs::PermissionsExt;
    let tree = Tree::new("refused");
    let secret = tree.0.join("etc/sysctl.d/60-secret.conf");
    fs::write(&secret, "net.netfilter.nf_conntrack_max = 5\n").expect("written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).expect("mode");
    fs::set_permissions(&tree.0, fs::Permissions::from_mode(0o755)).expect("mode");
    // Root reads everything; nobody does not.
    let copy = tree.0.join("plimsoll");
    fs::copy(BINARY, &copy).expect("a copy that nobody may run");
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .args(["boot", "--root", tree.0.to_str().expect("UTF-8")])
        .output();
    let Some(output) = output.ok().filter(|o| o.status.code() != Some(127)) else {
        skipped("setpriv is missing");
        return;
    };
    let screen = text(&output.stdout);
    if screen.is_empty() {
        skipped(&text(&output.stderr));
        return;
    }
    assert!(screen.contains("60-secret.conf: Permission denied"), "{screen}");
}

/// Watches a timeout of TCP in a namespace of its own while a script writes it: the document of that change, told from those of
/// others by `ours`, and what was said. Writes are seen in all namespaces, so somebody else's may come between.
fn watched(
    user: &[&str],
    state: &str,
    more: &str,
    script: &str,
    ours: impl Fn(&Value) -> bool,
) -> Option<(Value, String)> {
    let key = format!("nf_conntrack_tcp_timeout_{state}");
    // The watch has begun when it has told the value; it is ended from here, by the end of what the shell reads.
    let inner = format!(
        "K=/proc/sys/net/netfilter/{key}; [ -w $K ] || exit 77\n\
         T=$(mktemp); {BINARY} boot --watch {key} {more} --json 2>$T & W=$!\n\
         (sleep 60; kill $W) >/dev/null 2>&1 & S=$!\n\
         until grep -q ' is [0-9]' $T || ! kill -0 $W; do sleep 0.1; done\n\
         {script}\nread end; kill $S $W; wait $W\ncat $T >&2; rm $T"
    );
    let mut command = Command::new(user.first().copied().unwrap_or("unshare"));
    command.args(user.get(1..).unwrap_or(&["-n"])).args(["sh", "-c", &inner]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a shell");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut documents =
        lines.map_while(Result::ok).map(|line| serde_json::from_str(&line).expect("JSON"));
    let mut others: Vec<Value> = Vec::new();
    let change = documents.find(|told: &Value| {
        let found = ours(told);
        if !found {
            others.push(told.clone());
        }
        found
    });
    drop(child.stdin.take());
    documents.for_each(drop);
    let output = child.wait_with_output().expect("it ends");
    let talk = text(&output.stderr);
    if output.status.code() == Some(77) || talk.contains("unshare failed") {
        skipped(&format!("no namespace whose settings can be written: {talk}"));
        return None;
    }
    Some((change.unwrap_or_else(|| panic!("it was not told: {others:?} {talk}")), talk))
}

#[test]
fn the_process_that_writes_a_setting_is_named() {
    let script = "sh -c 'echo 61 > $0; sleep 2' $K";
    let ours = |told: &Value| told["to"] == "61";
    let Some((change, talk)) = watched(&[], "close_wait", "", script, ours) else { return };
    if talk.contains("by reading again and again") {
        skipped(&format!("neither bpf nor fanotify may be used here: {talk}"));
        return;
    }
    assert_eq!((&change["from"], &change["to"]), (&"60".into(), &"61".into()), "{change}");
    assert_eq!(change["by"]["command"], "sh", "{change}");
    assert!(change["by"]["pid"].as_u64().is_some_and(|pid| pid > 1));
}

#[test]
fn who_wrote_in_another_namespace_and_is_gone_is_told_with_that_namespace() {
    // The watch looks only when the writer has ended.
    // Its shell has a name of its own, which tells its write from those of others.
    let shell = format!("w{}", std::process::id());
    let script = format!(
        "cp /bin/sh /tmp/{shell}; kill -STOP $W; unshare -n /tmp/{shell} -c 'stat -Lc netns=%i /proc/self/ns/net >&2; echo 61 >          $0' $K; kill -CONT $W; rm /tmp/{shell}"
    );
    let ours = |told: &Value| told["by"]["command"] == shell.as_str() || told["means"] != "bpf";
    let Some((change, talk)) = watched(&[], "last_ack", "", &script, ours) else { return };
    if change["means"] != "bpf" {
        skipped(&format!("bpf may not be used here: {talk}"));
        return;
    }
    assert_eq!((&change["from"], &change["to"]), (&"30".into(), &"30".into()), "{change}");
    assert_eq!(change["by"]["command_line"], Value::Null, "it is gone: {change}");
    let inode = talk.lines().find_map(|l| l.strip_prefix("netns=")?.parse::<u64>().ok());
    assert_eq!(change["by"]["netns"], inode.expect("its namespace"), "{change}");
    assert_eq!(change["by"]["other_namespace"], true, "{change}");
}

#[test]
fn without_rights_the_time_and_the_candidates_are_told() {
    let script = "sh -c 'echo 61 > $0; sleep 3' $K";
    let nobody =
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "-r", "-n"];
    let ours = |told: &Value| told["to"] == "61";
    // It reads its own namespace's value only, so the first change is this one, and ends the watch.
    let Some((change, talk)) = watched(&nobody, "fin_wait", "--changes 1", script, ours) else {
        return;
    };
    assert!(talk.contains("by reading again and again"), "{talk}");
    assert!(change["by"].is_null(), "{change}");
    let candidates = change["candidates"].as_array().expect("candidates");
    // On a busy host as many others may have begun since as are named.
    let crowded = candidates.len() == 8;
    assert!(crowded || candidates.iter().any(|c| c["command"] == "sh"), "{change}");
}

#[test]
fn this_very_host_is_foretold() {
    let output = Command::new(BINARY).args(["boot", "--json"]).output().expect("it runs");
    let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["schema"], "plimsoll.boot/1");
    assert!(value["settings"].as_array().expect("settings").len() > 20);
}
