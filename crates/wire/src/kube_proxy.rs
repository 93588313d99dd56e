//! What kube-proxy is told about conntrack: its configuration (KubeProxyConfiguration, alone or within a ConfigMap),
//! and its flags on a command line or in a manifest.
//!
//! Source: the KubeProxyConfiguration v1alpha1 reference (`conntrack`) and the flags of kube-proxy. The file is read
//! line by line, by indentation: the same words stand in a bare file, in a block of a ConfigMap and in a flow mapping.

use alloc::string::String;

/// A setting with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<T> {
    /// Line, from 1.
    pub line: u32,
    /// What it says.
    pub value: T,
}

/// The part about conntrack. What is not set is `None`: then kube-proxy's own default holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KubeProxy {
    /// `maxPerCore`; 0 leaves the limit alone.
    pub max_per_core: Option<Line<u64>>,
    /// `min`
    pub min: Option<Line<u64>>,
    /// `tcpEstablishedTimeout`, in seconds; 0 leaves it alone.
    pub established: Option<Line<u64>>,
    /// `tcpCloseWaitTimeout`, in seconds; 0 leaves it alone.
    pub close_wait: Option<Line<u64>>,
    /// `tcpBeLiberal`
    pub be_liberal: Option<Line<bool>>,
    /// `udpTimeout`, in seconds; 0 leaves it alone.
    pub udp: Option<Line<u64>>,
    /// `udpStreamTimeout`, in seconds; 0 leaves it alone.
    pub udp_stream: Option<Line<u64>>,
}

/// Names in the configuration, and as flags.
const NAMES: &[(&str, &str)] = &[
    ("maxPerCore", "--conntrack-max-per-core"),
    ("min", "--conntrack-min"),
    ("tcpEstablishedTimeout", "--conntrack-tcp-timeout-established"),
    ("tcpCloseWaitTimeout", "--conntrack-tcp-timeout-close-wait"),
    ("tcpBeLiberal", "--conntrack-tcp-be-liberal"),
    ("udpTimeout", "--conntrack-udp-timeout"),
    ("udpStreamTimeout", "--conntrack-udp-timeout-stream"),
];

impl KubeProxy {
    fn set(&mut self, name: &str, value: &str, line: u32) {
        let value = value.trim().trim_matches(['"', '\'']);
        let number = || value.parse().ok().map(|value| Line { line, value });
        let span = || seconds(value).map(|value| Line { line, value });
        match name {
            "maxPerCore" => self.max_per_core = number().or(self.max_per_core.take()),
            "min" => self.min = number().or(self.min.take()),
            "tcpEstablishedTimeout" => self.established = span().or(self.established.take()),
            "tcpCloseWaitTimeout" => self.close_wait = span().or(self.close_wait.take()),
            "tcpBeLiberal" => {
                let value = value.parse().ok().map(|value| Line { line, value });
                self.be_liberal = value.or(self.be_liberal.take());
            }
            "udpTimeout" => self.udp = span().or(self.udp.take()),
            "udpStreamTimeout" => self.udp_stream = span().or(self.udp_stream.take()),
            _ => {}
        }
    }
}

/// Reads a configuration. `None` when the text is none of kube-proxy's.
pub fn read_config(text: &str) -> Option<KubeProxy> {
    if !text.contains("KubeProxyConfiguration") {
        return None;
    }
    let mut found = KubeProxy::default();
    // Indentation of the `conntrack:` whose lines follow.
    let mut within: Option<usize> = None;
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.split(" #").next().unwrap_or("");
        let bare = content.trim();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        let indentation = content.len() - content.trim_start().len();
        if within.is_some_and(|outer| indentation <= outer) {
            within = None;
        }
        let Some((name, value)) = bare.split_once(':') else { continue };
        match within {
            Some(_) => found.set(name.trim(), value, line),
            None if name == "conntrack" => {
                within = Some(indentation);
                let flow = value.trim().trim_start_matches('{').trim_end_matches('}');
                for (name, value) in flow.split(',').filter_map(|pair| pair.split_once(':')) {
                    found.set(name.trim(), value, line);
                }
            }
            None => {}
        }
    }
    Some(found)
}

