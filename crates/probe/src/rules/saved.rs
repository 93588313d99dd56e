//! Rules that were saved of a dead host: outputs of tools in a tree or a sosreport; failing these, the files that its
//! boot would load, which say what was meant and not what was there.

use std::collections::BTreeSet;

use plimsoll_diagnosis::facts::{Fact, Reason, Source};
use plimsoll_diagnosis::said;
use plimsoll_wire::filter::{self, Program};
use plimsoll_wire::ruleset::{
    Backend, Ruleset, Script, TableFamily, read_json, read_listing, read_nft, read_save,
    read_script,
};

use crate::files::Files;

/// Most bytes read of one output.
const OUTPUT: u64 = 32 << 20;

/// Folders that hold saved outputs: those of sosreport over its versions, and the tree's root.
const FOLDERS: &[&str] = &[
    "/sos_commands/firewall_tables",
    "/sos_commands/networking",
    "/sos_commands/firewalld",
    "/sos_commands/nftables",
    "/",
];

/// Files that the boot loads rules from, in the form of `iptables-save`.
const BOOT_SAVES: &[(&str, TableFamily)] = &[
    ("/etc/sysconfig/iptables", TableFamily::Ip),
    ("/etc/sysconfig/ip6tables", TableFamily::Ip6),
    ("/etc/iptables/rules.v4", TableFamily::Ip),
    ("/etc/iptables/rules.v6", TableFamily::Ip6),
    ("/var/lib/iptables/rules-save", TableFamily::Ip),
];

/// Files that the boot loads rules from, as nft scripts.
pub(crate) const NFT_SCRIPTS: &[&str] =
    &["/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft"];

/// What an output's name says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Nft,
    Json,
    Save(TableFamily),
    Listing { family: TableFamily, table: String, exact: bool },
}

/// Rules that were saved of a dead host's namespace: `None` is the initial one, else by its `ip netns` name.
/// The source says which outputs they are from, or that they are only what the boot would load.
pub fn of_files(files: &Files, namespace: Option<&str>) -> Fact<Ruleset> {
    let mut found = outputs(files, namespace);
    // The telling forms first: what a listing repeats is then passed over.
    found.sort_by_key(|(path, form)| {
        let rank = match form {
            Form::Nft => 0,
            Form::Json => 1,
            Form::Save(_) => 2,
            Form::Listing { exact: true, .. } => 3,
            Form::Listing { exact: false, .. } => 4,
        };
        (rank, path.clone())
    });
    let mut rules = Ruleset::default();
    let mut sources: Vec<String> = Vec::new();
    for (path, form) in found {
        let Ok(bytes) = files.read(&path, OUTPUT) else { continue };
        if take(&mut rules, &path, &form, &bytes) {
            sources.push(path.clone());
        }
    }
    if namespace.is_none() {
        empty_by_modules(files, &mut rules, &mut sources);
        if sources.is_empty() {
            return boot_rules(files);
        }
    }
    if sources.is_empty() {
        return none_saved();
    }
    Fact::known(rules, Source::names(sources))
}

/// Nothing tells the rules.
fn none_saved() -> Fact<Ruleset> {
    Fact::missing_needs(
        Reason::NotCollected,
        said!(
            "no output of iptables-save, iptables -L or nft list ruleset was saved",
            "没有保存 iptables-save、iptables -L 或 nft list ruleset 的输出"
        ),
        said!(
            "iptables-save and nft list ruleset, saved as root",
            "以 root 保存的 iptables-save 和 nft list ruleset"
        ),
    )
}

/// The same with every condition, as far as outputs were saved that say them: `iptables-save` and nft's JSON.
pub fn program_of_files(files: &Files, namespace: Option<&str>) -> Fact<Program> {
    let found = outputs(files, namespace);
    let mut program = Program::default();
    let mut sources: Vec<String> = Vec::new();
    for (path, form) in &found {
        let Ok(bytes) = files.read(path, OUTPUT) else { continue };
        let read = match form {
            Form::Save(family) => save(&String::from_utf8_lossy(&bytes), *family, &mut program),
            Form::Json => filter::read_json(&bytes, &mut program).is_ok(),
            Form::Nft | Form::Listing { .. } => false,
        };
        if read && (bytes.len() as u64) < OUTPUT {
            sources.push(path.clone());
        }
    }
    if found.is_empty() && namespace.is_none() {
        for (path, family) in BOOT_SAVES {
            if files.text(path).is_ok_and(|text| save(&text, *family, &mut program)) {
                sources.push((*path).into());
            }
        }
    }
    let native = found.iter().any(|(_, form)| *form == Form::Nft)
        && !found.iter().any(|(_, form)| *form == Form::Json)
        && of_files(files, namespace)
            .value()
            .is_some_and(|rules| rules.chains.iter().any(|c| c.backend == Backend::Nft));
    if native || sources.is_empty() {
        return Fact::missing_needs(
            Reason::NotCollected,
            said!("nothing was saved that says every condition", "没有保存写明全部条件的输出"),
            said!(
                "iptables-save and nft -j list ruleset, saved as root",
                "以 root 保存的 iptables-save 和 nft -j list ruleset"
            ),
        );
    }
    Fact::known(program, Source::names(sources))
}

