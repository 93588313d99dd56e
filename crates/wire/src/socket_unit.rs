//! The TCP ports in a socket unit, systemd.socket(5).

use alloc::string::String;
use alloc::vec::Vec;

/// Ports that `ListenStream=` names in `[Socket]`, in order. An empty value forgets those before it, so the text of a unit's
/// drop-ins goes behind its own. Sockets of files and of virtual machines have none.
pub fn ports(text: &str) -> Vec<u16> {
    let mut found = Vec::new();
    let mut here = false;
    let mut whole = String::new();
    for line in text.lines() {
        let line = line.trim();
        // A line that ends so goes on in the next; a remark in between does not.
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(begun) = line.strip_suffix('\\') {
            whole.push_str(begun);
            whole.push(' ');
            continue;
        }
        whole.push_str(line);
        let line = core::mem::take(&mut whole);
        if line.starts_with('[') {
            here = line == "[Socket]";
        } else if here
            && let Some((key, value)) = line.split_once('=')
            && key.trim_end() == "ListenStream"
        {
            match value.trim() {
                "" => found.clear(),
                value => found.extend(port(value).filter(|port| !found.contains(port))),
            }
        }
    }
    found
}

/// `22`, `192.0.2.1:22`, `[2001:db8::1]:22`; an interface may follow (`[fe80::1]:22%eth0`).
fn port(value: &str) -> Option<u16> {
    let value = value.split('%').next().unwrap_or_default();
    let number = match value.rsplit_once(':') {
        None => value,
        Some((host, number)) if host.parse::<core::net::Ipv4Addr>().is_ok() => number,
        Some((host, number)) => {
            let inside = host.strip_prefix('[')?.strip_suffix(']')?;
            inside.parse::<core::net::Ipv6Addr>().ok().map(|_| number)?
        }
    };
    number.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_those_of_the_streams_that_the_last_word_left() {
        let unit =
            "[Unit]\nListenStream=1\n[Socket]\n# ListenStream=2\nListenStream=22\nAccept=no\n";
        assert_eq!(ports(unit), [22]);
        let more = "[Socket]\nListenStream = 192.0.2.1:2222\nListenStream=[2001:db8::1]:2200\nListenStream=2222\n";
        assert_eq!(ports(&[unit, more].concat()), [22, 2222, 2200]);
        let others = "[Socket]\nListenStream=\nListenStream=\\\n  ; why\n  [fe80::1]:222%eth0\n";
        assert_eq!(ports(&[unit, others].concat()), [222]);
    }

    #[test]
    fn what_is_no_port_is_none() {
        for value in [
            "/run/ssh.sock",
            "@abstract",
            "vsock::22",
            "0",
            "70000",
            "x:22",
            "2001:db8::1",
            "[x]:22",
        ] {
            let unit = ["[Socket]\nListenStream=", value].concat();
            assert_eq!(ports(&unit), [0_u16; 0], "{value}");
        }
        assert!(ports("ListenStream=22\n[Socket]\nListenDatagram=53\n").is_empty());
    }
}
