#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_diagnosis::facts::Origin;
use plimsoll_probe::archive::{Archive, Bounds};
use plimsoll_probe::files::Files;

/// Places that the reader of a dead host looks at, one for each of its decoders.
const PLACES: &[&str] = &[
    "proc/version",
    "proc/net/nf_conntrack",
    "proc/net/ip_conntrack",
    "proc/net/stat/nf_conntrack",
    "proc/net/stat/arp_cache",
    "proc/net/netstat",
    "proc/net/sockstat",
    "proc/sys/net/netfilter/nf_conntrack_count",
    "proc/sys/net/netfilter/nf_conntrack_max",
    "proc/slabinfo",
    "proc/meminfo",
    "proc/modules",
    "proc/uptime",
    "proc/stat",
    "proc/812/cgroup",
    "etc/sysctl.conf",
    "etc/modprobe.d/a.conf",
    "etc/sysconfig/iptables",
    "etc/sysconfig/iptables-config",
    "etc/os-release",
    "etc/localtime",
    "var/log/messages",
    "var/log/messages.1.gz",
    "var/log/dmesg",
    "sos_commands/kernel/sysctl_-a",
    "sos_commands/kernel/lsmod",
    "sos_commands/kernel/dmesg_-T",
    "sos_commands/date/date",
    "sos_commands/date/date_--utc",
    "sos_commands/host/uptime",
    "sos_commands/conntrack/conntrack_-L",
    "sos_commands/conntrack/conntrack_-S",
    "sos_commands/firewall_tables/nft_list_ruleset",
    "sos_commands/networking/iptables_-vnxL",
    "sos_commands/networking/ip_netns",
    "sos_commands/networking/nstat_-zas",
    "sos_commands/networking/netstat_-s",
    "sos_commands/networking/ethtool_-S_eth0",
    "sos_commands/networking/ip_netns_exec_a_sysctl_-a",
    "sos_commands/logs/journalctl_--no-pager",
    "sos_commands/memory/free",
];

// A small bundle: place, length, content, and again; the first bit of the place makes it a link.
fuzz_target!(|bytes: &[u8]| {
    let mut builder = tar::Builder::new(Vec::new());
    let mut rest = bytes;
    while let [place, low, high, after @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (content, after) = after.split_at(length);
        rest = after;
        let name = PLACES[usize::from(place >> 1) % PLACES.len()];
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        if place & 1 == 1 {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            let target = String::from_utf8_lossy(&content[..content.len().min(90)]).into_owned();
            let _ = builder.append_link(&mut header, name, target);
        } else {
            header.set_size(content.len() as u64);
            let _ = builder.append_data(&mut header, name, content);
        }
    }
    let Ok(bundle) = builder.into_inner() else { return };
    let Ok(archive) = Archive::read(bundle.as_slice(), &Bounds::default()) else { return };
    let _ = plimsoll_probe::dead::snapshot(&Files::Archive(archive), Origin::Bundle);
});
