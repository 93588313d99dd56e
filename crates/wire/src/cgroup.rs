//! /proc/PID/cgroup: which container, pod or unit a process belongs to, from the paths that engines give it.
//!
//! A path tells it by naming convention only, so what is not recognised is not guessed: an id without a
//! known word beside it is a container of an unknown runtime.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A container, as its control group names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// `docker`, `containerd`, `crio`, `podman`, `lxc`, `nspawn`, `libvirt`; `container` where the path does
    /// not tell.
    pub runtime: &'static str,
    /// Full id (64 hexadecimal digits), or the name of a machine.
    pub id: String,
    /// Uid of the Kubernetes pod, with dashes.
    pub pod: Option<String>,
}

/// What a process's control groups say of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Membership {
    /// Innermost container.
    pub container: Option<Container>,
    /// systemd unit that holds the process or its container.
    pub unit: Option<String>,
}

/// Reads all lines of the file. The first one that names a container decides; the unit is what systemd's own hierarchy
/// says, and where it is silent and there is no container, any other: with version 1 a container of Docker's has a line
/// `0::/system.slice/containerd.service` as well, where its shim was born.
pub fn parse(text: &str) -> Membership {
    let lines = || {
        text.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            Some((parts.next()?, member(parts.next()?)))
        })
    };
    let container = lines().find_map(|(_, member)| member.container);
    let has_systemd = lines().any(|(hierarchy, _)| hierarchy == "name=systemd");
    let own = if has_systemd { "name=systemd" } else { "" };
    let of_systemd = lines().find(|(hierarchy, _)| *hierarchy == own);
    let unit = of_systemd.and_then(|(_, member)| member.unit).or_else(|| match container {
        Some(_) => None,
        None => lines().find_map(|(_, member)| member.unit),
    });
    Membership { container, unit }
}

/// One path, walked from the root. The innermost container counts; units inside it are not the host's.
///
/// Seen from within a control-group namespace, paths outside it begin with `/..`: what is above stays unknown.
fn member(path: &str) -> Membership {
    let mut found = Membership::default();
    let mut pod: Option<String> = None;
    let mut before = "";
    // The kernel marks a group that was removed while a process was dying in it.
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let mut segments = path.split('/').filter(|segment| *segment != "..").peekable();
    while let Some(segment) = segments.next() {
        // containerd with systemd's driver on cgroup v1: `kubepods-pod….slice:cri-containerd:ID`.
        for part in segment.split(':').filter(|part| !part.is_empty()) {
            // nspawn itself, which watches over its container from the host's side.
            let watches = segments.peek() == Some(&"supervisor");
            if let Some(uid) = pod_uid(part) {
                pod = Some(uid);
            } else if let Some((runtime, id)) = container(part, before, pod.is_some())
                && !(watches && runtime == "nspawn")
            {
                found.container = Some(Container { runtime, id, pod: pod.clone() });
            } else if found.container.is_none() && is_unit(part) {
                found.unit = Some(unescaped(part));
            }
            before = part;
        }
    }
    found
}

