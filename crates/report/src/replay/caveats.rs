//! What the capture cannot tell, a sentence each.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::Counter;
use plimsoll_replay::Answer;

use crate::number::{count, counted, ratio, share};

/// So many of the packets are more than chance.
const MANY: f64 = 0.05;

/// What the lines of the log about so many packets lack.
pub fn log_cut(packets: u64) -> String {
    format!(
        "The log has lines about {} cut by the snapshot length: they show as much of them as was captured, and \
         none tells of a checksum.",
        counted(packets, "packet that was", "packets that were")
    )
}

/// What the capture cannot tell, in the order of weight.
pub fn caveats(a: &Answer) -> Vec<String> {
    let mut said = Vec::new();
    let mut say = |text: String| said.push(text);
    let doubts = &a.doubts;
    for broken in &a.broken {
        say(format!("{broken}; what follows it was not read."));
    }
    for (rule, missing) in &a.one_way {
        say(format!(
            "NOTRACK '{rule}' is one direction only, as a rule of the kernel is: the answers are still \
             looked up and find no entry, so that they are INVALID or open entries back to front. Add \
             --notrack '{missing}'."
        ));
    }
    if a.lost_by_capture > 0 {
        say(format!(
            "The capturing host lost {} itself (its own statistics): flows are missing here that the \
             router saw.",
            counted(a.lost_by_capture, "packet", "packets")
        ));
    }
    if ratio(doubts.one_sided, doubts.tcp).is_some_and(|r| r > MANY) {
        let part = ratio(doubts.one_sided, doubts.tcp).map_or_else(String::new, share);
        say(format!(
            "{part} of the TCP packets acknowledge an answer that was not captured: the capture shows \
             one direction, is sampled, or addresses change on the way (NAT). Entries then end sooner, or \
             live longer, than on the router."
        ));
    }
    if ratio(doubts.twice, doubts.looked_at).is_some_and(|r| r > MANY) {
        let part = ratio(doubts.twice, doubts.looked_at).map_or_else(String::new, share);
        say(format!(
            "{part} of the packets were captured twice (as -i any does on a router): the table is the \
             same, but packets lost are counted twice."
        ));
    }
    said.extend(counts(a));
    let mut say = |text: String| said.push(text);
    if a.rows().any(|row| row.outcome.lost > 0) {
        say("What a lost packet leads to (no answer, a second try) is not in the traffic: behind the \
             first drop the numbers of lost packets are an estimate."
            .into());
    }
    if a.scale > 1 {
        say(format!(
            "{} copies do everything at the same moment, which makes peaks a little higher than so many \
             independent clients would.",
            count(a.scale.into())
        ));
    }
    let chains = a.as_set.outcome.counters.get(Counter::ChainTooLong).unwrap_or(0);
    if chains > 0 {
        say(format!(
            "{} lost to hash chains that were too long, not to the limit: more buckets help \
             (nf_conntrack_buckets, now {}).",
            counted(chains, "packet was", "packets were"),
            count(a.as_set.outcome.buckets)
        ));
    }
    said
}

/// What of the packets was not as on the wire.
fn counts(a: &Answer) -> Vec<String> {
    let tally = &a.tally;
    let link = tally.unread_link.map_or_else(String::new, |link| format!(", LINKTYPE {link}"));
    let some = |n: u64, one: &str, many: &str, rest: &str| {
        (n > 0).then(|| format!("{} {rest}", counted(n, one, many)))
    };
    let packets = |n: u64, rest: &str| some(n, "packet was", "packets were", rest);
    let said = [
        some(
            tally.picked_up,
            "connection was",
            "connections were",
            "under way when the capture began, or had been given up before: their state is a guess, and entries that \
             were silent all along are missing from the count.",
        ),
        some(
            tally.merged,
            "TCP segment is",
            "TCP segments are",
            "longer than an Ethernet frame: the network card had merged them, so that the wire saw more segments \
             than the model.",
        ),
        packets(
            tally.sliced,
            "cut by the snapshot length; the headers were there, so the table is not touched by it.",
        ),
        (tally.log_cut > 0).then(|| log_cut(tally.log_cut)),
        packets(tally.truncated, "cut within the headers and left out."),
        packets(
            tally.malformed,
            "left out for a wrong IP header: a host drops such before conntrack.",
        ),
        some(
            tally.unknown_link,
            "frame was",
            "frames were",
            &format!(
                "of a link type that is not read{link} (read are Ethernet, Linux cooked, raw IP, loopback, PPP)."
            ),
        ),
        some(
            tally.backwards,
            "packet is",
            "packets are",
            "earlier than the one before and taken at its time.",
        ),
        some(
            tally.untimed,
            "packet has no time and is",
            "packets have no time and are",
            "taken at that of the one before.",
        ),
    ];
    said.into_iter().flatten().collect()
}
