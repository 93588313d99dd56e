//! What `plimsoll size` says of where its numbers come from, in Chinese; the English is beside the numbers.

use alloc::format;
use alloc::string::{String, ToString};

use plimsoll_diagnosis::size::{How, Origin, Peak, Remark, Rule};

use crate::Language;
use crate::number::{bytes, count};
use crate::spoken::span;

fn time(seconds: f64) -> String {
    span(Language::Chinese, seconds)
}

pub(super) fn how(how: How) -> String {
    match how {
        How::Lasts(lasts, name, seconds) => format!("{} + {name} {seconds} 秒", time(lasts)),
        How::Given => "按给定值".into(),
        How::Coming(now) => format!("现有 {}；新来的都到这个状态后会有这么多", count(now)),
        How::Timeout => "各自等到超时".into(),
        How::KeptUp(timeout) => {
            format!("条目数 / 速率；比超时 {timeout} 秒长：靠流量维持")
        }
        How::Divided => "条目数 / 速率".into(),
        How::UpTo(timeout) => format!("按计数；每个最长 {}", time(timeout as f64)),
        How::Counted => "按计数".into(),
        How::NotRead => "按计数；没有读取条目".into(),
        How::Expired => "已过期，回收线程到来之前仍计数".into(),
        How::More(classes) => format!("另有 {classes} 类"),
    }
}

pub(super) fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Read(name, Some(seconds)) => format!("{name}，相隔 {seconds:.1} 秒读两次"),
        Origin::Read(name, None) => format!("{name}，读一次"),
        Origin::Given => "给定的速率".into(),
        Origin::Captures(names) => names.clone(),
    }
}

pub(super) fn because(peak: Peak) -> String {
    match peak {
        Peak::Seen(_) => "实测：同时最多的条目数".into(),
        Peak::Given(times) => format!("给定：平均值的 {times} 倍"),
        Peak::Assumed => format!("没有实测：按平均值的 {} 倍", Peak::UNSEEN),
        Peak::Beyond(_) => format!("没有实测：按上限的 {} 倍", Peak::UNSEEN),
    }
}

pub(super) fn remark(remark: &Remark) -> String {
    match remark {
        Remark::Flood(entries) => format!(
            "没有回应的 {} 个条目不计在内：洪水攻击能填满任何表，而提前淘汰会清掉它们",
            count(*entries)
        ),
        Remark::Ended => "有一张已经不在的表曾经满过（`plimsoll check` 说明何时）。它里面的条目也没有了，这里不计：请在这样\
                          的命名空间运行时测量，或者给出 --rate 和 --lifetime。"
            .into(),
        Remark::Reaches => "负载已达到上限；超出上限的需求看不到。".into(),
        Remark::Unread => {
            "已经不在或没有读到的表曾经满过（`plimsoll check` 说明何时）；它们超出上限的需求看不到。".into()
        }
        Remark::Said(text) | Remark::Command(text) => text.clone(),
    }
}

pub(super) fn class(name: &str) -> String {
    match name {
        "all" => "全部".into(),
        "others" => "其他".into(),
        "expired" => "已过期".into(),
        other => other.to_string(),
    }
}

/// Name, formula, and why it differs.
pub(super) fn rule(rule: Rule) -> (String, String) {
    let (name, words, why) = match rule {
        Rule::Kernel(memory, per) => {
            let limit = if per == 1 { "桶数".to_string() } else { format!("{per} × 桶数") };
            (
                "本内核自己的默认值",
                format!("桶数由内存（{}）决定，上限 = {limit}", bytes(memory)),
                "内存只分三档，不看负载",
            )
        }
        Rule::Memory(octets) => (
            rule.name(),
            format!("{} / 16,384 / 2；桶数 = 上限 / 8", count(octets)),
            "来自 ip_conntrack 的年代：不论负载，每 32 KiB 内存一个条目；每条链会有 16 个条目",
        ),
        Rule::KubeProxy(cpus) => (
            rule.name(),
            format!("max(32,768 × {cpus} 个 CPU, 131,072)；桶数 = 上限 / 4"),
            "只数 CPU：不看内存、负载和命名空间",
        ),
        Rule::Hashsize(buckets) => (
            "模块参数 hashsize=N",
            format!("加载时上限 = 8 × N；现在 N = {}", count(buckets)),
            "只要给了这个参数，就还是 2.6 内核的比例",
        ),
        Rule::Tuned => ("tuned 的 openshift 配置", "每台主机都一样".to_string(), "所有主机一个数"),
    };
    (name.to_string(), format!("{words}：{why}"))
}
