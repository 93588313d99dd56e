//! Rulesets made at random, of what firewalls are made of: states, addresses, ports, interfaces, marks, sets, maps, chains that
//! call others.

/// What writes the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Nft,
    IptablesNft,
    Legacy,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::IptablesNft => "iptables-nft",
            Self::Legacy => "iptables-legacy",
        }
    }
}

/// SplitMix64: the same seed makes the same ruleset everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// One in so many.
    fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }
}

/// A ruleset; most let some in to the port.
pub fn ruleset(kind: Kind, random: &mut Random, protocol: u8) -> String {
    let name = if protocol == 6 { "tcp" } else { "udp" };
    match kind {
        Kind::Nft => nft(random, name),
        Kind::IptablesNft | Kind::Legacy => iptables(random, name),
    }
}

const NFT_SETS: &str =
    "  set ports { type inet_service; flags interval; elements = { 80, 400-500 }; }
  set banned { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 198.51.100.7 }; }
  map who { type ipv4_addr : verdict; elements = { 10.77.1.2 : accept, 203.0.113.9 : drop }; }
";

const NFT_STATES: &[&str] = &[
    "ct state established,related",
    "ct state established",
    "ct state new",
    "ct state new",
    "ct state { new, established }",
    "ct state invalid",
    "ct state != established",
    "ct state != { established, related }",
    "ct state untracked",
    "ct state { new, untracked }",
];

fn nft_condition(random: &mut Random, out: bool, name: &str) -> String {
    if random.once_in(3) {
        return random.of(NFT_STATES).to_owned();
    }
    let all = &[
        "ip FAR 10.77.0.0/16",
        "ip FAR { 192.0.2.66, 203.0.113.0/24 }",
        "ip FAR != 192.0.2.66",
        "ip FAR 10.77.1.2-10.77.1.9",
        "ip FAR @banned",
        "ip FAR != @banned",
        "ip FAR . NAME PORT { 10.77.1.2 . 443, 192.0.2.66 . 443, 10.77.2.2 . 80 }",
        "ip NEAR 10.77.1.1",
        "ip NEAR 127.0.0.0/8",
        "IF \"h0\"",
        "IF != \"h1\"",
        "IF \"lo\"",
        "IF { \"h1\", \"lo\" }",
        "NAME PORT 443",
        "NAME PORT 443",
        "NAME PORT { 80, 443 }",
        "NAME PORT 400-500",
        "NAME PORT != 443",
        "NAME PORT > 400",
        "NAME PORT @ports",
        "NAME PORT != @ports",
        "th PORT 443",
        "meta l4proto NAME",
        "meta l4proto { tcp, udp }",
        "ip protocol NAME",
        "meta nfproto ipv4",
        "meta mark 0x1",
        "meta mark != 0x1",
        "ip ttl > 1",
        "tcp flags & (fin|syn|rst|ack) == syn",
        "tcp flags syn",
        "fib LOCAL type local",
        "meta l4proto != icmp",
        "ct mark 0x1",
        "ct direction original",
        "ct status dnat",
    ];
    let (far, near, device, port) = match out {
        false => ("saddr", "daddr", "iifname", "dport"),
        true => ("daddr", "saddr", "oifname", "sport"),
    };
    random
        .of(all)
        .replace("FAR", far)
        .replace("NEAR", near)
        .replace("LOCAL", near)
        .replace("IF", device)
        .replace("PORT", port)
        .replace("NAME", name)
        // The one protocol excludes the other in one rule.
        .replace(
            "tcp flags",
            if name == "tcp" { "tcp flags" } else { "udp length > 1 udp checksum" },
        )
        .replace("udp checksum & (fin|syn|rst|ack) == syn", "")
        .replace("udp checksum syn", "")
}

