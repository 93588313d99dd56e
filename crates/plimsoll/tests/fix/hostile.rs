//! What stops a remedy, and what somebody else does meanwhile: a clear word, and the old state.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use crate::host::Host;
use crate::support::{BINARY, Copy, NOBODY, root, run, text, unique, until};
use crate::sweep::guard_of;

const TIME_WAIT: &str = "net.netfilter.nf_conntrack_tcp_timeout_time_wait";
const SETTINGS: &[&str] = &["fix", "timeout", "time_wait=30", "udp=12", "--yes", "--watch", "0"];
const POLICY: &[&str] =
    &["fix", "timeout", "--port", "tcp/443", "established=600", "--yes", "--watch", "0"];

const BYPASS: &[&str] = &["fix", "bypass", "tcp/443", "--role", "server", "--yes", "--watch", "0"];

fn with<'a>(remedy: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [remedy, more].concat()
}

#[test]
fn what_is_not_confirmed_goes_back_and_what_is_confirmed_stays() {
    if !root() {
        return;
    }
    let host = Host::new("confirm").with_nft();
    let old = host.everything();
    let said = host.ok(&with(SETTINGS, &["--confirm", "2s"]));
    assert!(
        said.contains("goes back by itself in 2 s, unless you run: plimsoll confirm"),
        "{said}"
    );
    assert_ne!(host.everything(), old);
    // Another fix has to wait, and says for what.
    let error = host.fails(POLICY);
    assert!(error.contains("transaction 1 waits for `plimsoll confirm`"), "{error}");
    until("the old state", || host.everything() == old);
    assert!(host.list().contains("taken back (was not confirmed in time)"), "{}", host.list());
    let late = host.fails(&["confirm"]);
    assert!(late.contains("nothing waits for a confirmation"), "{late}");

    host.ok(&with(SETTINGS, &["--confirm", "2s"]));
    let new = host.everything();
    host.ok(&["confirm"]);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(host.everything(), new, "a confirmed one stays");
    host.ok(&["undo"]);
    assert_eq!(host.everything(), old);
}

