//! What the READMEs show is what the program prints.

mod support;

use std::fs;
use std::process::{Command, Stdio};

use support::{BINARY, repository, root, text};

#[test]
fn the_output_in_the_readmes_is_the_programs_own() {
    let root = repository("");
    for name in ["README.md", "README.zh-CN.md"] {
        let text = fs::read_to_string(root.join(name)).expect("it is there");
        let mut shown = 0;
        for block in text.split("```").skip(1).step_by(2) {
            let Some(rest) = block.trim_start().strip_prefix("$ plimsoll ") else { continue };
            let (command, output) = rest.split_once('\n').expect("a command and its output");
            let expected = output.trim_end().strip_suffix('…').expect("cut with …").trim_end();
            let out = Command::new(BINARY)
                .args(command.split_whitespace())
                .current_dir(&root)
                .env("LC_ALL", "C.UTF-8")
                .stdin(Stdio::null())
                .output()
                .expect("the binary starts");
            let printed = String::from_utf8(out.stdout).expect("UTF-8");
            assert!(printed.starts_with(expected), "{name}, {command}:\n{printed}");
            shown += 1;
        }
        assert!(shown > 0, "{name} shows no output");
    }
}

/// In namespaces of its own, of processes, mounts and the network: what is said of being elsewhere than in the host's own is all
/// that may differ.
#[test]
fn the_cure_in_the_readmes_goes_as_they_show_it() {
    if !root() {
        return;
    }
    for name in ["README.md", "README.zh-CN.md"] {
        let page = fs::read_to_string(repository(name)).expect("it is there");
        let block = page
            .split("```")
            .find(|block| block.starts_with("\n# plimsoll fix timeout "))
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
        assert_eq!(alike(&text(&out.stdout)), alike(block.trim_start()), "{name}");
    }
}
