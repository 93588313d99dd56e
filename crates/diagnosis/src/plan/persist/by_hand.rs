//! What the person has to set where another program, or a file that comes later, has the last word.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Wanted;
use crate::Said;
use crate::boot::{Boot, Stage};
use crate::plan::Plan;
use crate::words;

/// Adds it to the plan.
pub(super) fn by_hand(plan: &mut Plan, boot: &Boot, w: &Wanted) {
    let Some(outcome) = boot.outcome(w.setting.name) else { return };
    let mut lines = Vec::new();
    match outcome.winner() {
        Some(winner) => {
            let a = &winner.assignment;
            let place = if a.file.is_empty() {
                String::new()
            } else if a.line > 0 {
                format!(", {} line {}", words::clean(&a.file), a.line)
            } else {
                format!(", {}", words::clean(&a.file))
            };
            lines.push(format!(
                "# {} is set to {} by {}{place}. There:",
                w.setting.name,
                words::clean(&a.value),
                words::clean(&winner.by)
            ));
            lines.push(match winner.stage {
                Stage::KubeProxy => kube_proxy(w),
                Stage::Tuned => format!("[sysctl]\n{} = {}", w.key, w.value),
                Stage::Kernel
                | Stage::Initramfs
                | Stage::Modules
                | Stage::Sysctl
                | Stage::Firewall
                | Stage::Network
                | Stage::RcLocal
                | Stage::Containers => format!("{} = {}", w.key, w.value),
            });
        }
        None => lines.push(format!(
            "# {} will be {}: {}",
            w.setting.name,
            match outcome.after.number() {
                Some(n) => format!("{n}"),
                None => "gone".to_string(),
            },
            words::clean(&outcome.because)
        )),
    }
    for line in lines.into_iter().map(Said::from) {
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
