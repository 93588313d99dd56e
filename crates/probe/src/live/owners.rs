//! Who a namespace belongs to: its name, the container, pod, unit or process in it.
//!
//! Names come from the node's own files, never by asking an engine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use plimsoll_diagnosis::facts::Owner;
use plimsoll_wire::cgroup::{self, Container};

use super::discover::{Found, named};
use super::text;

/// Names of containers and pods, read when the first one is asked for.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Where the node's files are: nothing for the host itself.
    root: PathBuf,
    /// Uid to `namespace/pod`.
    pods: Option<BTreeMap<String, String>>,
    /// Id to name, as podman and CRI-O store it.
    stored: Option<BTreeMap<String, String>>,
}

/// Owners of a namespace, the most telling first.
pub(crate) fn owners(found: &Found, names: &mut Names) -> Vec<Owner> {
    if found.initial {
        return vec![Owner::Initial];
    }
    let mut labels = Vec::new();
    let mut containers: Vec<Owner> = Vec::new();
    let mut units: Vec<Owner> = Vec::new();
    let mut processes = Vec::new();
    for file in &found.files {
        if let Some(name) = label(file) {
            labels.push(name);
        }
    }
    // By /proc's own numbers, which are another process namespace's where that mounted it.
    let own = fs::read_link("/proc/self").ok().and_then(|link| link.to_str()?.parse().ok());
    let others = found.pids.iter().filter(|pid| Some(**pid) != own || found.pids.len() == 1);
    for &pid in others {
        let member = text::read(&format!("/proc/{pid}/cgroup"))
            .map(|text| cgroup::parse(&text))
            .unwrap_or_default();
        if let Some(container) = member.container {
            containers.push(names.owner(container));
        }
        units.extend(member.unit.map(Owner::Unit));
        if processes.is_empty()
            && let Ok(command) = text::read(&format!("/proc/{pid}/comm"))
        {
            processes.push(Owner::Process { pid, command: text::cut(&command) });
        }
    }
    // A pod is told once, by the container that has a name.
    containers.sort_by_key(|owner| !matches!(owner, Owner::Container { name: Some(_), .. }));
    let (made, given): (Vec<String>, Vec<String>) =
        labels.into_iter().partition(|l| machine_made(l));
    let mut owners: Vec<Owner> = given.into_iter().map(Owner::Named).collect();
    for owner in containers.into_iter().chain(units) {
        if !owners.iter().any(|known| same(known, &owner)) {
            owners.push(owner);
        }
    }
    owners.extend(made.into_iter().map(Owner::Named));
    owners.extend(processes);
    owners
}

/// The name a file gives its namespace: bare in the directory of `ip netns`, else the whole path.
fn label(file: &Path) -> Option<String> {
    let path = file.to_str()?;
    let bare = file.file_name()?.to_str()?;
    let of_ip = named(file) && !path.contains("docker");
    if path.starts_with("/proc/") {
        return None;
    }
    // Whole, as the file is called: commands name it, and who shows it cleans it.
    Some(if of_ip { bare } else { path }.to_owned())
}

/// Names that a plug-in or engine made up: `cni-UUID`, `netns-UUID`, a bare UUID, docker's sandbox keys.
fn machine_made(name: &str) -> bool {
    let bare = name.strip_prefix("cni-").or_else(|| name.strip_prefix("netns-")).unwrap_or(name);
    let uuid = bare.len() == 36 && bare.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    uuid || name.contains("/docker/netns/")
}

/// The same thing told twice: two containers of one pod, one unit seen by two processes.
fn same(known: &Owner, other: &Owner) -> bool {
    match (known, other) {
        (Owner::Container { name: Some(a), .. }, Owner::Container { name: Some(b), .. }) => a == b,
        _ => known == other,
    }
}

impl Names {
    /// Names by the files below another root.
    pub(crate) fn below(root: PathBuf) -> Self {
        Self { root, ..Self::default() }
    }

