use alloc::vec::Vec;

use super::*;

fn pairs(text: &str) -> Vec<(String, String)> {
    read_conf("f", text).assignments.into_iter().map(|a| (a.key, a.value)).collect()
}

#[test]
fn both_notations_are_one_key_and_the_first_separator_decides() {
    for line in [
        "net.netfilter.nf_conntrack_max=5",
        "net/netfilter/nf_conntrack_max = 5",
        "  /net/netfilter/nf_conntrack_max\t=\t5  ",
        "net//netfilter/nf_conntrack_max=5",
        ".net..netfilter.nf_conntrack_max=5",
    ] {
        assert_eq!(pairs(line), [("net.netfilter.nf_conntrack_max".into(), "5".into())]);
    }
    assert_eq!(dotted("net/ipv4/conf/eth0.5/forwarding"), "net.ipv4.conf.eth0/5.forwarding");
    assert_eq!(dotted("net.ipv4.conf.eth0/5.forwarding"), "net.ipv4.conf.eth0/5.forwarding");
    assert_eq!(
        path("net.ipv4.conf.eth0/5.forwarding"),
        "/proc/sys/net/ipv4/conf/eth0.5/forwarding"
    );
}

#[test]
fn comments_blank_lines_and_lines_without_a_sign_cost_nothing_else() {
    let conf =
        read_conf("/etc/sysctl.conf", "# a=1\n; b=2\n\nc\n=3\nnet.x=1\r\n-net.y = 2\n-net.z\n");
    assert_eq!(conf.assignments.len(), 2);
    assert_eq!((conf.assignments[0].line, conf.assignments[0].value.as_str()), (6, "1"));
    assert!(!conf.assignments[0].may_fail && conf.assignments[1].may_fail);
    assert_eq!(conf.excluded, [(8, "net.z".into())]);
    assert_eq!(conf.malformed.len(), 2);
    assert_eq!(alloc::format!("{}", conf.malformed[0].place), "/etc/sysctl.conf, line 4");
}

#[test]
fn a_comment_behind_a_value_belongs_to_the_value_as_it_does_for_the_kernel() {
    assert_eq!(pairs("net.x = 1 # one")[0].1, "1 # one");
}

#[test]
fn patterns_name_the_keys_of_all_generations_and_cross_no_dot() {
    let all = expand("net.netfilter.nf_conntrack_tcp_timeout_*");
    assert_eq!(all.len(), 10);
    assert_eq!(expand("net.*.ip_conntrack_max"), ["net.ipv4.ip_conntrack_max"]);
    assert_eq!(expand("net.*"), ["net.nf_conntrack_max"]);
    assert_eq!(expand("net.nf_conntrack_ma[a-x]"), ["net.nf_conntrack_max"]);
    assert!(matches("net.*.nf_conntrack_m?[!b]", "net.netfilter.nf_conntrack_max"));
    assert!(!matches("a.[", "a.b"));
    assert!(matches("a.*b*c", "a.xbxbc") && !matches("a.*b*c", "a.xcxb"));
}

#[test]
fn sysctl_a_is_read_line_by_line() {
    let text = "net.netfilter.nf_conntrack_max = 65536\nnet.ipv4.tcp_mem = 1\t2\t3\nsysctl: permission denied on key 'fs.x'\nkernel.hostname =\n";
    let all: Vec<_> = read_listing(text).collect();
    assert_eq!(all[0], ("net.netfilter.nf_conntrack_max".into(), "65536"));
    assert_eq!(all[1].1, "1\t2\t3");
    assert_eq!(all[2].1, "");
    assert_eq!(all.len(), 3);
}

#[test]
fn scripts_set_by_sysctl_and_by_echo() {
    let text = "#!/bin/sh\n# sysctl -w net.nf_conntrack_max=1\n/sbin/sysctl -q -w net.nf_conntrack_max=2 net.x=3 || true\necho \"4\" > /proc/sys/net/netfilter/nf_conntrack_max; echo 5 >/proc/sys/net/x\n[ -e f ] && echo $N >> \"/proc/sys/net/ipv4/ip_conntrack_max\"\n";
    let all: Vec<_> =
        read_script("/etc/rc.local", text).into_iter().map(|a| (a.line, a.key, a.value)).collect();
    assert_eq!(
        all,
        [
            (3, "net.nf_conntrack_max".into(), "2".into()),
            (4, "net.netfilter.nf_conntrack_max".into(), "4".into()),
            (5, "net.ipv4.ip_conntrack_max".into(), "$N".into()),
        ]
    );
}

#[test]
fn the_command_line_of_the_kernel_sets_keys_too() {
    let all = read_command_line(
        "quiet sysctl.net/netfilter/nf_conntrack_max=7 sysctl.vm.x=1 root=/dev/sda1",
    );
    assert_eq!((all.len(), all[0].key.as_str()), (1, "net.netfilter.nf_conntrack_max"));
}
