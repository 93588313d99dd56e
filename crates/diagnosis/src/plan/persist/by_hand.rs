//! What the person has to set where another program, or a file that comes later, has the last word.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Wanted;
use crate::Said;
use crate::boot::{self, Boot, Stage};
use crate::plan::Plan;
use crate::words;

/// Adds it to the plan.
pub(super) fn by_hand(plan: &mut Plan, boot: &Boot, w: &Wanted) {
    let Some(outcome) = boot.outcome(w.setting.name) else { return };
    let mut lines: Vec<Said> = Vec::new();
    match outcome.winner() {
        Some(winner) => {
            let a = &winner.assignment;
            let place = match boot::place(&a.file, a.line) {
                _ if a.file.is_empty() => Said::default(),
                place => said!(", {place}", "，{place:#}"),
            };
            lines.push(said!(
                "# {} is set to {} by {}{place}. There:",
                "# {} 被 {2:#} 设为 {1}{place:#}。那里应写：",
                w.setting.name,
                words::clean(&a.value),
                winner.by.map(words::clean)
            ));
            lines.push(match winner.stage {
                Stage::KubeProxy if a.file == boot::FLAGS => Said::name(flags(w)),
                Stage::KubeProxy => Said::name(kube_proxy(w)),
                Stage::Tuned => Said::name(format!("[sysctl]\n{} = {}", w.key, w.value)),
                Stage::Kernel
                | Stage::Initramfs
                | Stage::Modules
                | Stage::Sysctl
                | Stage::Firewall
                | Stage::Network
                | Stage::RcLocal
                | Stage::Containers => Said::name(format!("{} = {}", w.key, w.value)),
            });
        }
        None => lines.push(said!(
            "# {} will be {}: {}",
            "# {} 将是 {:#}：{:#}",
            w.setting.name,
            match outcome.after.number() {
                Some(n) => Said::name(format!("{n}")),
                None => Said::of("gone", "没有"),
            },
            outcome.because.map(words::clean)
        )),
    }
    for line in lines {
        if !plan.by_hand.contains(&line) {
            plan.by_hand.push(line);
        }
    }
}

/// kube-proxy's own configuration. It takes the larger of maxPerCore × CPUs and min; with maxPerCore 0 it would set
/// nothing at all.
fn kube_proxy(w: &Wanted) -> String {
    let inner = match w.setting.name {
        "nf_conntrack_tcp_timeout_established" => {
            format!("  tcpEstablishedTimeout: {}s", w.value)
        }
        "nf_conntrack_tcp_timeout_close_wait" => format!("  tcpCloseWaitTimeout: {}s", w.value),
        _ => format!("  maxPerCore: 1\n  min: {}", w.value),
    };
    format!("conntrack:\n{inner}")
}

/// The same as flags.
fn flags(w: &Wanted) -> String {
    match w.setting.name {
        "nf_conntrack_tcp_timeout_established" => {
            format!("--conntrack-tcp-timeout-established={}s", w.value)
        }
        "nf_conntrack_tcp_timeout_close_wait" => {
            format!("--conntrack-tcp-timeout-close-wait={}s", w.value)
        }
        _ => format!("--conntrack-max-per-core=1 --conntrack-min={}", w.value),
    }
}