    fn owner(&mut self, container: Container) -> Owner {
        let Container { runtime, id, pod } = container;
        let name = match pod {
            Some(uid) => Some(self.pod(&uid)),
            None => self.container(runtime, &id),
        };
        Owner::Container { runtime: runtime.to_owned(), id, name: name.map(|n| text::cut(&n)) }
    }

    /// `namespace/pod`, or `pod UID` where no file names it.
    pub(crate) fn pod(&mut self, uid: &str) -> String {
        let pods = self.pods.get_or_insert_with(|| pods(&self.root));
        pods.get(uid).cloned().unwrap_or_else(|| format!("pod {uid}"))
    }

    /// The name of a container that is in no pod.
    pub(crate) fn container(&mut self, runtime: &str, id: &str) -> Option<String> {
        match runtime {
            "docker" => docker_name(&self.root, id),
            "podman" | "crio" => {
                let stored = self.stored.get_or_insert_with(|| stored(&self.root));
                stored.get(id).cloned()
            }
            _ => None,
        }
    }
}

fn text_below(root: &Path, path: &str) -> std::io::Result<String> {
    text::read(&format!("{}{path}", root.display()))
}

/// What a directory holds, by name.
fn list(root: &Path, path: &str) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(format!("{}{path}", root.display()));
    let entries = entries.into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

/// Uid to `namespace/pod`, from whatever the node keeps: the kubelet's directories of logs, the network plug-ins' cached
/// results, and of pods without either the hosts file that the kubelet writes, which knows no namespace.
fn pods(root: &Path) -> BTreeMap<String, String> {
    let mut pods = BTreeMap::new();
    for uid in list(root, "/var/lib/kubelet/pods") {
        if let Ok(hosts) = text_below(root, &format!("/var/lib/kubelet/pods/{uid}/etc-hosts"))
            && let Some(name) = own_name(&hosts)
        {
            pods.insert(uid, name);
        }
    }
    for file in list(root, "/var/lib/cni/results") {
        if let Ok(result) = text_below(root, &format!("/var/lib/cni/results/{file}"))
            && let Some((uid, name)) = cached_result(&result)
        {
            pods.insert(uid, name);
        }
    }
    // The kubelet keeps the logs of a pod in /var/log/pods/NAMESPACE_POD_UID.
    for directory in list(root, "/var/log/pods") {
        let mut parts = directory.splitn(3, '_');
        if let (Some(namespace), Some(pod), Some(uid)) = (parts.next(), parts.next(), parts.next())
        {
            pods.insert(uid.to_owned(), format!("{namespace}/{pod}"));
        }
    }
    pods
}

/// The last line of a pod's hosts file that names an address: the pod's own.
fn own_name(hosts: &str) -> Option<String> {
    let own = |line: &&str| !line.trim_start().starts_with('#') && !line.contains("localhost");
    let mut words = hosts.lines().rfind(own)?.split_ascii_whitespace();
    let address: std::net::IpAddr = words.next()?.parse().ok()?;
    (!address.is_loopback() && !address.is_multicast()).then(|| words.next().map(str::to_owned))?
}

/// Uid and `namespace/pod` of what libcni remembers of a network that it set up.
fn cached_result(text: &str) -> Option<(String, String)> {
    let cached: serde_json::Value = serde_json::from_str(text).ok()?;
    let mut arguments = BTreeMap::new();
    for pair in cached.get("cniArgs")?.as_array()? {
        arguments.insert(pair.get(0)?.as_str()?, pair.get(1)?.as_str()?);
    }
    let (namespace, pod) = (arguments.get("K8S_POD_NAMESPACE")?, arguments.get("K8S_POD_NAME")?);
    Some(((*arguments.get("K8S_POD_UID")?).to_owned(), format!("{namespace}/{pod}")))
}

/// Docker keeps what it knows of a container in a JSON file.
fn docker_name(root: &Path, id: &str) -> Option<String> {
    let path = format!("/var/lib/docker/containers/{id}/config.v2.json");
    let config: serde_json::Value = serde_json::from_str(&text_below(root, &path).ok()?).ok()?;
    Some(config.get("Name")?.as_str()?.trim_start_matches('/').to_owned())
}

