//! What the capture lacks: packets cut within their headers, and the other direction.

use serde_json::Value;

use super::{capture, replay, stored};

/// [`capture`], of the n-th packet of which only so many octets were captured.
fn cut(queries: u16, captured: impl Fn(u16) -> usize) -> Vec<u8> {
    let whole = capture(queries, false);
    let (header, records) = whole.split_at(24);
    let mut file = header.to_vec();
    for (record, n) in records.chunks(16 + 28).zip(0..) {
        let kept = captured(n);
        file.extend([&record[..8], &(kept as u32).to_le_bytes(), &record[12..16 + kept]].concat());
    }
    file
}

#[test]
fn packets_cut_within_their_headers_never_make_a_verdict_and_are_refused_when_asked() {
    // Of the last one the ports are not there.
    for octets in [0, 19, 20, 23] {
        let none = cut(3, |_| octets);
        let (out, err, status) = replay(&["-", "--width", "200"], &none);
        let nothing = "NOTHING  3 frames were read, and of no packet was enough captured to read its headers.\n";
        assert!(out.starts_with(nothing), "{out}");
        assert!(out.contains("3 packets were cut within the headers and left out"), "{out}");
        assert!(out.contains("tcpdump -s 96") && !out.contains("the headers were there"), "{out}");
        assert_eq!((err.as_str(), status), ("", Some(0)));
        let (out, ..) = replay(&["-", "--json"], &none);
        let value: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&value["packets"], &value["skipped"]["truncated"]), (&0.into(), &3.into()));
    }
    let some = cut(20, |n| if n % 10 == 3 { 21 } else { 24 });
    let (out, ..) = replay(&["-", "--width", "200"], &some);
    let unsure = "UNSURE  The packets that could be read need 18 entries; ";
    assert!(out.starts_with(unsure) && out.contains("2 packets were cut within"), "{out}");
    let chinese = replay(&["-", "--lang", "zh", "--width", "200"], &some).0;
    assert!(chinese.starts_with("不确定  读得出的包需要 18 个条目；"), "{chinese}");
    // The fourth begins behind the file's header and three others.
    let path = stored("cut.pcap", &some);
    let name = path.to_str().unwrap();
    let place = format!(
        "2 packets were cut within the headers and left out; the first: {name}: packet 4, offset 144"
    );
    let (out, err, status) = replay(&[name, "--strict"], b"");
    let refused = "plimsoll: refused, since --strict was given";
    assert_eq!(
        (out.as_str(), err, status),
        ("", format!("plimsoll: {place}\n{refused}\n"), Some(1))
    );
    let (_, err, status) = replay(&[name, "--stats"], b"");
    assert_eq!((err, status), (format!("plimsoll: {place}\n"), Some(0)));
    std::fs::remove_file(path).unwrap();
    let (_, err, status) = replay(&["-", "--strict"], &some);
    let place = place.split(';').next().unwrap();
    assert_eq!((err, status), (format!("plimsoll: {place}\n{refused}\n"), Some(1)));
    // With all of their ports, nothing is wrong.
    let wide = ["-", "--strict", "--width", "200"];
    let (out, err, status) = replay(&wide, &cut(20, |_| 24));
    assert!(out.starts_with("HOLDS  The table needs 20 entries; "), "{out}");
    assert!(out.contains("20 packets were cut by the snapshot length; the headers"), "{out}");
    assert_eq!((err.as_str(), status), ("", Some(0)));
}

#[test]
fn many_udp_flows_without_a_single_answer_are_told_of() {
    let told = |file: &[u8], lang| replay(&["-", "--width", "200", "--lang", lang], file).0;
    assert!(told(&capture(100, false), "en").contains("None of 100 UDP flows was answered."));
    assert!(told(&capture(100, false), "zh").contains("100 条 UDP 流没有一条得到回应"));
    // One answer is enough, and few flows say nothing.
    let one = [capture(100, false), capture(1, true)[24..].to_vec()].concat();
    for file in [capture(99, false), capture(100, true), one] {
        assert!(!told(&file, "en").contains("was answered"));
    }
}
