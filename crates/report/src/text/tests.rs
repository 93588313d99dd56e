use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_diagnosis::{Diagnosis, Said};

use super::{cases, text};
use crate::wrap::width;
use crate::{Clock, Style};

fn plain() -> Style {
    Style::default()
}

fn without_colour(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        out.push_str(before);
        rest = after.split_once('m').expect("a whole sequence").1;
    }
    out.push_str(rest);
    out
}

#[test]
fn a_healthy_host_is_a_short_screen() {
    let screen = text(&cases::healthy(), &plain());
    assert!(screen.lines().count() <= 12, "{screen}");
    insta::assert_snapshot!("healthy", screen);
}

#[test]
fn a_full_host() {
    insta::assert_snapshot!("full", text(&cases::full(), &plain()));
}

#[test]
fn one_of_a_thing_is_not_many() {
    let mut d = cases::full();
    (d.drops.counted, d.drops.suppressed) = (Some(1), Some(1));
    let screen = text(&d, &plain());
    assert!(screen.contains("1 packet (full table,"), "{screen}");
    assert!(screen.contains("1 message of all networking,"), "{screen}");
}

#[test]
fn a_full_container_on_a_host_that_is_not() {
    insta::assert_snapshot!("container", text(&cases::container(), &plain()));
}

#[test]
fn a_dead_host() {
    insta::assert_snapshot!("dead", text(&cases::dead(), &plain()));
}

#[test]
fn without_rights() {
    insta::assert_snapshot!("unprivileged", text(&cases::unprivileged(), &plain()));
}

#[test]
fn hostile_strings() {
    insta::assert_snapshot!("hostile", text(&cases::hostile(), &plain()));
}

#[test]
fn three_hundred_namespaces() {
    insta::assert_snapshot!("crowd", text(&cases::crowd(), &plain()));
}

#[test]
fn no_limit_and_more_entries_than_the_limit() {
    insta::assert_snapshot!("odd", text(&cases::odd(), &plain()));
}