/// `pod0123…` (cgroupfs) or `kubepods-burstable-pod0123_….slice` (systemd), below another group `kubelet-kubepods-…`.
fn pod_uid(segment: &str) -> Option<String> {
    let uid = match segment.strip_suffix(".slice") {
        Some(slice) => slice.split_once("kubepods")?.1.split_once("-pod")?.1,
        None => segment.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-");
    let plausible = uid.len() >= 32 && uid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    plausible.then_some(uid)
}

/// Words that runtimes put before the id.
const PREFIXES: &[(&str, &str)] = &[
    ("docker-", "docker"),
    ("cri-containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("crio-", "crio"),
    ("libpod-payload-", "podman"),
    ("libpod-", "podman"),
];

/// Runtime and id of a container, if the segment names one. `before` is the segment above it.
fn container(segment: &str, before: &str, in_pod: bool) -> Option<(&'static str, String)> {
    let bare = segment.strip_suffix(".scope").unwrap_or(segment);
    if let Some((runtime, id)) = PREFIXES
        .iter()
        .find_map(|(prefix, runtime)| Some((*runtime, bare.strip_prefix(prefix)?)))
        // `libpod-conmon-ID` and `crio-conmon-ID` hold the monitor, which is a process of the host.
        && is_id(id)
    {
        return Some((runtime, id.into()));
    }
    if let Some(machine) = bare.strip_prefix("machine-").filter(|_| bare.len() < segment.len()) {
        return Some(machine_name(&unescaped(machine)));
    }
    if let Some((name, _)) = segment.split_once(".libvirt-") {
        return Some(("libvirt", name.into()));
    }
    if let Some(unit) = segment.strip_suffix(".service") {
        let machine = unit.strip_prefix("systemd-nspawn@").filter(|name| !name.is_empty());
        return machine.map(|name| ("nspawn", unescaped(name)));
    }
    if let Some(name) = segment.strip_prefix("lxc.payload.").filter(|name| !name.is_empty()) {
        return Some(("lxc", name.into()));
    }
    if matches!(before, "lxc" | "lxc.payload") && !segment.is_empty() {
        return Some(("lxc", segment.into()));
    }
    if is_id(segment) {
        let runtime = match before {
            "docker" | "actions_job" => "docker",
            "cri-containerd" => "containerd",
            "crio" => "crio",
            "libpod_parent" | "libpod" => "podman",
            _ => "container",
        };
        return Some((runtime, segment.into()));
    }
    // In a pod, some runtimes use ids that are not 64 digits long.
    let short = (12..64).contains(&segment.len()) && segment.bytes().all(|b| b.is_ascii_hexdigit());
    (in_pod && short).then(|| ("container", segment.into()))
}

/// `machine-qemu-1-vm.scope` is libvirt's, `machine-lxc-…` too; every other machine is nspawn's.
fn machine_name(name: &str) -> (&'static str, String) {
    for (word, runtime) in [("qemu-", "libvirt"), ("lxc-", "libvirt")] {
        if let Some(rest) = name.strip_prefix(word) {
            // A running number stands before the name.
            let name = match rest.split_once('-') {
                Some((n, name)) if n.bytes().all(|b| b.is_ascii_digit()) => name,
                _ => rest,
            };
            return (runtime, name.into());
        }
    }
    ("nspawn", name.into())
}

/// Full container ids are SHA-256 sums.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Slices and the scopes of logins group units; they own nothing.
fn is_unit(segment: &str) -> bool {
    let manager = segment.starts_with("user@") || segment == "init.scope";
    segment.ends_with(".service") && !manager
        || segment.ends_with(".scope") && !manager && !segment.starts_with("session-")
}

/// systemd writes other characters as `\xNN`.
fn unescaped(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((head, tail)) = rest.split_once("\\x") {
        bytes.extend_from_slice(head.as_bytes());
        match tail.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.extend_from_slice(b"\\x");
                rest = tail;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    let text = String::from_utf8_lossy(&bytes);
    text.chars().filter(|c| !c.is_control()).collect::<String>().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const ID: &str = "3f4a1d1c0b5e4f0c9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f";
    const POD: &str = "2d5f9c3e-1111-4222-8333-444455556666";

    type Found = (&'static str, String, Option<String>);

    fn of(path: &str) -> (Option<Found>, Option<String>) {
        let m = parse(&format!("0::{path}\n"));
        (m.container.map(|c| (c.runtime, c.id, c.pod)), m.unit)
    }

    fn is(path: &str, runtime: &'static str, id: &str, pod: Option<&str>) {
        assert_eq!(of(path).0, Some((runtime, id.into(), pod.map(String::from))), "{path}");
    }

    #[test]
    fn docker_is_known_in_both_drivers() {
        is(&format!("/docker/{ID}"), "docker", ID, None);
        is(&format!("/system.slice/docker-{ID}.scope"), "docker", ID, None);
        is(&format!("/ecs/1b2c3d4e-aaaa/{ID}"), "container", ID, None);
    }

    #[test]
    fn pods_are_known_in_both_drivers_of_containerd_and_cri_o() {
        let dashed = POD.replace('-', "_");
        let slice = format!(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{dashed}.slice"
        );
        is(&format!("{slice}/cri-containerd-{ID}.scope"), "containerd", ID, Some(POD));
        is(&format!("{slice}/crio-{ID}.scope"), "crio", ID, Some(POD));
        is(&format!("/kubepods/besteffort/pod{POD}/{ID}"), "container", ID, Some(POD));
        is(
            &format!(
                "/system.slice/containerd.service/kubepods-pod{dashed}.slice:cri-containerd:{ID}"
            ),
            "containerd",
            ID,
            Some(POD),
        );
    }

    #[test]
    fn podman_is_known_and_its_monitor_is_not_a_container() {
        is(&format!("/machine.slice/libpod-{ID}.scope/container"), "podman", ID, None);
        is(&format!("/system.slice/web.service/libpod-payload-{ID}"), "podman", ID, None);
        assert_eq!(of(&format!("/machine.slice/libpod-conmon-{ID}.scope")).0, None);
    }

    #[test]
    fn machines_are_known_by_name() {
        is("/lxc/web1", "lxc", "web1", None);
        is("/lxc.payload.web1/init.scope", "lxc", "web1", None);
        is("/machine.slice/machine-my\\x2dbox.scope/payload", "nspawn", "my-box", None);
        is("/machine.slice/systemd-nspawn@box.service/payload", "nspawn", "box", None);
        is(
            "/machine.slice/machine-qemu\\x2d3\\x2dvm1.scope/libvirt/emulator",
            "libvirt",
            "vm1",
            None,
        );
        is("/machine/vm1.libvirt-qemu/emulator", "libvirt", "vm1", None);
        assert_eq!(of("/lxc.monitor.web1").0, None);
    }

    #[test]
    fn a_unit_of_the_host_is_told_and_one_inside_a_container_is_not() {
        assert_eq!(of("/system.slice/nginx.service").1.as_deref(), Some("nginx.service"));
        assert_eq!(
            of("/user.slice/user-1000.slice/user@1000.service/app.slice/web.service").1.as_deref(),
            Some("web.service")
        );
        assert_eq!(of(&format!("/system.slice/docker-{ID}.scope/system.slice/x.service")).1, None);
        assert_eq!(of("/user.slice/user-0.slice/session-4.scope"), (None, None));
        assert_eq!(of("/init.scope"), (None, None));
        assert_eq!(of("/"), (None, None));
    }

    #[test]
    fn the_innermost_container_counts() {
        let inner = ID.replace('3', "4");
        is(&format!("/docker/{ID}/docker/{inner}"), "docker", &inner, None);
    }

    #[test]
    fn below_another_group_a_pod_is_a_pod() {
        let dashed = POD.replace('-', "_");
        let kind = format!(
            "/system.slice/docker-{ID}.scope/kubelet.slice/kubelet-kubepods.slice/\
             kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{dashed}.slice"
        );
        let inner = ID.replace('3', "4");
        is(&format!("{kind}/cri-containerd-{inner}.scope"), "containerd", &inner, Some(POD));
        // A static pod's uid is the sum of its file.
        let uid = &ID[..32];
        is(&format!("/kubepods/burstable/pod{uid}/crio-{ID}"), "crio", ID, Some(uid));
        assert_eq!(of(&format!("/kubepods.slice/kubepods-pod{dashed}.slice")).0, None);
    }

    #[test]
    fn what_lies_outside_the_readers_namespace_is_told_by_what_is_left_of_the_path() {
        let dashed = POD.replace('-', "_");
        let burstable =
            format!("/../../../kubepods-burstable.slice/kubepods-burstable-pod{dashed}.slice");
        is(&format!("{burstable}/cri-containerd-{ID}.scope"), "containerd", ID, Some(POD));
        // A neighbour in the reader's own pod.
        is(&format!("/../cri-containerd-{ID}.scope"), "containerd", ID, None);
        is(&format!("/../{ID}"), "container", ID, None);
        is(&format!("/../../docker/{ID}"), "docker", ID, None);
        let unit = of("/../../../system.slice/ssh.service");
        assert_eq!(unit, (None, Some("ssh.service".into())));
        assert_eq!(of("/.."), (None, None));
        assert_eq!(of("/../.."), (None, None));
    }

    #[test]
    fn a_monitor_is_not_in_the_machine_that_it_watches() {
        let nspawn = "/machine.slice/systemd-nspawn@box.service";
        is(&format!("{nspawn}/payload/system.slice/web.service"), "nspawn", "box", None);
        let supervisor = of(&format!("{nspawn}/supervisor"));
        assert_eq!(supervisor, (None, Some("systemd-nspawn@box.service".into())));
        let conmon = of(&format!("/machine.slice/crio-conmon-{ID}.scope"));
        assert_eq!(conmon, (None, Some(format!("crio-conmon-{ID}.scope"))));
    }

    #[test]
    fn a_group_that_is_gone_still_names_its_own() {
        is(&format!("/system.slice/docker-{ID}.scope (deleted)"), "docker", ID, None);
        let unit = of("/system.slice/cron.service (deleted)").1;
        assert_eq!(unit.as_deref(), Some("cron.service"));
    }

    /// Docker on a host with version 1 beside 2, as Ubuntu 20.04 and Debian 10 have it.
    #[test]
    fn with_many_hierarchies_any_line_may_name_the_container_and_systemds_the_unit() {
        let text = format!(
            "12:rdma:/\n11:pids:/docker/{ID}\n4:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n\
             0::/system.slice/containerd.service\n"
        );
        let m = parse(&text);
        assert_eq!(m.container.map(|c| c.runtime), Some("docker"));
        assert_eq!(m.unit, None);
        let service = "5:cpu,cpuacct:/system.slice\n4:devices:/system.slice/ssh.service\n\
                       1:name=systemd:/system.slice/ssh.service\n0::/system.slice/ssh.service\n";
        assert_eq!(parse(service).unit.as_deref(), Some("ssh.service"));
        let without = "4:memory:/\n1:name=systemd:/\n0::/system.slice/ssh.service\n";
        assert_eq!(parse(without).unit.as_deref(), Some("ssh.service"));
        let pod = format!(
            "9:memory:/kubepods/burstable/pod{POD}/{ID}\n1:name=systemd:/kubepods/burstable/pod{POD}/{ID}\n0::/\n"
        );
        assert_eq!(parse(&pod).container.and_then(|c| c.pod).as_deref(), Some(POD));
    }

    #[test]
    fn nonsense_names_nothing() {
        for text in ["", "\n", "0:", "0::", "x", "::::\n", "4:memory:x\n"] {
            assert_eq!(parse(text), Membership::default(), "{text:?}");
        }
    }
}
