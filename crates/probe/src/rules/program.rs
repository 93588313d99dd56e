//! Rules as a program (`wire::filter`), for those who want to change them: every condition, not only what needs tracking.
//!
//! nft tells its own rules as JSON; those that iptables made, `iptables-nft-save` tells in full; the tables of old
//! `iptables-legacy-save`. What may be run is decided as for [`super::Reader`].

use std::fs;
use std::path::Path;
use std::time::Duration;

use plimsoll_diagnosis::facts::{Fact, Source};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::filter::{Backend, Program, TableFamily, read_json, read_save};

use super::live::{Presence, Reader, failure, net, nft_tables};
use super::run::{Limits, find, run};
use crate::said_of;

/// A change is not made on half of the rules: they have more time than a look.
const LIMITS: Limits = Limits { time: Duration::from_secs(10), bytes: 256 << 20 };

impl Reader {
    /// Of the network namespace of the calling thread. With what could not be read of them.
    pub fn program(&self) -> (Fact<Program>, Vec<Said>) {
        let mut program = Program::default();
        let mut unread = Vec::new();
        let mut sources = Vec::new();
        for (family, tool) in &self.legacy {
            let six = *family == TableFamily::Ip6;
            let name = if six { "ip6_tables_names" } else { "ip_tables_names" };
            let tables = match fs::read_to_string(format!("{}/{name}", net())) {
                Ok(tables) => tables,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => {
                    let why = said_of(&e);
                    unread.push(said!("{name}: {why}", "{name}：{why:#}"));
                    continue;
                }
            };
            if tables.trim().is_empty() {
                continue;
            }
            let Some(tool) = tool else {
                unread.push(said!(
                    "{name}: there are tables, and no iptables-legacy-save",
                    "{name}：有表，却没有安装 iptables-legacy-save"
                ));
                continue;
            };
            match ask(tool, &[]) {
                Ok(text) => {
                    sources.push(tool.display().to_string());
                    let text = String::from_utf8_lossy(&text);
                    read_save(&text, Backend::Legacy, *family, &mut program);
                }
                Err(why) => unread.push(why),
            }
        }
        self.nft_program(&mut program, &mut unread, &mut sources);
        (Fact::known(program, Source::names(sources)), unread)
    }

    fn nft_program(
        &self,
        program: &mut Program,
        unread: &mut Vec<Said>,
        sources: &mut Vec<String>,
    ) {
        match (&self.nf_tables, &self.nft) {
            (Presence::Absent, _) => return,
            (Presence::Unknown(why), _) => return unread.push(why.clone()),
            (Presence::There, _) if nft_tables() == Some(0) => return,
            (Presence::There, None) => {
                return unread.push(said!(
                    "nf_tables is in the kernel, and no nft is installed",
                    "内核里有 nf_tables，却没有安装 nft"
                ));
            }
            (Presence::There, Some(tool)) => match ask(tool, &["-j", "-a", "list", "ruleset"]) {
                Ok(json) => {
                    sources.push("nft -j list ruleset".into());
                    if let Err(malformed) = read_json(&json, program) {
                        unread.push(Said::from(&malformed));
                    }
                    if program.flags_untold {
                        match ask(tool, &["list", "ruleset"]) {
                            Ok(text) => program.take_flags(&String::from_utf8_lossy(&text)),
                            Err(why) => unread.push(why),
                        }
                    }
                }
                Err(why) => unread.push(why),
            },
        }
        let mut told = Program::default();
        for (family, name) in
            [(TableFamily::Ip, "iptables-nft-save"), (TableFamily::Ip6, "ip6tables-nft-save")]
        {
            if !program.of_iptables().any(|t| t.family == family) {
                continue;
            }
            // Without the tool, what nft tells of these tables has to do.
            let Some(tool) = find(&[name]) else { continue };
            match ask(&tool, &[]) {
                Ok(text) => {
                    sources.push(name.into());
                    let text = String::from_utf8_lossy(&text);
                    read_save(&text, Backend::IptablesNft, family, &mut told);
                }
                Err(why) => unread.push(why),
            }
        }
        program.take_iptables(told);
    }
}

/// The whole output of a tool.
fn ask(tool: &Path, arguments: &[&str]) -> Result<Vec<u8>, Said> {
    let name = tool.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let output = run(tool, arguments, LIMITS).map_err(|e| {
        let why = said_of(&e);
        said!("{name}: {why}", "{name}：{why:#}")
    })?;
    if let Some((_, what)) = failure(&output) {
        return Err(said!("{name}: {what}", "{name}：{what:#}"));
    }
    match output.cut {
        Some(cut) => Err(said!("{name}: {cut}", "{name}：{cut:#}")),
        None => Ok(output.text),
    }
}
