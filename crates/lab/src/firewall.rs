//! The stateful firewall of the lab's server, in the language of whichever program is installed.

use crate::command::{Step, installed};
use crate::{LabError, SERVICE_PORT};

/// The program that writes the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firewall {
    /// `nft`.
    Nft,
    /// `iptables`, whichever back end it has.
    Iptables,
}

impl Firewall {
    /// The one that is installed; nft if both are.
    pub fn find() -> Result<Self, LabError> {
        if installed("nft") {
            Ok(Self::Nft)
        } else if installed("iptables") {
            Ok(Self::Iptables)
        } else {
            Err(LabError::NoFirewall)
        }
    }

    /// The rules that many servers have: what belongs to a known connection may pass, new ones only to
    /// the service. Asking for the state is what switches tracking on.
    pub(crate) fn stateful(self) -> Vec<Step> {
        let port = SERVICE_PORT;
        self.steps(
            &[
                "add table ip lab",
                "add chain ip lab early { type filter hook prerouting priority -300 ; }",
                "add chain ip lab early_out { type filter hook output priority -300 ; }",
                "add chain ip lab input { type filter hook input priority 0 ; policy drop ; }",
                "add rule ip lab input ct state established,related accept",
                "add rule ip lab input iif lo accept",
                "add rule ip lab input ip protocol icmp accept",
                &format!("add rule ip lab input tcp dport {port} ct state new accept"),
                &format!("add rule ip lab input udp dport {port} ct state new accept"),
            ],
            &[
                "-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
                "-A INPUT -i lo -j ACCEPT",
                "-A INPUT -p icmp -j ACCEPT",
                &format!("-A INPUT -p tcp --dport {port} -m conntrack --ctstate NEW -j ACCEPT"),
                &format!("-A INPUT -p udp --dport {port} -m conntrack --ctstate NEW -j ACCEPT"),
                "-P INPUT DROP",
            ],
        )
    }

    /// The cure: a service that is not tracked needs no entry. First the accept, then the exemption, so
    /// that nothing is lost in between; both directions, or the answers would start entries.
    pub(crate) fn untrack(self, port: u16) -> Vec<Step> {
        self.steps(
            &[
                &format!("insert rule ip lab input tcp dport {port} ct state untracked accept"),
                &format!("add rule ip lab early tcp dport {port} notrack"),
                &format!("add rule ip lab early_out tcp sport {port} notrack"),
            ],
            &[
                &format!(
                    "-I INPUT -p tcp --dport {port} -m conntrack --ctstate UNTRACKED -j ACCEPT"
                ),
                &format!("-t raw -A PREROUTING -p tcp --dport {port} -j CT --notrack"),
                &format!("-t raw -A OUTPUT -p tcp --sport {port} -j CT --notrack"),
            ],
        )
    }

    /// Source NAT of what the server itself sends to the client over UDP, to a few ports.
    pub(crate) fn few_nat_ports(self, first: u16, last: u16) -> Vec<Step> {
        let (web, client) = (crate::WEB, crate::CLIENT);
        self.steps(
            &[
                "add chain ip lab post { type nat hook postrouting priority 100 ; }",
                &format!("add rule ip lab post ip protocol udp ip daddr {client} snat to {web}:{first}-{last}"),
            ],
            &[&format!(
                "-t nat -A POSTROUTING -p udp -d {client} -j SNAT --to-source {web}:{first}-{last}"
            )],
        )
    }

    /// Every new connection to the service announces another one that never comes. Only nft can say it.
    pub(crate) fn expect_another(timeout_seconds: u32, port: u16) -> Vec<Step> {
        let service = SERVICE_PORT;
        Self::Nft.steps(
            &[
                &format!(
                    "add ct expectation ip lab another {{ protocol tcp ; dport {port} ; timeout {timeout_seconds}s ; size 8 ; l3proto ip ; }}"
                ),
                &format!("insert rule ip lab input tcp dport {service} ct state new ct expectation set another"),
            ],
            &[],
        )
    }

    fn steps(self, nft: &[&str], iptables: &[&str]) -> Vec<Step> {
        match self {
            Self::Nft => nft.iter().map(|line| Step::new("nft", line)).collect(),
            // -w: wait for the lock of another iptables run instead of failing.
            Self::Iptables => {
                iptables.iter().map(|line| Step::new("iptables", &format!("-w 5 {line}"))).collect()
            }
        }
    }
}
