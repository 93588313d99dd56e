//! Trees of sysctl files made at random, with what people and editors do to them: names that hide each other, masks, patterns,
//! exclusions, both notations, remarks, blanks, ends of lines, those of old machines as well.

/// Few keys, so that lines meet.
const KEYS: [&str; 6] = [
    "tcp_timeout_close",
    "tcp_timeout_close_wait",
    "tcp_timeout_last_ack",
    "udp_timeout",
    "udp_timeout_stream",
    "icmp_timeout",
];
const PATTERNS: [&str; 8] = [
    "*",
    "tcp_timeout_*",
    "tcp_timeout_close*",
    "udp_timeout*",
    "*_timeout",
    "udp_timeou?",
    "tcp_timeout_[a-m]*",
    "[!t]*_timeout",
];
const FOLDERS: [&str; 4] = ["etc", "run", "usr/local/lib", "usr/lib"];
const NAMES: [&str; 10] = [
    "10-a.conf",
    "50-b.conf",
    "50-B.conf",
    "9-c.conf",
    "99-sysctl.conf",
    "z.conf",
    ".hidden.conf",
    ".conf",
    "70-d.conf~",
    "80-e",
];
/// Values that are made lie from here on, below what the kernel has of itself.
const FIRST: u32 = 1_000_000;

/// Whether a value is one of those that were made.
pub fn is_made(value: &str) -> bool {
    value.parse::<u32>().is_ok_and(|n| n >= FIRST)
}

/// Path and text of each file; the same for the same seed.
pub fn files(seed: u64) -> Vec<(String, String)> {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut value = FIRST;
    let mut files = Vec::new();
    for folder in FOLDERS {
        for name in NAMES {
            if dice.below(3) == 0 {
                let text = match dice.below(12) {
                    0 => "-> /dev/null".into(),
                    1 => "-> /etc/sysctl.conf".into(),
                    2 => "-> ../sysctl.conf".into(),
                    3 => "-> nowhere".into(),
                    4 => String::new(),
                    _ => text(&mut dice, &mut value),
                };
                files.push((format!("{folder}/sysctl.d/{name}"), text));
            }
        }
    }
    files.push(("etc/sysctl.conf".into(), text(&mut dice, &mut value)));
    files
}

fn text(dice: &mut Dice, value: &mut u32) -> String {
    let end = *dice.of(&["\n", "\n", "\n", "\n", "\n", "\n", "\r\n", "\r\n", "\r"]);
    let mut text = String::new();
    for _ in 0..=dice.below(5) {
        text += &line(dice, value);
        text += end;
    }
    if dice.below(4) == 0 {
        text.truncate(text.trim_end().len());
    }
    text
}

fn line(dice: &mut Dice, value: &mut u32) -> String {
    let (pattern, key) = (*dice.of(&PATTERNS), *dice.of(&KEYS));
    let bare = if dice.below(4) == 0 { pattern } else { key };
    let key = match dice.below(10) {
        0 | 1 => format!("net/netfilter/nf_conntrack_{bare}"),
        2 => format!("net.*.nf_conntrack_{bare}"),
        3 => format!("net/netfilter.nf_conntrack_{bare}"),
        4 => format!("/net/netfilter/nf_conntrack_{bare}"),
        5 => format!(".net.netfilter.nf_conntrack_{bare}"),
        _ => format!("net.netfilter.nf_conntrack_{bare}"),
    };
    *value += 1;
    let written = match dice.below(16) {
        0 => "99999999999".into(),
        1 => format!("{value}s"),
        2 => format!("{value} # why"),
        3 => format!("{value} 7"),
        4 => format!("{value:#x}"),
        5 => String::new(),
        6 => format!("{value}=7"),
        // What another line may say, too.
        7 | 8 => FIRST.to_string(),
        _ => value.to_string(),
    };
    match dice.below(24) {
        0 => format!("# {key} = {written}"),
        1 => format!(";{key} = {written}"),
        2 => format!("-{key}"),
        3 => format!("- {key}"),
        4 => format!("-{key} = {written}"),
        5 => format!("- {key} = {written}"),
        6 => key,
        7 => format!("{key} {written}"),
        8 => format!("\t{key}\t=\t{written}\t"),
        9 => format!("{key}={written}"),
        10 => format!("  -{key}={written}"),
        11 => format!("={written}"),
        12 => format!("  # {key} = {written}"),
        13 => format!("{key} = {written} \\"),
        15 => "\n \t \n".into(),
        _ => format!("{key} = {written}"),
    }
}

/// xorshift64*: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let at = self.below(all.len() as u64);
        &all[usize::try_from(at).expect("a small number")]
    }
}
