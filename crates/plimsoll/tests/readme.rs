//! What the READMEs show is what the program prints.

mod support;

use std::fs;
use std::process::{Command, Stdio};

use support::{BINARY, repository};

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
