//! What `replay` draws: the occupancy as text and SVG, the table of settings, the bar while it works.

use std::io::Read;
use std::process::{Command, Stdio};

use super::{BINARY, replay, stored};

#[test]
fn made_up_traffic_is_drawn_from_its_start() {
    let made = "rate=20/s lifetime=exp:1s udp=100% seed=1 for=2s";
    let (out, _, _) = replay(&["--synthetic", made, "--plot", "-"], b"");
    assert!(out.starts_with("OCCUPANCY  entries since the start; as set\n"), "{out}");
    let path = stored("made.svg", b"");
    let name = path.to_str().unwrap();
    assert_eq!(replay(&["--synthetic", made, "--plot", name], b"").2, Some(0));
    let svg = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(svg.contains("time since the start") && !svg.contains("1970"));
    let small = ["--synthetic", made, "--set=nf_conntrack_max=5", "--no-search"];
    let (out, _, _) = replay(&small, b"");
    let first = out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(first.contains("connections from +0.") && !first.contains("1970"), "{out}");
}

#[test]
fn every_setting_of_a_drawing_can_be_told_from_the_others() {
    let made = "rate=9/s lifetime=exp:5s seed=1 for=20s";
    let path = stored("grid.svg", b"");
    let name = path.to_str().unwrap();
    let drawn = |values: &str, more: &[&str]| {
        let max = format!("--what-if=max={values}");
        let flags = [
            "--synthetic",
            made,
            "--set=max=60",
            "--set=buckets=512",
            "--no-search",
            &max,
            "--plot",
            name,
        ];
        assert_eq!(replay(&[&flags[..], more].concat(), b"").2, Some(0));
        let svg = std::fs::read_to_string(&path).unwrap();
        let value = |line: &str, key: &str| {
            let rest = line.split_once(&format!(" {key}=\""))?.1;
            Some(rest.split('"').next().unwrap_or_default().to_owned())
        };
        let curves =
            svg.lines().filter(|l| l.starts_with("<polyline") && l.contains("width=\"1.8\""));
        let looks: Vec<_> =
            curves.map(|l| (value(l, "stroke"), value(l, "stroke-dasharray"))).collect();
        let legend = svg.lines().skip_while(|l| !l.contains("x marks drops")).skip(1);
        let legend = legend.filter(|l| l.starts_with("<text") && l.contains("font-size=\"12\""));
        let keys: Vec<_> = legend.collect();
        let peaks = keys.iter().filter(|l| l.contains("peak ")).count();
        let keys = keys.into_iter();
        // A letter takes some seven of the drawing's 960 units.
        let ends = keys.map(|l| {
            let text = l.split('>').nth(1).unwrap().split('<').next().unwrap();
            let at: f64 = value(l, "x").unwrap().parse().unwrap();
            (at, at + text.chars().count() as f64 * 6.7)
        });
        (looks, peaks, ends.collect::<Vec<_>>())
    };
    let long = ["--what-if=tcp_timeout_time_wait=120,60,30", "--what-if=udp_timeout=30,10"];
    let longer = [
        "--what-if=tcp_timeout_time_wait=60",
        "--what-if=udp_timeout=10",
        "--what-if=tcp_timeout_established=7200",
        "--what-if=icmp_timeout=11",
        "--what-if=icmpv6_timeout=12",
        "--what-if=tcp_timeout_syn_recv=14",
    ];
    for (values, more, number, columns) in [
        ("400,500", &[][..], 3, 2),
        ("40,50,60,70", &long[..1], 13, 1),
        ("400,500", &long, 13, 1),
        ("300", &longer, 2, 1),
    ] {
        let (looks, peaks, keys) = drawn(values, more);
        assert_eq!((looks.len(), peaks), (number, number));
        let different: std::collections::BTreeSet<_> = looks.iter().collect();
        assert_eq!(different.len(), number, "{looks:?}");
        let starts: std::collections::BTreeSet<_> = keys.iter().map(|(at, _)| *at as u32).collect();
        assert_eq!(starts.len(), columns, "{keys:?}");
        for (at, end) in keys {
            let next = starts.iter().find(|s| f64::from(**s) > at).map_or(960.0, |s| f64::from(*s));
            assert!(end < next, "{at} to {end}: {starts:?}");
        }
    }
    std::fs::remove_file(path).unwrap();
    let flags = [
        "--synthetic",
        made,
        "--no-search",
        "--set=buckets=512",
        "--what-if=max=300,400",
        "--plot=-",
    ];
    let (out, _, _) = replay(&[&flags[..], &long[..1]].concat(), b"");
    let chart = out.split("SETTINGS").next().unwrap();
    let whole = chart.matches("max=300 tcp_timeout_time_wait=").count();
    assert!(!chart.contains('…') && whole == 3, "{chart}");
}

/// What a program that runs in a terminal of so many columns draws on standard error until a line is the one.
fn drawn(columns: u16, arguments: &[&str], mut last: impl FnMut(&str) -> bool) -> String {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let size = rustix::termios::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&ours, size).unwrap();
    let theirs = std::fs::OpenOptions::new().read(true).write(true).open(name).unwrap();
    let mut child = Command::new(BINARY)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(theirs)
        .env("TERM", "xterm")
        .env("LC_ALL", "C.UTF-8")
        .spawn()
        .unwrap();
    let (mut terminal, mut seen) = (std::fs::File::from(ours), Vec::new());
    let mut some = [0; 4096];
    let text = loop {
        // An error: it has ended, and nobody holds the other side.
        let got = terminal.read(&mut some).unwrap_or(0);
        seen.extend_from_slice(&some[..got]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        if got == 0 || last(&text) {
            break text;
        }
    };
    let _ = child.kill();
    child.wait().unwrap();
    text
}