#[test]
fn a_guard_that_is_killed_too_is_missed_by_the_next_call() {
    if !root() {
        return;
    }
    let host = Host::new("guardless").with_nft();
    let old = host.everything();
    host.ok(&with(SETTINGS, &["--confirm", "1h"]));
    let pid = guard_of(&host.state.join("1.journal"));
    run("kill", &["-9", &pid]);
    // It may still be confirmed ...
    until("the guard's end", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    let said = text(&host.run(POLICY).stderr);
    // ... but whoever wants something else finds it taken back first.
    assert!(
        said.contains("was not confirmed yet, and its guard was gone; it was taken back"),
        "{said}"
    );
    host.ok(&["undo"]);
    assert_eq!(host.everything(), old);
}

#[test]
fn a_guard_told_to_end_takes_back_first() {
    if !root() {
        return;
    }
    let host = Host::new("guardterm").with_nft();
    let old = host.everything();
    host.ok(&with(SETTINGS, &["--confirm", "1h"]));
    let pid = guard_of(&host.state.join("1.journal"));
    run("kill", &["-HUP", &pid]);
    run("kill", &["-INT", &pid]);
    std::thread::sleep(Duration::from_millis(300));
    assert_ne!(host.everything(), old, "a terminal's signals are not meant for it");
    run("kill", &["-TERM", &pid]);
    until("the old state", || host.everything() == old);
}

#[test]
fn what_somebody_else_sets_in_the_window_is_theirs() {
    if !root() {
        return;
    }
    let host = Host::new("second").with_nft();
    let set = |value: &str| host.netns.run("sysctl", &["-qw", &format!("{TIME_WAIT}={value}")]);
    let get = |key: &str| host.netns.run("sysctl", &["-n", key]).trim().to_owned();
    host.ok(&with(SETTINGS, &["--confirm", "2s"]));
    set("77");
    until("the old value", || get("net.netfilter.nf_conntrack_udp_timeout") == "30");
    until("its line in the history", || host.list().contains("taken back in part"));
    assert_eq!(get(TIME_WAIT), "77");
    let list = host.list();
    assert!(list.contains("_time_wait is 77; plimsoll wrote 30, before it was 120"), "{list}");

    // Asked by a person, undo first says so and touches nothing.
    set("120");
    host.ok(SETTINGS);
    set("88");
    let error = host.fails(&["undo"]);
    assert!(
        error.contains("is 88; plimsoll wrote 30, before it was 120; nothing was changed"),
        "{error}"
    );
    assert_eq!(get("net.netfilter.nf_conntrack_udp_timeout"), "12");
    let said = host.ok(&["undo", "--leave-changed"]);
    assert!(said.contains("Left as it is:"), "{said}");
    assert_eq!(
        (get("net.netfilter.nf_conntrack_udp_timeout").as_str(), get(TIME_WAIT).as_str()),
        ("30", "88")
    );
}

#[test]
fn a_table_of_ours_that_somebody_edited_is_named() {
    if !root() {
        return;
    }
    let host = Host::new("edited").with_nft();
    host.ok(POLICY);
    host.netns.run("nft", &["add rule inet plimsoll_timeout_tcp443 output counter accept"]);
    let error = host.fails(&["undo"]);
    assert!(
        error.contains("table inet plimsoll_timeout_tcp443 is not as it was written"),
        "{error}"
    );
    assert!(host.netns.run("nft", &["list", "ruleset"]).contains("plimsoll_timeout_tcp443"));
    // The same remedy once more finds its own table, and stops before anything is done.
    let error = host.fails(POLICY);
    let again =
        "plimsoll: table inet plimsoll_timeout_tcp443 is there already (`plimsoll fix --list`";
    assert!(error.contains(again), "it is done, not changed by somebody: {error}");
    assert!(error.contains("nothing was changed"), "{error}");
}

#[test]
fn a_full_disk_stops_it_before_anything_is_done() {
    if !root() {
        return;
    }
    let host = Host::new("full").with_nft();
    fs::create_dir_all(&host.state).expect("a directory");
    let state = host.state.to_str().expect("a path of text");
    run("mount", &["-t", "tmpfs", "-o", "size=16k", "plimsoll-test", state]);
    let fill =
        run("sh", &["-c", &format!("dd if=/dev/zero of={state}/fill bs=1k 2>/dev/null; echo")]);
    let old = host.everything();
    let error = host.fails(POLICY);
    assert_eq!(host.everything(), old, "{fill}");
    assert!(error.contains("no space left on device"), "{error}");
    fs::remove_file(host.state.join("fill")).expect("the filling goes");
    // With room again nothing of it is in the way, and the number is free.
    host.ok(POLICY);
    // What was reserved is enough to take it back on a full disk.
    run("sh", &["-c", &format!("dd if=/dev/zero of={state}/fill bs=1k 2>/dev/null; true")]);
    host.ok(&["undo"]);
    assert_eq!(host.everything(), old);
    run("umount", &[state]);
}

#[test]
fn journals_that_cannot_be_read_are_named_and_stand_in_nobodys_way() {
    if !root() {
        return;
    }
    let host = Host::new("unread");
    let old = host.everything();
    host.ok(SETTINGS);
    let journal = |id: u64| host.state.join(format!("{id}.journal"));
    let ours = fs::read_to_string(journal(1)).expect("a journal");
    fs::write(journal(3), "garbage\n").expect("written");
    fs::write(journal(4), ours.replace("plimsoll.journal/1", "plimsoll.journal/2"))
        .expect("written");
    fs::create_dir(journal(5)).expect("a folder");
    run("mkfifo", &[journal(6).to_str().expect("a path of text")]);
    // Cut off in its first line, as a machine that lost power leaves it: nothing had begun.
    fs::write(journal(7), &ours[..300]).expect("written");
    let told = [
        ("3", "3.journal: line 1: "),
        ("4", "4.journal: line 1: expected the beginning of a plimsoll.journal/1"),
        ("5", "5.journal: expected a file"),
        ("6", "6.journal: expected a file"),
    ];
    let names_them = |said: &str| {
        for (id, why) in told {
            let passed = format!("plimsoll: transaction {id} can't be read and is passed over");
            assert!(said.contains(&passed) && said.contains(why), "{id}: {said}");
        }
        assert!(!said.contains("7.journal"), "{said}");
    };
    let listed = host.run(&["fix", "--list"]);
    names_them(&text(&listed.stderr));
    assert!(text(&listed.stdout).contains("timeout: set time_wait to 30 s"), "{listed:?}");
    let json = host.run(&["fix", "--list", "--json"]);
    serde_json::from_slice::<serde_json::Value>(&json.stdout).expect("JSON, and nothing else");
    let undone = host.run(&["undo"]);
    names_them(&text(&undone.stderr));
    assert!(undone.status.success(), "{undone:?}");
    assert_eq!(host.everything(), old);
    let fixed = host.run(SETTINGS);
    names_them(&text(&fixed.stderr));
    assert!(text(&fixed.stdout).contains("plimsoll undo 8"), "{fixed:?}");
    assert!(host.fails(&["undo", "4"]).contains("expected the beginning of a plimsoll.journal/1"));
    assert!(host.fails(&["undo", "9"]).contains("there is no transaction 9"));
    host.ok(&["undo", "8"]);
    assert_eq!(host.everything(), old);
}

#[test]
fn a_state_directory_that_cannot_be_written_stops_it() {
    if !root() {
        return;
    }
    let host = Host::new("readonly").with_nft();
    fs::create_dir_all(&host.state).expect("a directory");
    let state = host.state.to_str().expect("a path of text");
    run("mount", &["-t", "tmpfs", "-o", "ro", "plimsoll-test", state]);
    let old = host.everything();
    let error = host.fails(SETTINGS);
    run("umount", &[state]);
    assert!(error.contains("read-only file system; nothing was changed"), "{error}");
    assert_eq!(host.everything(), old);
}

#[test]
fn a_full_disk_stops_it_before_the_first_change() {
    if !root() {
        return;
    }
    let host = Host::new("fulldisk").with_nft();
    fs::create_dir_all(&host.state).expect("a directory");
    let state = host.state.to_str().expect("a path of text");
    run("mount", &["-t", "tmpfs", "-o", "size=16k", "plimsoll-test", state]);
    // Until nothing more goes in.
    let _ = fs::write(host.state.join("others"), [0; 1 << 16]);
    let old = host.everything();
    let error = host.fails(SETTINGS);
    let left = host.state.join("1.journal").exists();
    run("umount", &[state]);
    assert!(error.contains("1.journal: no space left on device; nothing was changed"), "{error}");
    assert!(!left, "nothing looks as if it had begun");
    assert_eq!(host.everything(), old);
}

#[test]
fn who_may_not_is_told_who_may() {
    if !root() {
        return;
    }
    // Where everybody may look, and only root may write.
    let state = std::env::temp_dir().join(unique("closed"));
    fs::create_dir_all(&state).expect("a directory");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).expect("closed");
    let copy = Copy::new("who");
    for line in ["fix timeout udp=12 --yes --watch 0", "fix --list", "undo", "confirm"] {
        let out = copy.shell(&format!("{NOBODY} {{}} {line} --state-dir {}", state.display()));
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{line}: {said}");
        assert!(said.contains("permission denied (run it as root)"), "{line}: {said}");
    }
    fs::remove_dir(&state).expect("nothing is in it");
}