/// The words of a screen, wherever its lines are broken.
fn words(screen: &str) -> String {
    screen.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_was_ruled_out_and_what_was_not_seen_is_told_whole() {
    let mut d = cases::full();
    let name = "cni-5c0f1d2e-8a7b-4c3d-9e6f-0123456789ab";
    let needs = format!("ip netns exec {name} conntrack -L -o extended, saved as root");
    let reason = format!("not collected ({})", ["ip6_tables"; 15].join(", "));
    let because =
        "TcpExt.ListenOverflows 0, TcpExt.ListenDrops 0, at most 3 entries of 1,024 in the queue";
    d.missing[0].needs = Some(Said::name(needs.clone()));
    d.missing[0].reason = Said::name(reason.clone());
    d.excluded[0].because = Said::name(because);
    for width in [60, 80, 160] {
        let screen = words(&text(&d, &Style { width, ..plain() }));
        assert!(screen.contains(&format!("{reason} (needs {needs})")), "{screen}");
        assert!(screen.contains(because), "{screen}");
    }
}

#[test]
fn a_long_name_of_a_namespace_takes_the_room_of_a_wide_screen() {
    let name = "cni-5c0f1d2e-8a7b-4c3d-9e6f-0123456789ab-of-a-pod";
    let mut d = cases::crowd();
    d.namespaces.iter_mut().for_each(|namespace| namespace.name = Said::name(name));
    let screen = text(&d, &Style { width: 160, ..plain() });
    assert!(screen.lines().any(|line| line.starts_with(&format!("  {name} "))), "{screen}");
    assert!(screen.contains(&format!("({name})")), "{screen}");
    let narrow = text(&d, &plain());
    assert!(narrow.lines().all(|line| !line.starts_with(&format!("  {name} "))), "{narrow}");
}

#[test]
fn sixty_columns_of_ascii_in_another_clock() {
    let style =
        Style { width: 60, unicode: false, clock: Clock::Offset { minutes: 480 }, ..plain() };
    insta::assert_snapshot!("narrow", text(&cases::full(), &style));
}

#[test]
fn everything_in_wide() {
    let style = Style { width: 120, verbose: true, ..plain() };
    insta::assert_snapshot!("verbose", text(&cases::full(), &style));
}

#[test]
fn colours_are_a_layer_that_says_nothing_by_itself() {
    for d in cases::all() {
        let coloured = text(&d, &Style { colour: true, ..plain() });
        assert_eq!(without_colour(&coloured), text(&d, &plain()));
    }
    let coloured = text(&cases::full(), &Style { colour: true, ..plain() });
    insta::assert_snapshot!("coloured", coloured.replace('\x1b', "ESC"));
}

#[test]
fn nothing_of_a_host_reaches_the_terminal_as_a_control() {
    for d in cases::all() {
        for verbose in [false, true] {
            let screen = text(&d, &Style { verbose, ..plain() });
            assert!(!screen.contains(|c| c != '\n' && plimsoll_wire::is_hidden(c)), "{screen}");
            let ascii = text(&d, &Style { verbose, unicode: false, ..plain() });
            let commands = commands(&d);
            for line in ascii.lines().filter(|l| !commands.contains(l)) {
                assert!(line.is_ascii(), "{line}");
            }
        }
    }
}

#[test]
fn no_line_is_wider_than_the_screen_but_commands() {
    for d in cases::all() {
        let commands = commands(&d);
        for columns in [0, 60, 61, 79, 80, 100, 133, 200] {
            for (verbose, unicode) in [(false, true), (true, true), (true, false)] {
                let style = Style { width: columns, verbose, unicode, ..plain() };
                for line in text(&d, &style).lines().filter(|l| !commands.contains(l)) {
                    assert!(width(line) <= columns.max(60), "{columns}: {line}");
                }
            }
        }
    }
}

/// Lines that are pasted as they are: those of a case's remedies.
fn commands(d: &Diagnosis) -> Vec<&str> {
    let ours = d.remedies.iter().flat_map(|r| r.fix.iter().chain(&r.commands));
    ours.flat_map(|c| c.lines()).collect()
}

#[test]
fn commands_stand_as_they_are_to_be_pasted() {
    for commands in [false, true] {
        stand_as_they_are(Style { width: 60, commands, ..plain() });
    }
}

fn stand_as_they_are(style: Style) {
    for d in [cases::full(), cases::container(), cases::dead()] {
        let screen = text(&d, &style);
        for remedy in d.remedies.iter().filter(|r| r.refused.is_empty()) {
            let ours = !style.commands && !remedy.fix.is_empty();
            let wanted = if ours { &remedy.fix } else { &remedy.commands };
            let block: Vec<&str> =
                wanted.iter().flat_map(|c| c.lines()).filter(|l| !l.starts_with('#')).collect();
            let mut at = 0;
            for line in block {
                let whole = alloc::format!("\n{line}\n");
                at += screen[at..].find(&whole).unwrap_or_else(|| panic!("{line}\n{screen}"));
            }
        }
    }
}

#[test]
fn the_command_of_ours_stands_alone_unless_the_plain_ones_are_asked_for() {
    let d = cases::full();
    let shown = |style: Style| {
        let screen = text(&d, &style);
        let has = |line: &str| screen.contains(&alloc::format!("\n{line}\n"));
        (
            has("plimsoll fix raise --max 262144 --buckets 65536"),
            has("sysctl -w net.nf_conntrack_max=262144"),
        )
    };
    assert_eq!(shown(plain()), (true, false));
    assert_eq!(shown(Style { commands: true, ..plain() }), (false, true));
    assert_eq!(shown(Style { verbose: true, ..plain() }), (true, true));
}

#[test]
fn commands_of_a_refused_remedy_cannot_be_pasted() {
    let d = cases::full();
    for verbose in [false, true] {
        let screen = text(&d, &Style { verbose, ..plain() });
        assert!(!screen.contains("\nmodprobe -r"), "{screen}");
        assert_eq!(screen.contains("\n# modprobe -r"), verbose);
    }
}

#[test]
fn a_command_with_hidden_characters_is_not_shown() {
    let screen = text(&cases::hostile(), &plain());
    assert!(!screen.contains("nsenter"), "{screen}");
    assert!(screen.contains("ls /run/netns/名前"), "{screen}");
}
