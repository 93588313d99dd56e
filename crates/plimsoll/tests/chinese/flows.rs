//! `flows`, and the filters that `top` takes as well.

use super::support::repository;
use super::{not_chinese, told};

#[test]
fn flows_speaks_chinese_and_what_programs_read_stays_english() {
    let listing = repository("fixtures/trees/centos5/proc/net/ip_conntrack");
    let listing = listing.to_string_lossy().into_owned();
    let flows = ["flows", "--from", &listing];
    let chinese = |more: &[&str]| told("C", &[&flows[..], more, &["--lang", "zh"]].concat());
    let (table, said) = chinese(&["--limit", "3"]);
    assert!(table.starts_with("协议   状态        来源                  目的     "), "{table}");
    assert_eq!(said, format!("plimsoll: 显示了 3 个条目，读自 {listing}\n"));
    let (table, said) = chinese(&["--by", "class,src/24", "--top", "2", "not process x or tcp"]);
    assert!(table.starts_with("条目数  占比  类别    来源/24 "), "{table}");
    assert!(table.contains(" 受保护  ") && table.contains("个条目（--top）\n"), "{table}");
    assert_eq!(not_chinese(&table.replace("--top", "")), Vec::<String>::new(), "{table}");
    assert!(said.contains("个无法判断，因为缺少：进程、单元、容器和 pod\n"), "{said}");
    assert_eq!(told("zh_CN.UTF-8", &flows), chinese(&[]));
    assert_eq!(told("zh_CN.GBK", &flows), told("C", &flows));
    for form in ["json", "csv", "conntrack", "extended,id", "xml", "proc"] {
        let asked = [&flows[..], &["-o", form]].concat();
        assert_eq!(told("zh_CN.UTF-8", &asked).0, told("C", &asked).0, "{form}");
    }
}

#[test]
fn what_is_wrong_with_a_filter_and_where_is_said_in_chinese() {
    let said = |arguments: &[&str]| {
        let all = [&["flows", "--lang", "zh", "--from", "/dev/null"], arguments].concat();
        told("C", &all).1
    };
    let typed = "\"dprot\"";
    assert_eq!(
        said(&["tcp dprot 443"]),
        format!(
            "plimsoll: 过滤器第 5 列：应为测试，实为 {typed}\n  tcp dprot 443\n      ^^^^^ 您是不是指 \"dport\"？\n"
        )
    );
    for wrong in [
        "tcp)",
        "(tcp",
        "(tcp x",
        "tcp and",
        "src x",
        "src",
        "sport 9-5",
        "dport nosuch",
        "dport",
        "proto nosuch",
        "state x",
        "direction x",
        "label x",
        "mark x",
        "mark > 5",
        "zone 70000",
        "type 999",
        "class x",
        "reply x",
        "idle x",
        "idle > x",
        "packets > x",
        "process",
        "process and",
        "tcp & udp",
        "process \"x",
        "dnat to x",
        "src or src",
        "class \"x\"",
    ] {
        let told = said(&[wrong]);
        let line = told.lines().next().unwrap_or_default();
        assert!(line.starts_with("plimsoll: 过滤器第 "), "{wrong}: {told}");
        let typed = |word: &String| word.starts_with("such") || word.starts_with("expected");
        assert!(!line.contains("not ") && !not_chinese(line).iter().any(typed), "{told}");
    }
    let top = told("C", &["top", "--lang", "zh", "tcp)"]);
    assert!(top.1.starts_with("plimsoll: 过滤器第 4 列：这个括号没有开头\n"), "{}", top.1);
    let top = told("zh_CN.UTF-8", &["top"]);
    assert!(top.1.starts_with("plimsoll: top 需要终端；"), "{}", top.1);
    for (wrong, why) in [
        ("state,state", "--by 第 7 列：这个键前面已经写过"),
        ("src/99", "--by 第 1 列：应为前缀，如 /24 或 /24:64（IPv4:IPv6）"),
        ("state/24", "只有地址可以截成前缀"),
        ("a", "应为其中之一：proto, family, "),
        ("src,dst,sport,dport,zone,mark,proto,age,idle", "键超过 8 个"),
    ] {
        let told = said(&["--by", wrong]);
        assert!(told.contains(why), "{wrong}: {told}");
    }
}