/// Where containers/storage lists its containers, in a directory of the storage driver's name; those that go when they stop
/// (`--rm`) have a list of their own.
const STORAGE: &str = "/var/lib/containers/storage";
const LISTS: [&str; 2] = ["containers.json", "volatile-containers.json"];

/// The containers of containers/storage, which podman and CRI-O share: id to name.
fn stored(root: &Path) -> BTreeMap<String, String> {
    let directories = list(root, STORAGE).filter(|name| name.ends_with("-containers"));
    let lists =
        directories.flat_map(|driver| LISTS.map(|list| format!("{STORAGE}/{driver}/{list}")));
    lists.filter_map(|path| text_below(root, &path).ok()).flat_map(|text| listed(&text)).collect()
}

/// Ids and names of one list.
fn listed(text: &str) -> Vec<(String, String)> {
    let Ok(serde_json::Value::Array(list)) = serde_json::from_str(text) else { return Vec::new() };
    list.iter()
        .filter_map(|entry| {
            let name = entry.get("names")?.get(0)?.as_str()?;
            Some((entry.get("id")?.as_str()?.to_owned(), name.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_plug_in_made_up_are_known() {
        assert!(machine_made("cni-1b2c3d4e-1111-2222-3333-444455556666"));
        assert!(machine_made("/run/docker/netns/ingress_sbox"));
        assert!(!machine_made("blue"));
        assert!(!machine_made("cni-lab"));
    }

    #[test]
    fn a_pod_is_named_by_whatever_the_node_keeps_of_it() {
        let cached = r#"{"kind":"cniCacheV1","containerId":"3f4a","cniArgs":[["IgnoreUnknown","1"],
            ["K8S_POD_NAMESPACE","shop"],["K8S_POD_NAME","cart-0"],["K8S_POD_UID","2d5f"]],"ifName":"eth0"}"#;
        assert_eq!(cached_result(cached), Some(("2d5f".into(), "shop/cart-0".into())));
        assert_eq!(cached_result("{}"), None);
        let hosts = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\n\
                     fe00::0\tip6-localnet\n10.244.0.7\tcart-0\n";
        assert_eq!(own_name(hosts).as_deref(), Some("cart-0"));
        assert_eq!(own_name("127.0.0.1 localhost\n"), None);
    }

    #[test]
    fn a_container_of_podman_is_named_whatever_its_storage_driver_and_though_it_goes_when_it_stops()
    {
        let root = std::env::temp_dir().join(format!("plimsoll-owners-{}", std::process::id()));
        for (file, id, name) in [
            ("vfs-containers/containers.json", "11aa", "web"),
            ("overlay-containers/containers.json", "22bb", "db"),
            ("overlay-containers/volatile-containers.json", "33cc", "once"),
        ] {
            let path = root.join(&STORAGE[1..]).join(file);
            fs::create_dir_all(path.parent().expect("a directory")).expect("is made");
            let text = format!(r#"[{{"id":"{id}","names":["{name}"],"layer":"x"}}]"#);
            fs::write(path, text).expect("is written");
        }
        let mut names = Names::below(root.clone());
        let named: Vec<_> =
            ["11aa", "22bb", "33cc", "44dd"].map(|id| names.container("podman", id)).to_vec();
        fs::remove_dir_all(root).expect("is removed");
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(named, [some("web"), some("db"), some("once"), None]);
    }

    #[test]
    fn a_named_file_gives_its_bare_name_and_another_its_path() {
        assert_eq!(label(Path::new("/run/netns/blue")).as_deref(), Some("blue"));
        assert_eq!(label(Path::new("/srv/x/ns")).as_deref(), Some("/srv/x/ns"));
        assert_eq!(label(Path::new("/proc/7/root/run/netns/blue")), None);
    }
}
