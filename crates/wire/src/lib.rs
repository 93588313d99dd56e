//! Bytes and text of conntrack and its surroundings, to values of `ct`, and back.
//!
//! Knows: every form in which a kernel or a tool shows the table, its statistics, its log lines, its
//! settings files and the rules that pull it in; how each kernel generation writes them.
//! Does not know: where the bytes come from, and what the values mean for a host.
//! Bytes enter as slices (a line, a message, a file), values or a [`Malformed`] leave. Nothing panics on
//! any input; unknown words and numbers are kept or skipped, never guessed.
//!
//! ```
//! use plimsoll_wire::listing::{self, Dialect};
//!
//! // A line of `conntrack -L`; `listing` reads and writes the proc files of all generations, too.
//! let shown = "udp      17 25 src=10.0.0.1 dst=10.0.0.2 sport=4000 dport=53 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=53 dport=4000 mark=0 use=1";
//! let line = listing::parse(shown.as_bytes())?;
//! assert_eq!(line.entry.expires.map(|seconds| seconds.get()), Some(25));
//! let mut text = String::new();
//! listing::write(&mut text, &line, Dialect::Tool).expect("a String takes all");
//! assert_eq!(text.trim_end(), shown);
//!
//! let wrong = listing::parse(b"udp 17 soon").unwrap_err();
//! assert!(wrong.to_string().starts_with("original tuple: expected src= and dst="));
//! # Ok::<(), plimsoll_wire::Malformed>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod hidden;
mod malformed;
mod nft_objects;
pub use hidden::{is_hidden, shown};
pub use malformed::{Expected, Malformed, Place};

pub mod btf;
pub mod capture;
pub mod cgroup;
pub mod cloud_init;
pub mod cpu_list;
pub mod ctnetlink;
pub mod filter;
pub mod iptables_config;
pub mod kube_proxy;
pub mod listing;
pub mod log;
pub mod meminfo;
pub mod modprobe;
pub mod modules;
pub mod modules_load;
pub mod mountinfo;
pub mod names;
pub mod neighbour_stat;
pub mod netlink;
pub mod netstat;
pub mod os_release;
pub mod packet;
pub mod rtnetlink;
pub mod ruleset;
pub mod shell_assignments;
pub mod slabinfo;
pub mod sock_diag;
pub mod socket_unit;
pub mod sockstat;
pub mod sshd_config;
pub mod statistics;
pub mod sysctl;
pub mod tcp_sockets;
pub mod tuned;
pub mod udev_rules;