#[test]
fn without_nft_a_policy_is_not_begun() {
    if !root() {
        return;
    }
    let host = Host::new("nonft").with_nft();
    let old = host.everything();
    // In a mount namespace of its own, nft is not there.
    let mut hide = String::from(
        "for d in /usr/sbin /sbin /usr/bin /bin; do [ -e $d/nft ] && mount --bind /dev/null $d/nft; done; exec \"$@\"",
    );
    hide.insert_str(0, "set -e; ");
    let out = std::process::Command::new("ip")
        .args(["netns", "exec", &host.netns.0, "unshare", "-m", "sh", "-c", &hide, "sh", BINARY])
        .args(POLICY)
        .args(["--state-dir", host.state.to_str().expect("a path of text")])
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let error = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{error}{}", text(&out.stdout));
    assert!(error.contains("nft is not installed; nothing was changed"), "{error}");
    assert_eq!(host.everything(), old);
}

#[test]
fn of_two_at_once_one_is_told_who_is_at_work() {
    if !root() {
        return;
    }
    let host = Host::new("two").with_nft();
    fs::create_dir_all(&host.state).expect("a directory");
    let lock = fs::File::create(host.state.join("lock")).expect("a lock");
    lock.lock().expect("the lock is had");
    fs::write(host.state.join("lock"), "4711\n").expect("a number is written");
    let old = host.everything();
    let error = host.fails(SETTINGS);
    assert!(error.contains("another plimsoll is changing this system (process 4711)"), "{error}");
    drop(lock);
    assert_eq!(host.everything(), old);
    // For real: of many at once each is done, or refused because another is at work.
    let children: Vec<_> = (0..6)
        .map(|_| {
            let mut command = host.command(SETTINGS);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
        })
        .collect();
    let outs: Vec<_> =
        children.into_iter().map(|c| c.wait_with_output().expect("it ends")).collect();
    let done = outs.iter().filter(|o| o.status.success()).count();
    for out in outs.iter().filter(|o| !o.status.success()) {
        let error = text(&out.stderr);
        let told = error.contains("another plimsoll")
            || error.contains("changed since")
            || error.contains("is there already");
        assert!(told, "{}: {error:?} {:?}", out.status, text(&out.stdout));
    }
    assert!(done >= 1, "one of them is first");
    host.ok(&["undo", "1"]);
    assert_eq!(host.everything(), old);
}