/// The end of a rule in the chain of that number; 0 is a base chain. A chain calls only those behind it.
fn nft_end(random: &mut Random, chain: u64, out: bool, name: &str) -> String {
    let port = if out { "sport" } else { "dport" };
    let far = if out { "daddr" } else { "saddr" };
    let deeper = if out { 0 } else { 3 - chain };
    match random.below(16) {
        0..5 => "accept".to_owned(),
        5..7 => "drop".to_owned(),
        7 => "reject".to_owned(),
        8 if chain > 0 => "return".to_owned(),
        8 | 9 => "counter".to_owned(),
        10 => "meta mark set 0x1".to_owned(),
        11 if deeper > 0 => {
            format!("{name} {port} vmap {{ 443 : jump c{}, 80 : drop }}", chain + 1)
        }
        11 => format!("ip {far} vmap @who"),
        12 if deeper > 0 => format!(
            "ct state vmap {{ established : accept, related : accept, new : jump c{}, invalid : drop }}",
            chain + 1
        ),
        13 if deeper > 0 => format!("goto c{}", chain + 1 + random.below(deeper)),
        _ if deeper > 0 => format!("jump c{}", chain + 1 + random.below(deeper)),
        _ => "accept".to_owned(),
    }
}

fn nft(random: &mut Random, name: &str) -> String {
    let mut text = format!("table inet site {{\n{NFT_SETS}");
    for chain in 1..=3 {
        text += &format!("  chain c{chain} {{ }}\n");
    }
    let policy = |random: &mut Random| if random.once_in(3) { "accept" } else { "drop" };
    let (first, second) = (policy(random), policy(random));
    text += &format!("  chain i {{ type filter hook input priority 0; policy {first}; }}\n");
    text += &format!("  chain o {{ type filter hook output priority 0; policy {second}; }}\n");
    text += "  chain m { type filter hook prerouting priority -150; policy accept; }\n  chain late { type filter hook input \
             priority 10; policy accept; }\n}\n";
    let mut add = |chain: &str, rule: &str| text += &format!("add rule inet site {chain} {rule}\n");
    if !random.once_in(4) {
        add(
            "i",
            random.of(&[
                "ct state established,related accept",
                "ct state { established, related } accept",
            ]),
        );
    }
    if !random.once_in(4) {
        add("o", "ct state established,related accept");
    }
    let chains = [
        ("i", 0, false, 5),
        ("c1", 1, false, 4),
        ("c2", 2, false, 4),
        ("c3", 3, false, 3),
        ("o", 0, true, 3),
    ];
    for (chain, number, out, most) in chains {
        for _ in 0..random.below(most) {
            let mut rule = String::new();
            for _ in 0..random.below(3) {
                let condition = nft_condition(random, out, name);
                // Two conditions of one thing contradict each other, and nft says so.
                let subject = |text: &str| text.split(' ').take(2).collect::<Vec<_>>().join(" ");
                if !rule.contains(&subject(&condition)) {
                    rule += &format!("{condition} ");
                }
            }
            let end = nft_end(random, number, out, name);
            add(chain, &(rule + &end));
        }
    }
    for (chain, once_in) in [("m", 3), ("late", 3)] {
        if random.once_in(once_in) {
            let condition = nft_condition(random, false, name);
            let end =
                random.of(&["drop", "accept", "counter", "meta mark set 0x1", "meta mark set 0x1"]);
            add(chain, &format!("{condition} {end}"));
        }
    }
    if !random.once_in(3) {
        add(
            "i",
            &format!(
                "{name} dport 443 {}accept",
                random.of(&["ct state new ", "", "ct state new ip saddr 10.77.0.0/16 "])
            ),
        );
    }
    if random.once_in(2) {
        add("o", &format!("{name} sport 443 accept"));
    }
    text
}

