//! One command of the lab: run in a namespace, shown as a person would type it.

use crate::LabError;
use crate::attempt::attempt;
use crate::namespace::Namespace;
use std::fmt;
use std::process::{Command, Stdio};

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    program: &'static str,
    arguments: Vec<String>,
}

impl Step {
    /// A command whose arguments are the words of `line`; each `{}` block of nft is one word.
    pub(crate) fn new(program: &'static str, line: &str) -> Self {
        let mut arguments: Vec<String> = Vec::new();
        let mut depth = 0usize;
        for word in line.split_whitespace() {
            match arguments.last_mut() {
                Some(block) if depth > 0 => {
                    block.push(' ');
                    block.push_str(word);
                }
                _ => arguments.push(word.to_owned()),
            }
            match word {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        Self { program, arguments }
    }

    /// Runs it in a namespace, or where we are.
    pub(crate) fn run(&self, namespace: Option<&Namespace>) -> Result<(), LabError> {
        let run = || {
            Command::new(self.program)
                .args(&self.arguments)
                .env("PATH", SEARCH_PATH)
                .stdin(Stdio::null())
                .output()
        };
        let output = match namespace {
            Some(namespace) => namespace.run(run)?,
            None => run(),
        };
        let output =
            output.map_err(LabError::system(attempt!("running {}", "运行 {}", self.program)))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(LabError::Refused { command: self.to_string(), said })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program)?;
        for argument in &self.arguments {
            if argument.contains([' ', ';', '{', '*', '$']) {
                write!(f, " '{argument}'")?;
            } else {
                write!(f, " {argument}")?;
            }
        }
        Ok(())
    }
}

/// Where programs are looked for: root's shells do not all have the sbin directories in their path.
pub(crate) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Whether a program is there.
pub(crate) fn installed(program: &str) -> bool {
    SEARCH_PATH.split(':').any(|dir| std::path::Path::new(dir).join(program).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_reads_as_one_would_type_it() {
        let step = Step::new("nft", "add chain ip lab in { type filter ; policy drop ; }");
        assert_eq!(step.arguments.len(), 6);
        assert_eq!(step.to_string(), "nft add chain ip lab in '{ type filter ; policy drop ; }'");
        assert_eq!(Step::new("ip", "link set lo up").to_string(), "ip link set lo up");
    }
}