#[test]
fn a_terminal_that_hangs_up_leaves_the_guard_at_its_post() {
    if !root() {
        return;
    }
    let host = Host::new("hangup").with_nft();
    let old = host.everything();
    // A session of its own with a terminal, which goes away with everything in it two seconds early.
    let state = host.state.to_str().expect("a path of text");
    let fix = format!("{BINARY} {} --confirm 4s --state-dir {state}; sleep 60", SETTINGS.join(" "));
    let inside = format!("ip netns exec {} sh -c '{fix}'", host.netns.0);
    let mut script = std::process::Command::new("script")
        .args(["-qec", &inside, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("script starts");
    until("its line in the history", || host.list().contains("waits for `plimsoll confirm`"));
    assert_ne!(host.everything(), old);
    // The master of the terminal dies: the kernel hangs up its session.
    script.kill().expect("it is killed");
    script.wait().expect("it is gone");
    std::thread::sleep(Duration::from_millis(500));
    assert_ne!(host.everything(), old, "the window is still open");
    until("the old state", || host.everything() == old);
    assert!(host.list().contains("was not confirmed in time"), "{}", host.list());
}

#[test]
fn the_limit_is_never_lowered_unless_that_is_asked_for() {
    if !root() {
        return;
    }
    let state = std::env::temp_dir().join(format!("plimsoll-test-{}-lower", std::process::id()));
    let state = state.to_str().expect("a path of text");
    let limit = || fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max").expect("a limit");
    let out =
        crate::support::plimsoll(&["fix", "raise", "--max", "1000", "--yes", "--state-dir", state]);
    assert_eq!(out.status.code(), Some(1));
    let said = text(&out.stdout);
    assert!(said.contains("1,000 is lower: only with --allow-lower"), "{said}");
    assert_ne!(limit().trim(), "1000");
    // Nor are the buckets, whose chains would cost every packet.
    let fewer = &["fix", "raise", "--buckets", "7", "--dry-run", "--state-dir", state];
    let out = crate::support::plimsoll(fewer);
    assert_eq!(out.status.code(), Some(1));
    let words = text(&out.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("buckets, and 7 are fewer: only with --allow-lower"), "{words}");
    assert!(words.contains("chains become longer"), "{words}");
    assert!(!std::path::Path::new(state).exists(), "nothing was begun");
}

#[test]
fn a_tracker_that_something_needs_or_that_is_built_in_is_not_unloaded() {
    if !root() {
        return;
    }
    // A rule by state in a namespace of its own: modules serve all of them.
    let host = Host::new("unload").with_nft();
    let out = crate::support::plimsoll(&["fix", "unload", "--yes", "--watch", "0"]);
    let said = text(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{said}");
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let built_in = words.contains("is built into this kernel");
    assert!(built_in || words.contains("asks for tracking"), "{said}");
    let inside = host.run(&["fix", "unload", "--yes", "--netns", "own"]);
    assert_eq!(inside.status.code(), Some(1));
    assert!(text(&inside.stdout).contains("run it in the host's own"), "{}", text(&inside.stdout));
}

/// Makes a transaction one of an earlier boot: what the kernel's own number of the boot told then.
fn of_an_earlier_boot(journal: &std::path::Path) {
    let text = fs::read_to_string(journal).expect("a journal");
    let now = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot");
    assert!(text.contains(now.trim()));
    let earlier = text.replace(now.trim(), "00000000-0000-4000-8000-000000000000");
    fs::write(journal, earlier).expect("it is written");
}

#[test]
fn what_a_reboot_ended_is_said_and_nothing_of_this_boot_is_touched() {
    if !root() {
        return;
    }
    let host = Host::new("reboot").with_nft();
    let old = host.everything();
    host.ok(SETTINGS);
    of_an_earlier_boot(&host.state.join("1.journal"));
    assert!(host.list().contains("stands (made before the last boot)"), "{}", host.list());
    // The boot gave the old values, and somebody has set one of them since to what plimsoll had written.
    host.netns.run("sysctl", &["-qw", "net.netfilter.nf_conntrack_udp_timeout=30"]);
    let now = host.everything();
    let said = host.ok(&["undo"]);
    assert!(said.contains("had ended with the reboot already"), "{said}");
    assert_eq!(host.everything(), now);
    host.netns.run("sysctl", &["-qw", &format!("{TIME_WAIT}=120")]);
    assert_eq!(host.everything(), old);

    // The machine went down while a confirmation was waited for: there is nothing left to confirm or to take back.
    host.ok(&with(SETTINGS, &["--confirm", "1h"]));
    let journal = host.state.join("2.journal");
    run("kill", &["-9", &guard_of(&journal)]);
    of_an_earlier_boot(&journal);
    host.netns.run("sysctl", &["-qw", &format!("{TIME_WAIT}=77")]);
    let now = host.everything();
    let said = host.fails(&["confirm"]);
    assert!(said.contains("was not confirmed in time; it was taken back"), "{said}");
    assert_eq!(host.everything(), now, "what is set in this boot stays");
}

/// A table of old iptables is there once it is named, and its module's as long as that is loaded.
#[test]
fn a_table_of_old_iptables_that_comes_with_a_remedy_stays_empty_and_is_told() {
    if !root() {
        return;
    }
    let host = Host::new("table").with_legacy_filter();
    let old = host.everything();
    for remedy in [BYPASS, POLICY] {
        let words = |said: String| said.split_whitespace().collect::<Vec<_>>().join(" ");
        let new = !host.everything().contains("*raw");
        let said = words(host.ok(remedy));
        assert_eq!(
            said.contains("(iptable_raw), and the kernel has had their modules before"),
            new,
            "{said}"
        );
        let said = words(host.ok(&["undo"]));
        let told = said.contains("stays without a rule: table raw of iptables-legacy-save (it is built into this kernel).");
        assert_eq!(told, new, "{said}");
        let now = host.everything();
        let empty = "*raw\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n";
        assert!(now.contains(empty), "{now}");
        assert_eq!(now.replace(empty, ""), old, "and nothing else stays");
    }
}

/// A reload takes our accepts out of the site's chain and leaves our table: until it is undone the port is dropped.
#[test]
fn what_a_reload_of_the_firewall_leaves_of_a_bypass_is_taken_back() {
    if !root() {
        return;
    }
    let host = Host::new("reload");
    let file = std::env::temp_dir().join(format!("{}.nft", host.netns.0));
    let site = "table inet site\ndelete table inet site\ntable inet site {\n chain input {\n type filter hook input priority \
                0; policy drop;\n ct state established,related accept\n tcp dport 443 ct state new accept\n }\n}\n";
    std::fs::write(&file, site).expect("written");
    let reload = || host.netns.run("nft", &["-f", file.to_str().expect("UTF-8")]);
    let bypass = &["fix", "bypass", "tcp/443", "--role", "server", "--yes"];
    reload();
    let old = host.everything();
    let said = host.ok(bypass);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains("Our rules in your chains are gone when those are loaded anew"),
        "{said}"
    );
    reload();
    let error = host.fails(bypass);
    assert!(error.contains("plimsoll undo takes away what is left of it"), "{error}");
    let list = host.list();
    assert!(list.contains("stands, but not all of it"), "{list}");
    assert!(
        list.contains("gone: a rule in inet site input (3 of them); `plimsoll undo 1` takes back"),
        "{list}"
    );
    let said = host.ok(&["undo"]);
    assert!(
        said.contains("Gone already, by somebody else's hand: a rule in inet site input"),
        "{said}"
    );
    assert_eq!(host.everything(), old);

    // The other way round our rules are there, and another bypass makes the table only.
    host.ok(bypass);
    host.netns.run("nft", &["delete", "table", "inet", "plimsoll_bypass_tcp443"]);
    host.ok(bypass);
    let said = host.ok(&["undo"]) + &host.ok(&["undo"]);
    assert!(
        said.contains("Gone already, by somebody else's hand: table inet plimsoll_bypass_tcp443"),
        "{said}"
    );
    assert_eq!(host.everything(), old);

    // Nothing is left of it.
    host.ok(bypass);
    host.netns.run("nft", &["flush", "ruleset"]);
    let list = host.list();
    assert!(
        list.contains("stands no more\n      gone: table inet plimsoll_bypass_tcp443"),
        "{list}"
    );
    let json = host.ok(&["fix", "--list", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let errors = crate::support::schema_errors(&crate::support::schema("transactions"), &json);
    assert_eq!(errors, Vec::<String>::new());
    let gone = json["transactions"].as_array().and_then(|all| all.last()?["gone"].as_array());
    assert_eq!(gone.map(Vec::len), Some(1), "{json}");
    let said = host.ok(&["undo"]);
    assert!(
        said.contains("Gone already, by somebody else's hand: table inet plimsoll_bypass_tcp443"),
        "{said}"
    );
    let _ = std::fs::remove_file(file);
}

/// Whoever saves the rules while a bypass stands has ours in the file, and a reload brings them back.
#[test]
fn rules_that_were_saved_while_a_bypass_stood_are_told_and_how_to_be_rid_of_them() {
    if !root() {
        return;
    }
    let host = Host::new("saved").with_strict_legacy();
    let old = host.everything();
    host.ok(BYPASS);
    // An /etc of the test's own, so that a firewall's file can be there.
    let state = host.state.to_str().expect("UTF-8");
    let undo = format!(
        "mount -t tmpfs tmpfs /etc && mkdir /etc/iptables && iptables-legacy-save > /etc/iptables/rules.v4 && \
         cp /etc/iptables/rules.v4 {state}/saved && grep -ni plimsoll /etc/iptables/rules.v4 && \
         {BINARY} undo --state-dir {state} && {BINARY} fix --list --state-dir {state}"
    );
    let said = host.netns.run("unshare", &["-m", "sh", "-c", &undo]);
    let numbers = said.lines().filter_map(|line| line.split(':').next());
    let lines: Vec<&str> = numbers.filter(|n| n.parse::<u32>().is_ok()).collect();
    assert_eq!(lines.len(), 7, "{said}");
    // By `undo`, and by the list ever since: nobody reads what is said where it goes back by itself.
    let told = said.lines().filter(|line| line.contains("SAVED: rules of it stand in"));
    let told: Vec<&str> = told.collect();
    assert_eq!(told.len(), 2, "{said}");
    for told in told {
        assert!(told.contains("/etc/iptables/rules.v4 lines ") && told.contains("save"), "{told}");
        assert!(told.contains(&format!("lines {}, and", lines.join(", "))), "{lines:?}: {told}");
    }
    assert!(!host.list().contains("SAVED"), "{}", host.list());
    assert_eq!(host.everything(), old);

    host.netns.run("sh", &["-c", &format!("iptables-legacy-restore < {state}/saved")]);
    host.fails(BYPASS);
    let error = host.fails(&["undo"]);
    assert!(error.contains("rules of plimsoll's are here that no fix has made"), "{error}");
    let away = error.split('`').nth(1).expect("a command");
    host.netns.run("sh", &["-c", away]);
    assert_eq!(host.everything(), old);
    assert!(host.fails(&["undo"]).contains("there is nothing to undo"));
}

#[test]
fn rules_of_nft_that_no_fix_made_are_none_that_undo_takes_back() {
    if !root() {
        return;
    }
    let host = Host::new("strays").with_nft();
    let old = host.everything();
    host.ok(BYPASS);
    let saved = host.netns.run("nft", &["list", "ruleset"]);
    let error = host.fails(BYPASS);
    assert!(error.contains("`plimsoll undo` takes that back"), "{error}");
    host.ok(&["undo"]);
    host.netns.run("nft", &[&format!("flush ruleset; {saved}")]);
    let error = host.fails(BYPASS);
    assert!(error.contains("table inet plimsoll_bypass_tcp443 is there already; rules"), "{error}");
    for away in error.split('`').skip(1).step_by(2) {
        host.netns.run("sh", &["-c", away]);
    }
    assert_eq!(host.everything(), old);
}

/// The same of iptables, on both back ends: what is left goes, and what was gone is told.
#[test]
fn what_a_reload_leaves_of_rules_of_iptables_is_taken_back() {
    if !root() {
        return;
    }
    for (iptables, host) in [
        ("iptables-legacy", Host::new("left-old").with_strict_legacy()),
        ("iptables-nft", Host::new("left-new").with_strict_iptables()),
    ] {
        // In the order that a reload leaves them in.
        let reload = format!("{iptables}-save -t filter | {iptables}-restore");
        host.netns.run("sh", &["-c", &reload]);
        let old = host.everything();
        host.ok(BYPASS);
        assert!(host.list().contains("tcp/443  stands\n"), "{}", host.list());
        let without = format!(
            "{iptables}-save -t filter | grep -v 'plimsoll: tcp/443\"' | {iptables}-restore"
        );
        host.netns.run("sh", &["-c", &without]);
        let gone = format!("a rule in {iptables} filter FW");
        let list = host.list();
        assert!(list.contains("stands, but not all of it"), "{list}");
        assert!(list.contains(&format!("gone: {gone}")), "{list}");
        let said = host.ok(&["undo"]);
        assert!(said.contains(&format!("by somebody else's hand: {gone}")), "{said}");
        assert_eq!(host.everything(), old);

        host.ok(BYPASS);
        let without = format!("{iptables}-save -t filter | grep -v plimsoll | {iptables}-restore");
        host.netns.run("sh", &["-c", &without]);
        let said = host.ok(&["undo"]);
        let gone = format!("by somebody else's hand: our rules in {iptables} filter");
        assert!(said.contains(&gone), "{said}");
        assert_eq!(host.everything(), old);
    }
}
