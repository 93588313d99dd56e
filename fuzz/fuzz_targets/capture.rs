#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::capture::{Decoder, Records};
use plimsoll_wire::packet::{
    LinkType, Manner, append_logged, network_layer, parse_ip, plain_packet,
};

fuzz_target!(|bytes: &[u8]| {
    let mut octets = 0;
    for record in Records::new(bytes).map_while(Result::ok) {
        octets += record.bytes.len();
        if let Some(link) = LinkType::from_number(record.link) {
            for interface in [Some("eth0"), None] {
                let mut text = String::new();
                let manner =
                    Manner { interface, outgoing: false, accurate_ecn: interface.is_some() };
                append_logged(&mut text, link, record.bytes, &manner);
                assert!(text.len() < 1000 + 8 * record.bytes.len());
            }
        }
        if let Some(packet) = plain_packet(record.link, record.bytes) {
            let link = LinkType::from_number(record.link).expect("a link type that is read");
            assert_eq!(network_layer(link, record.bytes).and_then(parse_ip), Ok(packet));
        }
    }
    assert!(octets <= bytes.len());
    let mut many = Vec::new();
    let (behind, _) = Decoder::new().steps(bytes, usize::MAX, &mut many);
    let single: Vec<_> = Records::new(bytes).map_while(Result::ok).collect();
    assert!(behind <= bytes.len() && many == single);
});