/// Reads one output of `iptables-save`; whether it is one.
fn save(text: &str, family: TableFamily, program: &mut Program) -> bool {
    let mut heading = text.lines().filter(|l| l.starts_with('#'));
    let nft = heading.any(|l| l.contains("nf_tables") || l.contains("tables-nft-save"));
    let backend = if nft { Backend::IptablesNft } else { Backend::Legacy };
    filter::read_save(text, backend, family, program);
    text.lines().any(|l| l.starts_with('*'))
}

/// Reads one output; whether it said something that was not known.
fn take(rules: &mut Ruleset, path: &str, form: &Form, bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let size = |r: &Ruleset| r.read.len() + r.chains.len() + r.rules.len();
    let before = size(rules);
    let known = rules.read.clone();
    match form {
        Form::Nft | Form::Json if rules.read.contains(&(Backend::Nft, TableFamily::Inet)) => {
            return false;
        }
        Form::Nft => {
            // A message ("command not found") has no table; an empty output has no rules.
            let tables = text.lines().any(|line| line.starts_with("table "));
            if tables || text.lines().all(|l| l.trim().is_empty() || l.starts_with('#')) {
                read_nft(&text, rules);
            }
        }
        Form::Json => {
            if let Err(e) = read_json(bytes, rules) {
                rules.unread.push((Backend::Nft, format!("{path}: {e}")));
            }
        }
        Form::Save(family) => {
            let mut saved = Ruleset::default();
            read_save(&text, *family, &mut saved);
            merge(rules, saved);
        }
        Form::Listing { family, table, .. } => {
            let mut listed = Ruleset::default();
            read_listing(&text, Backend::Legacy, *family, table, &mut listed);
            merge(rules, listed);
        }
    }
    if bytes.len() as u64 == OUTPUT {
        let what = format!("{path}: only the first {} MiB were read", OUTPUT >> 20);
        rules.unread.push((Backend::Nft, what));
        rules.read = known;
    }
    size(rules) > before
}

/// Adds the tables that are not known yet. On a host of iptables-nft, `iptables -L` lists again what `nft` did.
fn merge(rules: &mut Ruleset, more: Ruleset) {
    let known: BTreeSet<(TableFamily, String)> = rules
        .chains
        .iter()
        .filter(|c| c.backend != Backend::Nft)
        .map(|c| (c.family, c.table.clone()))
        .collect();
    let new = |family: TableFamily, table: &str| !known.contains(&(family, table.to_owned()));
    if !more.chains.iter().any(|c| new(c.family, &c.table))
        && !more.rules.iter().any(|r| new(r.family, &r.table))
    {
        return;
    }
    rules.chains.extend(more.chains.into_iter().filter(|c| new(c.family, &c.table)));
    rules.rules.extend(more.rules.into_iter().filter(|r| new(r.family, &r.table)));
    rules.left_out += more.left_out;
    for (backend, family) in more.read {
        rules.note_read(backend, family);
    }
}

/// Outputs of a namespace, with their form.
fn outputs(files: &Files, namespace: Option<&str>) -> Vec<(String, Form)> {
    let prefix = namespace.map(|name| format!("ip_netns_exec_{name}_"));
    let mut folders: Vec<String> = FOLDERS.iter().map(|f| (*f).to_owned()).collect();
    if let Some(name) = namespace {
        for plugin in ["networking", "firewall_tables"] {
            folders.push(format!("/sos_commands/{plugin}/namespaces/{name}"));
        }
    }
    let mut found = Vec::new();
    for folder in &folders {
        for name in files.list(folder).unwrap_or_default() {
            let command = match &prefix {
                Some(prefix) => name.strip_prefix(prefix.as_str()),
                None => (!name.starts_with("ip_netns_exec_")).then_some(name.as_str()),
            };
            if let Some(form) = command.and_then(form_of) {
                found.push((format!("{}/{name}", folder.trim_end_matches('/')), form));
            }
        }
    }
    found
}

/// Form of an output, by its name: sos turns each blank of a command into `_`.
fn form_of(name: &str) -> Option<Form> {
    let name = name.strip_suffix(".txt").unwrap_or(name);
    if name.starts_with("nft") {
        if name.ends_with(".json") || name.contains("-j") {
            return Some(Form::Json);
        }
        let ruleset = name.contains("list_ruleset") || name.contains("list-ruleset");
        return (ruleset || name == "nft.nft").then_some(Form::Nft);
    }
    let family = if name.starts_with("ip6tables") {
        TableFamily::Ip6
    } else if name.starts_with("iptables") {
        TableFamily::Ip
    } else {
        return None;
    };
    let words: Vec<&str> = name.split(['_', ' ']).collect();
    if words[0].ends_with("-save") || words.contains(&"-S") {
        return Some(Form::Save(family));
    }
    let options = words.iter().find(|w| w.starts_with('-') && w.contains('L'))?;
    let table = words.iter().position(|w| *w == "-t").and_then(|at| words.get(at + 1));
    // Without -v there are no counters and no interfaces, and the columns are others.
    options.contains('v').then(|| Form::Listing {
        family,
        table: (*table.unwrap_or(&"filter")).into(),
        exact: options.contains('x'),
    })
}