/// Reads flags: on a command line (words parted by blanks or NUL), or in a manifest or a k3s configuration, one to a
/// line. `None` when nothing of it belongs to conntrack and kube-proxy is not named.
pub fn read_flags(text: &str) -> Option<KubeProxy> {
    let mut found = KubeProxy::default();
    let mut ours = text.contains("kube-proxy");
    for (line, content) in (1..).zip(text.lines()) {
        if content.trim_start().starts_with('#') {
            continue;
        }
        let mut waiting: Option<&str> = None;
        let cut = |c: char| c.is_whitespace() || matches!(c, '\0' | '"' | '\'' | ',' | '[' | ']');
        for word in content.split(cut).filter(|w| !w.is_empty()) {
            if let Some(name) = waiting.take() {
                found.set(name, word, line);
                continue;
            }
            // k3s: kube-proxy-arg=conntrack-min=0, without the dashes.
            let word = word.rsplit_once("proxy-arg=").map_or(word, |(_, rest)| rest);
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (word, None),
            };
            let flag = flag.trim_start_matches('-');
            let Some((name, _)) = NAMES.iter().find(|(_, f)| f.trim_start_matches('-') == flag)
            else {
                continue;
            };
            ours = true;
            match value {
                Some(value) => found.set(name, value, line),
                None => waiting = Some(name),
            }
        }
    }
    ours.then_some(found)
}

/// A span as Go writes it (`24h0m0s`, `1h30m`, `90s`), or bare seconds: whole seconds.
pub fn seconds(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let mut total: u64 = 0;
    let mut rest = text;
    let mut any = false;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, length) = match rest.as_bytes() {
            [b'm', b's', ..] => (0, 2),
            [b'h', ..] => (3600, 1),
            [b'm', ..] => (60, 1),
            [b's', ..] => (1, 1),
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[length..];
        any = true;
    }
    any.then_some(total)
}

/// The text of a file within a ConfigMap mount or of a manifest says which of the two forms it has.
pub fn read(text: &str) -> Option<KubeProxy> {
    read_config(text).or_else(|| read_flags(text))
}

/// Flags of all names, for the documents.
pub fn flags() -> impl Iterator<Item = String> {
    NAMES.iter().map(|(_, flag)| String::from(*flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nbindAddress: 0.0.0.0\nconntrack:\n  maxPerCore: 32768 # per core\n  min: 524288\n  tcpCloseWaitTimeout: 1h0m0s\n  tcpEstablishedTimeout: 24h0m0s\nenableProfiling: false\nkind: KubeProxyConfiguration\nmin: 1\n";

    #[test]
    fn a_configuration_is_read_alone_and_within_a_config_map() {
        let bare = read_config(BARE).expect("one of kube-proxy");
        assert_eq!(bare.max_per_core, Some(Line { line: 4, value: 32768 }));
        assert_eq!(bare.min, Some(Line { line: 5, value: 524_288 }), "the later min is no part");
        assert_eq!(bare.established.map(|l| l.value), Some(86_400));
        assert_eq!(bare.close_wait.map(|l| l.value), Some(3600));
        let mut map = String::from("kind: ConfigMap\ndata:\n  config.conf: |-\n");
        for line in BARE.lines() {
            map.push_str("    ");
            map.push_str(line);
            map.push('\n');
        }
        let within = read_config(&map).expect("one of kube-proxy");
        assert_eq!(within.min, Some(Line { line: 8, value: 524_288 }));
        let flow = "kind: KubeProxyConfiguration\nconntrack: {maxPerCore: 0, min: null}\n";
        let flow = read_config(flow).expect("one of kube-proxy");
        assert_eq!((flow.max_per_core.map(|l| l.value), flow.min), (Some(0), None));
        assert_eq!(read_config("kind: KubeletConfiguration\n"), None);
    }

    #[test]
    fn flags_are_read_in_every_form_that_they_are_written_in() {
        let manifest = "spec:\n  containers:\n  - command:\n    - kube-proxy\n    - --conntrack-max-per-core=0\n    - --conntrack-tcp-timeout-established=2h\n";
        let found = read_flags(manifest).expect("flags");
        assert_eq!(found.max_per_core, Some(Line { line: 5, value: 0 }));
        assert_eq!(found.established.map(|l| l.value), Some(7200));
        let line = "/usr/bin/kube-proxy\0--conntrack-min\u{0}4096\0--v=2\0";
        assert_eq!(read_flags(line).expect("flags").min.map(|l| l.value), Some(4096));
        let k3s = "kube-proxy-arg:\n  - \"conntrack-max-per-core=0\"\n";
        assert_eq!(read_flags(k3s).expect("flags").max_per_core.map(|l| l.value), Some(0));
        assert_eq!(read_flags("kubelet --v=2\n"), None);
    }

    #[test]
    fn spans_are_those_of_go() {
        assert_eq!(seconds("24h0m0s"), Some(86_400));
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("500ms"), Some(0));
        assert_eq!(
            (seconds("90"), seconds("x"), seconds("5d"), seconds("")),
            (Some(90), None, None, None)
        );
        assert_eq!(seconds("99999999999999999999h"), None);
    }
}
