//! Where sosreport puts what a command printed: `/sos_commands/PLUGIN/` and the command with everything
//! but letters, digits, `-`, `.` and `_` turned into `_`.

use super::read::Saved;

/// Commands that sosreport runs in each namespace, as their files end.
const IN_NAMESPACES: &[&str] = &[
    "_conntrack_-L_-o_extended",
    "_conntrack_-L",
    "_conntrack_-S",
    "_iptables-save",
    "_ip6tables-save",
    "_sysctl_-a",
    "_nstat_-zas",
    "_netstat_-s",
    "_ip_address_show",
    "_ip_-d_address_show",
    "_ip_route_show_table_all",
    "_ss_-peaonmi",
];

/// A namespace that `ip netns` knew.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    /// Its name.
    pub(super) name: String,
    /// The name as it stands in file names.
    mangled: String,
}

impl Named {
    /// The files that may hold what a command printed in this namespace, the likeliest first.
    pub(super) fn files(&self, plugins: &[&str], command: &str) -> Vec<String> {
        let file = format!("ip_netns_exec_{}_{command}", self.mangled);
        plugins
            .iter()
            .flat_map(|plugin| {
                [
                    format!("/sos_commands/{plugin}/namespaces/{}/{file}", self.name),
                    format!("/sos_commands/{plugin}/{file}"),
                ]
            })
            .collect()
    }
}

/// The namespaces that sosreport found by name.
pub(super) fn named(saved: &Saved<'_>) -> Vec<Named> {
    let mut names: Vec<String> = Vec::new();
    // `shop (id: 0)`
    if let Ok(text) = saved.text("/sos_commands/networking/ip_netns") {
        let lines = text.lines().filter(|line| !line.contains(": ") || line.contains("(id: "));
        names.extend(lines.filter_map(|line| line.split_whitespace().next()).map(String::from));
    }
    names.extend(saved.names("/sos_commands/networking/namespaces", ""));
    // sosreport to 4.1 keeps no list: the names are between the prefix and a known command.
    if names.is_empty() {
        for plugin in ["networking", "conntrack"] {
            for file in saved.names(&format!("/sos_commands/{plugin}"), "ip_netns_exec_") {
                let rest = &file["ip_netns_exec_".len()..];
                let name = IN_NAMESPACES.iter().find_map(|end| rest.strip_suffix(end));
                names.extend(name.filter(|name| !name.is_empty()).map(String::from));
            }
        }
    }
    names.retain(|name| !name.contains('/') && !name.chars().any(char::is_control));
    names.sort();
    names.dedup();
    names.truncate(4096);
    names
        .into_iter()
        .map(|name| {
            let mangled = name
                .chars()
                .map(|c| if c.is_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' })
                .collect();
            Named { name, mangled }
        })
        .collect()
}