/// What the list of modules proves: where ip_tables or nf_tables was not loaded there were no such rules. A
/// kernel may have them built in; then it has no line for it, so this is believed only of a host that loads
/// other netfilter parts as modules.
fn empty_by_modules(files: &Files, rules: &mut Ruleset, sources: &mut Vec<String>) {
    const LISTS: &[&str] = &["/proc/modules", "/sos_commands/kernel/lsmod", "/lsmod"];
    let Some((path, text)) = LISTS.iter().find_map(|p| Some((*p, files.text(p).ok()?))) else {
        return;
    };
    let loaded = |name: &str| text.lines().any(|l| l.split_whitespace().next() == Some(name));
    let modular = text.lines().any(|l| {
        ["nf_", "ip_", "x_tables", "xt_", "nft_", "iptable_"].iter().any(|p| l.starts_with(p))
    });
    if !modular {
        return;
    }
    let mut absent = false;
    for (module, family) in [("ip_tables", TableFamily::Ip), ("ip6_tables", TableFamily::Ip6)] {
        if !loaded(module) && !rules.read.contains(&(Backend::Legacy, family)) {
            rules.note_read(Backend::Legacy, family);
            absent = true;
        }
    }
    if !loaded("nf_tables") && !rules.read.contains(&(Backend::Nft, TableFamily::Inet)) {
        for family in [TableFamily::Ip, TableFamily::Ip6, TableFamily::Inet] {
            rules.note_read(Backend::Nft, family);
        }
        absent = true;
    }
    // Alone it proves an empty ruleset only when nothing at all was loaded.
    if absent && (!sources.is_empty() || rules.complete()) {
        sources.push(path.into());
    }
}

/// A script of nft with what it includes.
pub(crate) fn script(files: &Files, path: &str) -> Option<Script> {
    let names = |folder: &str| files.list(folder).unwrap_or_default();
    read_script(path, &names, &|path| files.text(path).ok())
}

/// What the boot would load. Nothing here was seen in a kernel, so no back end counts as read.
fn boot_rules(files: &Files) -> Fact<Ruleset> {
    let mut rules = Ruleset::default();
    let mut sources = Vec::new();
    for (path, family) in BOOT_SAVES {
        if let Ok(text) = files.text(path) {
            read_save(&text, *family, &mut rules);
            sources.push(*path);
        }
    }
    for path in NFT_SCRIPTS {
        if let Some(script) = script(files, path) {
            read_nft(&script.text, &mut rules);
            sources.push(*path);
            let what = |name: &String| format!("{path} includes {name}, which can't be read here");
            rules.unread.extend(script.lacking.iter().map(|name| (Backend::Nft, what(name))));
        }
    }
    rules.read.clear();
    if rules.chains.is_empty() && rules.rules.is_empty() {
        return none_saved();
    }
    Fact::known(
        rules,
        said!(
            "{} (what the boot loads, not what was in force)",
            "{}（启动时加载的，不一定是当时生效的）",
            sources.join(", ")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_known_by_the_names_that_sos_gives_them() {
        let listing =
            |family, table: &str, exact| Some(Form::Listing { family, table: table.into(), exact });
        assert_eq!(form_of("iptables_-vnxL"), listing(TableFamily::Ip, "filter", true));
        assert_eq!(form_of("ip6tables_-t_nat_-nvL"), listing(TableFamily::Ip6, "nat", false));
        assert_eq!(form_of("iptables-save"), Some(Form::Save(TableFamily::Ip)));
        assert_eq!(form_of("ip6tables-save_-c"), Some(Form::Save(TableFamily::Ip6)));
        assert_eq!(form_of("iptables-legacy-save.txt"), Some(Form::Save(TableFamily::Ip)));
        assert_eq!(form_of("iptables_-S"), Some(Form::Save(TableFamily::Ip)));
        assert_eq!(form_of("nft_list_ruleset"), Some(Form::Nft));
        assert_eq!(form_of("nft_-a_list_ruleset"), Some(Form::Nft));
        assert_eq!(form_of("nft_-j_list_ruleset"), Some(Form::Json));
        assert_eq!(form_of("iptables_-nL"), None, "its columns have no counters");
        assert_eq!(form_of("iptables_--version"), None);
        assert_eq!(form_of("ip_-o_addr"), None);
    }
}
