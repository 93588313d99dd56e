//! `plimsoll manual`: what it writes, as man(1) and a shell meet it.

mod support;

use std::path::PathBuf;
use std::process::Command;

use support::{plimsoll, text};

/// All of it below a directory of its own.
fn written(name: &str, lang: &str) -> (PathBuf, String) {
    let prefix = std::env::temp_dir().join(format!("plimsoll-man-{}-{name}", std::process::id()));
    let out = plimsoll(&["manual", prefix.to_str().expect("UTF-8"), "--lang", lang]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    (prefix, text(&out.stdout))
}

#[test]
fn every_command_that_the_help_lists_has_a_page_with_its_options_and_examples() {
    let (prefix, said) = written("pages", "en");
    let mut commands = vec![Vec::new()];
    let mut pages = 0;
    while let Some(command) = commands.pop() {
        let arguments = [&command[..], &["--help".to_owned()]].concat();
        let help =
            text(&plimsoll(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).stdout);
        let name = [&["plimsoll".to_owned()][..], &command].concat().join("-");
        let page = prefix.join(format!("share/man/man8/{name}.8"));
        let page = std::fs::read_to_string(&page).unwrap_or_else(|e| panic!("{name}: {e}"));
        let page = page.replace("\\-", "-").replace("\\*(Aq", "'");
        assert!(page.contains(&format!(".SH NAME\n{name} - ")), "{name}: {page}");
        let options = help.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
        for option in options.filter_map(|line| line.split(' ').next()) {
            assert!(page.contains(&format!("--{option}")), "{name}: --{option}: {page}");
        }
        let examples = help.split("Examples:\n").nth(1).unwrap_or_else(|| panic!("{name}: {help}"));
        assert!(page.contains(".SH EXAMPLES"), "{name}: {page}");
        assert!(examples.lines().all(|line| page.contains(line)), "{name}: {page}");
        let list = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
        let inner = list.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("  "));
        let inner = inner.filter(|line| !line.starts_with([' ', '-']));
        let inner = inner.filter_map(|line| line.split(' ').next()).filter(|word| *word != "help");
        commands.extend(inner.map(|word| [&command[..], &[word.to_owned()]].concat()));
        pages += 1;
    }
    assert!(pages > 20, "{pages}");
    assert!(said.starts_with(&format!("{pages} manual pages in ")), "{said}");
    assert!(
        said.contains(&format!("in Chinese in {}/share/man/zh_CN/man8;", prefix.display())),
        "{said}"
    );
    std::fs::remove_dir_all(prefix).expect("removed");
}

#[test]
fn every_page_is_there_in_chinese() {
    let (prefix, _) = written("chinese", "zh");
    let man = prefix.join("share/man");
    let mut pages = 0;
    for entry in std::fs::read_dir(man.join("man8")).expect("pages") {
        let name = entry.expect("an entry").file_name();
        let page =
            std::fs::read_to_string(man.join("zh_CN/man8").join(&name)).expect("it is there");
        for heading in ["名称", "概述", "描述", "选项", "示例", "另请参阅"] {
            assert!(page.contains(&format!("\n.SH {heading}\n")), "{name:?}: {heading}: {page}");
        }
        let english = ["default:", "ossible values", "Print help", "[OPTIONS]", ".SH SUB"];
        assert_eq!(english.into_iter().find(|words| page.contains(words)), None, "{name:?}");
        pages += 1;
    }
    assert!(pages > 20, "{pages}");
    std::fs::remove_dir_all(prefix).expect("removed");
}

#[test]
fn a_shell_completes_commands_and_their_flags() {
    let (prefix, _) = written("shell", "en");
    let script = prefix.join("share/bash-completion/completions/plimsoll");
    let completed = |words: &str, last: &str| {
        let line = format!(
            "source '{}'; COMP_WORDS=(plimsoll {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _plimsoll plimsoll '{last}' plimsoll; echo \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        text(&Command::new("bash").args(["-c", &line]).output().expect("bash starts").stdout)
    };
    assert_eq!(completed("re", "re"), "replay\n");
    assert_eq!(completed("replay --what", "--what"), "--what-if\n");
    for place in ["zsh/site-functions/_plimsoll", "fish/vendor_completions.d/plimsoll.fish"] {
        let script =
            std::fs::read_to_string(prefix.join("share").join(place)).expect("it is there");
        assert!(script.contains("what-if"), "{place}");
    }
    std::fs::remove_dir_all(prefix).expect("removed");
}

#[test]
fn completions_are_described_in_the_language_and_offer_nothing_that_nobody_types() {
    for lang in ["en", "zh"] {
        let (prefix, _) = written(&format!("described-{lang}"), lang);
        let share = prefix.join("share");
        let script = |place| std::fs::read_to_string(share.join(place)).expect("it is there");
        let fish = script("fish/vendor_completions.d/plimsoll.fish");
        let zsh = script("zsh/site-functions/_plimsoll");
        let mut said: Vec<&str> = fish
            .lines()
            .filter_map(|line| line.split_once(" -d '"))
            .map(|(_, said)| said)
            .collect();
        let flags = zsh.lines().filter(|line| line.starts_with("'-") || line.starts_with("'("));
        said.extend(flags.filter_map(|line| line.split_once('[')).map(|(_, said)| said));
        // Values, in fish and in zsh.
        let values = fish.lines().chain(zsh.lines()).filter(|line| line.contains("zh\\"));
        said.extend(values.filter_map(|line| line.split_once("zh")).map(|(_, said)| said));
        assert!(said.len() > 500, "{}", said.len());
        for said in said {
            let chinese = said.contains(|c: char| c >= '\u{4e00}');
            assert_eq!(chinese, lang == "zh", "{said}");
        }
        let bash = script("bash-completion/completions/plimsoll");
        for script in [fish, zsh, bash] {
            assert!(!script.contains("guard") && !script.contains("history"), "{script}");
        }
        std::fs::remove_dir_all(prefix).expect("removed");
    }
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let out = plimsoll(&["manual", "/dev/null"]);
    assert_eq!(out.status.code(), Some(1));
    let said = text(&out.stderr);
    assert!(said.starts_with("plimsoll: /dev/null/share/man/man8/plimsoll.8: "), "{said}");
}