#[test]
fn the_progress_bar_is_as_wide_as_the_terminal_and_no_wider() {
    for (columns, lang, word, left) in [
        (60u16, "en", "replaying ", " left"),
        (132, "en", "replaying ", " left"),
        (80, "zh", "正在回放 ", "剩余"),
    ] {
        let made = "rate=5000/s lifetime=fixed:1s udp=100% seed=1 for=10h";
        let long = ["replay", "--no-search", "--lang", lang, "--synthetic", made];
        // Until a line is over that shows how much is left.
        let text = drawn(columns, &long, |text| text.matches(left).count() > 2);
        let lines: Vec<&str> = text.split(['\r', '\n']).filter(|l| l.contains(left)).collect();
        assert!(lines.len() > 1, "{text:?}");
        for line in &lines[..lines.len() - 1] {
            // Without what moves the cursor: ESC [ … letter.
            let pieces = line.split("\u{1b}[").enumerate().map(|(at, piece)| match at {
                0 => piece,
                _ => piece.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |p| p.1),
            });
            let plain = pieces.collect::<String>();
            assert_eq!(plimsoll_report::width(&plain), usize::from(columns), "{line:?}");
            assert!(plain.starts_with(word) && plain.contains(" %"), "{line:?}");
        }
    }
}

#[test]
fn of_work_that_is_done_at_once_no_progress_is_shown() {
    let made = "rate=20/s lifetime=exp:1s udp=100% seed=1 for=9s";
    let text = drawn(80, &["replay", "--no-search", "--synthetic", made], |_| false);
    assert_eq!(text, "");
}

#[test]
fn every_column_of_the_settings_is_shown_however_narrow_the_screen_is() {
    let made = "rate=20/s lifetime=exp:9s seed=1 for=30s";
    let flags = ["--synthetic", made, "--set=max=100", "--no-search", "--what-if=max=150,200"];
    let more = ["--what-if=tcp_timeout_established=86400,43200,7200"];
    let whole = |width: u16, more: &[&str]| {
        let width = format!("--width={width}");
        let (out, _, _) = replay(&[&flags[..], more, &[&width]].concat(), b"");
        let table = out.split("SETTINGS").nth(1).unwrap().split("\n\n").next().unwrap();
        // Names, numbers, and the settings as often as they take.
        let words: std::collections::BTreeSet<String> =
            table.lines().skip(1).flat_map(str::split_whitespace).map(str::to_owned).collect();
        assert!(!table.contains('…'), "{out}");
        (words, table.matches("protected").count(), table.matches("first drop").count())
    };
    for more in [&[][..], &more] {
        let wide = whole(200, more);
        assert!(wide.0.contains("drop") && wide.0.contains("memory"), "{wide:?}");
        for width in [60, 62, 66, 72, 80, 100] {
            assert_eq!(whole(width, more), wide, "{width}");
        }
    }
}

#[test]
fn a_drawing_takes_the_place_of_no_capture() {
    let bytes = super::capture(3, true);
    let path = stored("drawn-over.pcap", &bytes);
    let link = path.with_extension("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let (name, link_name) = (path.to_str().unwrap(), link.to_str().unwrap());
    for (capture, place) in [(name, name), (name, link_name), (link_name, name)] {
        let (out, err, status) = replay(&[capture, "--plot", place], b"");
        let why = format!(
            "plimsoll: --plot {place}: the drawing would take the place of a capture, {capture}\n"
        );
        assert_eq!((out.as_str(), err, status), ("", why, Some(64)));
    }
    // It may be standard input, too.
    let open = std::fs::File::open(&path).unwrap();
    let piped = Command::new(BINARY).args(["replay", "-", "--plot", name]).stdin(open).output();
    assert_eq!(piped.unwrap().status.code(), Some(64));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    for path in [path, link] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_drawing_and_json_do_not_share_standard_output() {
    let (out, err, status) = replay(&["-", "--json", "--plot=-"], &super::capture(1, true));
    let why =
        "plimsoll: --plot -: --json has standard output for itself; give the drawing a file\n";
    assert_eq!((out.as_str(), err.as_str(), status), ("", why, Some(64)));
}

#[test]
fn a_drawing_that_finds_no_room_leaves_the_one_before() {
    use std::os::unix::fs::PermissionsExt;
    let made = "rate=20/s lifetime=exp:1s udp=100% seed=1 for=9s";
    let folder = std::env::temp_dir().join(format!("plimsoll-plots-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("kept.svg");
    std::fs::write(&path, "before").unwrap();
    let name = path.to_str().unwrap();
    let link = path.with_extension("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    // A file may have no octet here: what is written ends with a signal, or with an error if that is ignored.
    let limited = |limit: &str, place: &str| {
        let line = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
        let arguments = [BINARY, "replay", "--synthetic", made, "--plot", place];
        let out = Command::new("bash").args(["-c", &line]).args(arguments).output().unwrap();
        (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap(), out.status)
    };
    let (out, err, status) = limited("1", name);
    assert!(out.starts_with("HOLDS") && err.contains(": File too large"), "{out}{err}");
    assert_eq!(
        (std::fs::read(&path).unwrap().as_slice(), status.code()),
        (&b"before"[..], Some(1))
    );
    // With room it takes the place, behind a link too, and may be read by the same people.
    let (_, err, status) = limited("unlimited", link.to_str().unwrap());
    assert_eq!((err.as_str(), status.code()), ("", Some(0)));
    let svg = std::fs::read_to_string(&path).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "nothing else is left");
    std::fs::remove_dir_all(folder).unwrap();
}
