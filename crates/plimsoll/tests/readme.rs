//! What the READMEs show is what the program prints.

mod support;

use std::fs;
use std::process::{Command, Stdio};

use support::{BINARY, repository, root, text};

const READMES: [&str; 2] = ["README.md", "README.zh-CN.md"];

/// What stands in its blocks of code.
fn blocks(page: &str) -> Vec<&str> {
    page.split("\n```\n").skip(1).step_by(2).collect()
}

fn page(name: &str) -> String {
    fs::read_to_string(repository(name)).expect("it is there")
}

/// That each line of a block that shows no output is understood is `documents.rs`'s test, and `cargo xtask readme`'s.
#[test]
fn every_block_in_the_readmes_is_of_a_kind_that_a_test_holds() {
    for name in READMES {
        let page = page(name);
        let fences = page.lines().filter(|line| line.starts_with("```")).count();
        let blocks = blocks(&page);
        assert_eq!(fences, blocks.len() * 2, "{name}: a fence that starts no plain block");
        let (mut shown, mut cures, mut typed) = (0, 0, 0);
        for block in blocks {
            match block {
                _ if block.starts_with("$ plimsoll ") => shown += 1,
                _ if block.starts_with("# plimsoll fix timeout ") => cures += 1,
                "kernel: nf_conntrack: nf_conntrack: table full, dropping packet" => {}
                _ => {
                    for line in block.lines() {
                        let held =
                            ["cargo plimsoll ", "cargo xtask ", "sudo target/release/plimsoll "];
                        let target = line == "rustup target add x86_64-unknown-linux-musl";
                        assert!(
                            target || held.iter().any(|start| line.starts_with(start)),
                            "{name}: {line}"
                        );
                        typed += 1;
                    }
                }
            }
        }
        assert_eq!((shown, cures, typed), (3, 1, 6), "{name}");
    }
}

#[test]
fn the_output_in_the_readmes_is_the_programs_own() {
    let root = repository("");
    for name in READMES {
        let page = page(name);
        for block in blocks(&page) {
            let Some(rest) = block.strip_prefix("$ plimsoll ") else { continue };
            let (command, output) = rest.split_once('\n').expect("a command and its output");
            assert!(!output.contains("\n$ "), "{name}: {command}: one command a block");
            assert_eq!(command.contains(" --lang zh"), name.contains("zh"), "{name}: {command}");
            // What is cut ends with …; what does not is all of it.
            let cut = output.trim_end().strip_suffix('…');
            let expected = cut.unwrap_or(output).trim_end();
            let out = Command::new(BINARY)
                .args(command.split_whitespace())
                .current_dir(&root)
                .env("LC_ALL", "C.UTF-8")
                .stdin(Stdio::null())
                .output()
                .expect("the binary starts");
            let printed = String::from_utf8(out.stdout).expect("UTF-8");
            assert!(printed.starts_with(expected), "{name}, {command}:\n{printed}");
            let rest = printed[expected.len()..].trim();
            assert_eq!(cut.is_none(), rest.is_empty(), "{name}, {command}:\n{rest}");
        }
    }
}

/// In namespaces of its own, of processes, mounts and the network: what is said of being elsewhere than in the host's own is all
/// that may differ.
#[test]
fn the_cure_in_the_readmes_goes_as_they_show_it() {
    if !root() {
        return;
    }
    for name in READMES {
        let page = page(name);
        let block = *blocks(&page)
            .iter()
            .find(|block| block.starts_with("# plimsoll fix timeout "))
            .expect("a cure is shown");
        let mut script = String::from(
            "mkdir -p /var/lib/plimsoll && mount -t tmpfs none /var/lib/plimsoll && mount -t tmpfs none /run || exit 9\n",
        );
        for command in block.lines().filter_map(|line| line.strip_prefix("# plimsoll ")) {
            script += &format!("echo '# plimsoll {command}'\n{BINARY} {command} || exit\n");
        }
        let out = Command::new("unshare")
            .args(["-pmn", "--fork", "--mount-proc", "sh", "-c", &script])
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .expect("unshare starts");
        assert!(out.status.success(), "{name}: {}{}", text(&out.stdout), text(&out.stderr));
        let further = ["           fix persist", "           persist`"];
        let elsewhere = [&["  in ", "  位于", "  note ", "  注意 "][..], &further].concat();
        let alike = |text: &str| -> Vec<String> {
            text.lines()
                .filter(|line| !elsewhere.iter().any(|start| line.starts_with(start)))
                .map(|line| line.replace("nsenter --net=/proc/1/ns/net ", ""))
                .collect()
        };
        assert_eq!(alike(&text(&out.stdout)), alike(block), "{name}");
    }
}
