//! What kube-proxy writes at each of its starts, from its configuration on the node.
//!
//! Source: kube-proxy's reference; its rule for the limit (max per core times cores, at least min; buckets of a quarter
//! where there are fewer) is that of Kubernetes since 1.3. Since 1.36 the product counts up to 1,048,576 (pull request
//! 137002). Whether a higher limit that is there already is left alone changed thrice (103174, 120448, 142035): it is taken to be replaced.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::Said;
use plimsoll_ct::Setting;
use plimsoll_wire::kube_proxy::{self, KubeProxy, Line};
use plimsoll_wire::sysctl::Assignment;
use plimsoll_wire::tuned::HASHSIZE;

use super::BootFacts;
use super::plan::{Plan, Stage};
use super::tree::Tree;

/// kube-proxy's own values, where it is told none.
const PER_CORE: u64 = 32_768;
const LEAST: u64 = 131_072;
/// Where its product ends, since 1.36.
const MOST: u64 = 1 << 20;
const ESTABLISHED: u64 = 86_400;
const CLOSE_WAIT: u64 = 3600;

/// Where its values stand that no file gives.
pub(super) const DEFAULTS: &str = "kube-proxy's defaults";
/// Where those stand that its running process was given.
pub(crate) const FLAGS: &str = "kube-proxy's flags";

/// Files that hold its configuration or flags.
const FILES: &[&str] = &[
    "/var/lib/kube-proxy/config.conf",
    "/var/lib/kube-proxy/kube-proxy-config.yaml",
    "/var/lib/kube-proxy/config.yaml",
    "/etc/kubernetes/kube-proxy-config.yaml",
    "/etc/kubernetes/kube-proxy.yaml",
    "/etc/kubernetes/manifests/kube-proxy.yaml",
    "/etc/kubernetes/manifests/kube-proxy.manifest",
    "/etc/kubernetes/proxy",
    "/etc/default/kube-proxy",
    "/etc/sysconfig/kube-proxy",
    "/etc/systemd/system/kube-proxy.service",
    "/usr/lib/systemd/system/kube-proxy.service",
    "/etc/rancher/k3s/config.yaml",
    "/etc/rancher/rke2/config.yaml",
];

/// Adds what kube-proxy writes, if it runs on this host.
pub(super) fn add(plan: &mut Plan, facts: &BootFacts, tree: &Tree) {
    let found = configuration(tree);
    let managers = facts.managers.value();
    let runs = managers.is_some_and(|all| all.iter().any(|m| m.is_kube_proxy));
    let (config, file) = match found {
        Some(found) => found,
        None if runs => {
            plan.assumed.push(
                said!("kube-proxy runs here and its configuration was not found: its own defaults are taken", "这里运行着 kube-proxy，但没有找到它的配置：按它自己的默认值算"),
            );
            (KubeProxy::default(), String::new())
        }
        None => return,
    };
    let by = "kube-proxy";
    plan.load(
        Stage::KubeProxy,
        None,
        Said::name(by),
        facts.core(),
        Said::name(file.clone()),
        false,
    );
    let set = writes(&config, &file, facts, plan);
    plan.set(Stage::KubeProxy, Said::name(by), set);
}

/// The configuration on this node, and its file.
fn configuration(tree: &Tree) -> Option<(KubeProxy, String)> {
    // A DaemonSet: the ConfigMap as it is mounted into the pod, or flags, which only the running process shows.
    let mounted = tree.files_below("/var/lib/kubelet/pods").into_iter();
    let mounted = mounted.filter(|path| path.contains("/kubernetes.io~configmap/"));
    let running = tree.files_below("/proc").into_iter();
    let running = running.filter(|path| path.ends_with("/cmdline"));
    FILES.iter().copied().chain(mounted).chain(running).find_map(|path| {
        let text = tree.text(path)?;
        // Where it is told a file, that holds.
        if path.starts_with("/proc/") {
            let told = |word: &str| word == "--config" || word.starts_with("--config=");
            let flags = kube_proxy::read_flags(text).filter(|_| !text.split('\0').any(told))?;
            return Some((flags, FLAGS.to_string()));
        }
        // The configuration of k3s holds much besides, and says nothing of kube-proxy when it is not told to.
        Some((kube_proxy::read(text)?, path.to_string()))
    })
}

/// The values that it writes, in its order.
fn writes(config: &KubeProxy, file: &str, facts: &BootFacts, plan: &mut Plan) -> Vec<Assignment> {
    let mut all = Vec::new();
    let running = Setting::find("nf_conntrack_max").and_then(|limit| facts.running(limit));
    let shown = if file.is_empty() { DEFAULTS } else { file };
    let mut add = |key: &str, value: u64, line: u32| {
        all.push(Assignment {
            file: shown.into(),
            line,
            key: key.into(),
            value: value.to_string(),
            may_fail: false,
        });
    };
    let or =
        |line: &Option<Line<u64>>, own: u64| line.as_ref().map_or((own, 0), |l| (l.value, l.line));
    let (per_core, line) = or(&config.max_per_core, PER_CORE);
    let (least, least_line) = or(&config.min, LEAST);
    if per_core > 0 {
        match facts.cpus.get() {
            Some(cpus) => {
                let whole = per_core.saturating_mul(u64::from(cpus));
                // Which version it is shows in what it set when it was started last.
                let older = running == Some(whole);
                let scaled = if older { whole } else { whole.min(MOST) };
                if whole > MOST && older {
                    plan.assumed.push(said!(
                        "kube-proxy sets the limit to {whole} here; from Kubernetes 1.36 on it will be {MOST}, more than that only by conntrack.min with a small maxPerCore",
                        "这里的 kube-proxy 把上限设为 {whole}；从 Kubernetes 1.36 起会是 {MOST}，要更多只能用 conntrack.min 配一个小的 maxPerCore"
                    ));
                } else if whole > MOST {
                    plan.assumed.push(said!(
                        "kube-proxy is taken for one of Kubernetes 1.36 or later, which sets the limit to {MOST} at most by its processors; an older one sets {whole}",
                        "把 kube-proxy 当作 Kubernetes 1.36 或更新的：它按 CPU 数最多把上限设为 {MOST}；更旧的会设为 {whole}"
                    ));
                }
                let by_cores = scaled > least || scaled < whole;
                let (max, line) = if by_cores { (scaled, line) } else { (least, least_line) };
                add("net.netfilter.nf_conntrack_max", max, line);
                // Only where there are fewer: the simulation drops a write that would lower them.
                add(HASHSIZE, max / 4, line);
            }
            None => plan.assumed.push(said!(
                "{shown}: the number of processors is not known, and kube-proxy's limit follows it",
                "{shown}：CPU 数未知，而 kube-proxy 的上限由它决定"
            )),
        }
    }
    for (key, setting, own) in [
        ("nf_conntrack_tcp_timeout_established", &config.established, ESTABLISHED),
        ("nf_conntrack_tcp_timeout_close_wait", &config.close_wait, CLOSE_WAIT),
        ("nf_conntrack_udp_timeout", &config.udp, 0),
        ("nf_conntrack_udp_timeout_stream", &config.udp_stream, 0),
    ] {
        let (value, line) = or(setting, own);
        if value > 0 {
            add(&format!("net.netfilter.{key}"), value, line);
        }
    }
    if let Some(Line { value: true, line }) = config.be_liberal {
        add("net.netfilter.nf_conntrack_tcp_be_liberal", 1, line);
    }
    all
}
