//! Which constructs need tracking: the table of docs/formats/ruleset.md as data.
//!
//! Each line was tried: one such rule in a fresh namespace, one UDP datagram over its loopback, count looked at
//! (Linux 6.18). A construct needs tracking when its kernel part asks for the hooks
//! (`nf_ct_netns_get()`) as the rule is added, whether or not a packet ever reaches it.

use super::{Need, Verdict};

/// Matches of x_tables (`-m NAME`).
const MATCHES: &[(&str, Need)] = &[
    ("state", Need::State),
    ("conntrack", Need::State),
    ("cluster", Need::State),
    ("connlimit", Need::Count),
    ("helper", Need::Helper),
    ("connmark", Need::Mark),
    ("connbytes", Need::Mark),
    ("connlabel", Need::Mark),
];

/// Targets of x_tables (`-j NAME`); `CT` depends on its options.
const TARGETS: &[(&str, Need)] = &[
    ("MASQUERADE", Need::Nat),
    ("SNAT", Need::Nat),
    ("DNAT", Need::Nat),
    ("REDIRECT", Need::Nat),
    ("NETMAP", Need::Nat),
    ("SAME", Need::Nat),
    ("CLUSTERIP", Need::State),
    ("CONNMARK", Need::Mark),
    ("CONNSECMARK", Need::Mark),
    ("SYNPROXY", Need::SynProxy),
    ("FLOWOFFLOAD", Need::Offload),
];

/// Options of the target `CT`, by their words in a rule and in a listing.
const CT_OPTIONS: &[(&str, Need)] = &[
    ("helper", Need::Helper),
    ("zone", Need::Policy),
    ("zone-orig", Need::Policy),
    ("zone-reply", Need::Policy),
    ("timeout", Need::Policy),
    ("ctevents", Need::Policy),
    ("expevents", Need::Policy),
];

/// Keys of nft's `ct`; one that is not here needs tracking as well: all of nft's `ct` asks for the hooks.
const NFT_KEYS: &[(&str, Need)] = &[
    ("mark", Need::Mark),
    ("label", Need::Mark),
    ("bytes", Need::Mark),
    ("packets", Need::Mark),
    ("avgpkt", Need::Mark),
    ("secmark", Need::Mark),
    ("count", Need::Count),
    ("helper", Need::Helper),
    ("zone", Need::Policy),
    ("timeout", Need::Policy),
    ("expectation", Need::Policy),
];

/// Statements of nft other than `ct`.
const NFT_STATEMENTS: &[(&str, Need)] = &[
    ("masquerade", Need::Nat),
    ("snat", Need::Nat),
    ("dnat", Need::Nat),
    ("redirect", Need::Nat),
    ("synproxy", Need::SynProxy),
    ("flow", Need::Offload),
];

fn find(table: &[(&str, Need)], name: &str) -> Option<Need> {
    table.iter().find(|(n, _)| *n == name).map(|(_, need)| *need)
}

/// What a match of x_tables needs.
pub(crate) fn of_match(name: &str) -> Option<Need> {
    find(MATCHES, name)
}

/// What a target of x_tables needs.
pub(crate) fn of_target(name: &str) -> Option<Need> {
    find(TARGETS, name)
}

/// What an option of the target `CT` needs; the dashes before it are not looked at.
pub(crate) fn of_ct_option(word: &str) -> Option<Need> {
    find(CT_OPTIONS, word.trim_start_matches('-'))
}

/// What nft's `ct KEY` needs.
pub(crate) fn of_nft_key(key: &str) -> Need {
    find(NFT_KEYS, key).unwrap_or(Need::State)
}

/// What a statement of nft needs.
pub(crate) fn of_nft_statement(word: &str) -> Option<Need> {
    find(NFT_STATEMENTS, word)
}

/// What a target does with a packet.
pub(super) fn verdict(target: &str) -> Verdict {
    match target {
        "ACCEPT" => Verdict::Accept,
        "DROP" => Verdict::Drop,
        "REJECT" => Verdict::Reject,
        "NOTRACK" => Verdict::Untrack,
        _ => Verdict::Other,
    }
}

/// Adds a need once.
pub(crate) fn add(needs: &mut alloc::vec::Vec<Need>, need: Option<Need>) {
    if let Some(need) = need
        && !needs.contains(&need)
    {
        needs.push(need);
    }
}