fn ipt_condition(random: &mut Random, out: bool, name: &str) -> String {
    let states = &[
        "-m conntrack --ctstate RELATED,ESTABLISHED",
        "-m state --state ESTABLISHED",
        "-m state --state NEW",
        "-m conntrack --ctstate NEW",
        "-m conntrack --ctstate NEW,ESTABLISHED",
        "-m conntrack --ctstate INVALID",
        "-m conntrack ! --ctstate ESTABLISHED",
        "-m state ! --state RELATED,ESTABLISHED",
        "-m conntrack --ctstate UNTRACKED",
        "-m conntrack --ctstate NEW,UNTRACKED",
        "-m conntrack --ctstate DNAT",
    ];
    if random.once_in(3) {
        return random.of(states).to_owned();
    }
    let all = &[
        "FAR 10.77.0.0/16",
        "! FAR 192.0.2.66",
        "FAR 203.0.113.0/24",
        "NEAR 10.77.1.1",
        "IF h0",
        "! IF h1",
        "IF lo",
        "IF h+",
        "-p NAME -m NAME --PORT 443",
        "-p NAME -m NAME --PORT 443",
        "-p NAME -m NAME --PORT 400:500",
        "-p NAME -m NAME ! --PORT 443",
        "-p NAME -m multiport --PORTs 80,443",
        "-p NAME -m multiport ! --PORTs 80,443",
        "-p NAME -m multiport --ports 443",
        "-p NAME",
        "! -p icmp",
        "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN",
        "-p tcp -m tcp ! --syn",
        "-m addrtype --TYPE LOCAL",
        "-m addrtype ! --TYPE LOCAL",
        "-m mark --mark 0x1",
        "-m mark ! --mark 0x1",
        "-m iprange --RANGE 10.77.1.2-10.77.1.9",
        "-m length --length 20:1500",
        "-m ttl --ttl-gt 1",
        "-m comment --comment \"a b, 'c'\"",
        "-p icmp -m icmp --icmp-type 8",
        "-m connmark --mark 0x1",
    ];
    let (far, near, device, port, range, kind) = match out {
        false => ("-s", "-d", "-i", "dport", "src-range", "dst-type"),
        true => ("-d", "-s", "-o", "sport", "dst-range", "src-type"),
    };
    random
        .of(all)
        .replace("FAR", far)
        .replace("NEAR", near)
        .replace("IF", device)
        .replace("PORT", port)
        .replace("RANGE", range)
        .replace("TYPE", kind)
        .replace("NAME", name)
}

fn ipt_end(random: &mut Random, chain: u64, out: bool) -> String {
    let deeper = if out { 0 } else { 3 - chain };
    match random.below(14) {
        0..5 => "-j ACCEPT".to_owned(),
        5 | 6 => "-j DROP".to_owned(),
        7 => "-j REJECT".to_owned(),
        8 if chain > 0 => "-j RETURN".to_owned(),
        8 | 9 => String::new(),
        10 if deeper > 0 => format!("-g C{}", chain + 1 + random.below(deeper)),
        _ if deeper > 0 => format!("-j C{}", chain + 1 + random.below(deeper)),
        _ => "-j ACCEPT".to_owned(),
    }
}

fn iptables(random: &mut Random, name: &str) -> String {
    let mut text = String::new();
    if random.once_in(3) {
        let condition = ipt_condition(random, false, name);
        let end = random.of(&["-j DROP", "-j ACCEPT", "-j MARK --set-mark 0x1"]);
        text += &format!(
            "*mangle\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n-A PREROUTING {condition} {end}\nCOMMIT\n"
        );
    }
    let policy = |random: &mut Random| if random.once_in(3) { "ACCEPT" } else { "DROP" };
    let (first, second) = (policy(random), policy(random));
    text += &format!("*filter\n:INPUT {first}\n:OUTPUT {second}\n:C1 -\n:C2 -\n:C3 -\n");
    if !random.once_in(4) {
        text += "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n";
    }
    if !random.once_in(4) {
        text += "-A OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n";
    }
    let chains = [
        ("INPUT", 0, false, 5),
        ("C1", 1, false, 4),
        ("C2", 2, false, 4),
        ("C3", 3, false, 3),
        ("OUTPUT", 0, true, 3),
    ];
    for (chain, number, out, most) in chains {
        for _ in 0..random.below(most) {
            let mut rule = format!("-A {chain} ");
            for _ in 0..random.below(3) {
                let condition = ipt_condition(random, out, name);
                // Each option once.
                let mut options =
                    condition.split(' ').filter(|w| w.starts_with('-') && !w.starts_with("--"));
                if !options.any(|o| o != "-m" && rule.contains(&format!("{o} "))) {
                    rule += &format!("{condition} ");
                }
            }
            text += &format!("{rule}{}\n", ipt_end(random, number, out));
        }
    }
    if !random.once_in(3) {
        let more = random.of(&[
            "-m state --state NEW ",
            "",
            "-s 10.77.0.0/16 -m conntrack --ctstate NEW ",
        ]);
        text += &format!("-A INPUT -p {name} -m {name} --dport 443 {more}-j ACCEPT\n");
    }
    if random.once_in(2) {
        text += &format!("-A OUTPUT -p {name} -m {name} --sport 443 -j ACCEPT\n");
    }
    text + "COMMIT\n"
}
