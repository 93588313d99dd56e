//! TCP by hand: a flow's segments one by one through both sides, with what each makes of its entry.

use std::io::{self, Error};
use std::net::Ipv4Addr;

use plimsoll_ct::Entry;
use plimsoll_model::Treatment;

use crate::compare;
use crate::forge::TcpSegment;
use crate::run::Pair;

/// How a segment is written.
pub const GRAMMAR: &str = "\
a flow is segments, apart by blanks: [~]SIDE FLAGS SEQ[,ACK][+OCTETS][wWINDOW], as in `>S0 <SA0,1 >A1,1 >R5`:
~ past the tracker, > from the client, < from the server; flags of FSRPAU; window 65535. NAME=VALUE before them sets nf_conntrack_NAME";

/// A written segment: whether it is tracked, whether it is the server's, what it is.
fn parse(word: &str) -> Option<(bool, bool, TcpSegment)> {
    let (tracked, rest) = word.strip_prefix('~').map_or((true, word), |rest| (false, rest));
    let reply = rest.starts_with('<');
    let rest = rest.strip_prefix(['<', '>'])?;
    let begin = rest.find(|c: char| c.is_ascii_digit())?;
    let (letters, rest) = rest.split_at(begin);
    let mut flags = 0;
    for letter in letters.chars() {
        flags |= 1 << "FSRPAU".find(letter)?;
    }
    let (rest, window) = rest.split_once('w').unwrap_or((rest, "65535"));
    let (rest, payload) = rest.split_once('+').unwrap_or((rest, "0"));
    let (seq, ack) = rest.split_once(',').unwrap_or((rest, "0"));
    let options = if flags & 2 == 0 { vec![] } else { vec![1, 3, 3, 7, 1, 1, 4, 2] };
    let segment = TcpSegment {
        ports: if reply { (80, 4000) } else { (4000, 80) },
        seq: seq.parse().ok()?,
        ack: ack.parse().ok()?,
        flags,
        window: window.parse().ok()?,
        options,
        payload: payload.parse().ok()?,
        data: vec![],
    };
    Some((tracked, reply, segment))
}

fn shown(entry: Option<&Entry>) -> String {
    let Some(entry) = entry else { return "none".into() };
    let seconds = entry.expires.map_or(0, |s| s.get());
    format!("{:?} {seconds} {:#06x}", entry.state, entry.status.0)
}

/// One flow; prints a line for each segment, and says whether both sides agree at its end.
pub fn run(pair: &mut Pair, flow: &str, show: &mut dyn FnMut(&str)) -> io::Result<bool> {
    let named = |word: &str| {
        let (name, value) = word.split_once('=')?;
        Some((format!("nf_conntrack_{name}"), value.parse().ok()?))
    };
    let settings: Vec<(String, u64)> = flow.split_whitespace().filter_map(named).collect();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    pair.configure(&settings)?;
    let client = Ipv4Addr::from(0x0a00_0000 + pair.number());
    let ends = [client.into(), Ipv4Addr::new(192, 0, 2, 1).into()];
    show(&format!("--- {flow}"));
    for word in flow.split_whitespace().filter(|word| !word.contains('=')) {
        let parsed = parse(word);
        let (tracked, reply, segment) =
            parsed.ok_or_else(|| Error::other(format!("{word}: {GRAMMAR}")))?;
        let [source, destination] = if reply { [ends[1], ends[0]] } else { ends };
        let treatment = Treatment { untracked: !tracked, ..Treatment::default() };
        pair.feed(&segment.packet(source, destination), &treatment)?;
        let kernel = pair.kernel.entries()?;
        let now = pair.now();
        pair.model.advance(now);
        let model = pair.model.snapshot();
        let mark = if compare::entries(&kernel, &model).is_empty() { "" } else { "   differs" };
        let (kernel, model) = (shown(kernel.first()), shown(model.first()));
        show(&format!("{word:14} kernel {kernel:28} model {model}{mark}"));
    }
    let differences = pair.differences()?;
    for difference in &differences {
        show(&format!("   {difference}"));
    }
    Ok(differences.is_empty())
}
