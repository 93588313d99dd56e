//! Netlink datagrams: framing, entries, statistics; and what was decoded encodes and decodes to itself.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_ct::{Row, Time};
use plimsoll_wire::ctnetlink::{self, Details, Flow};
use plimsoll_wire::netlink::{Message, Messages};

fuzz_target!(|datagram: &[u8]| {
    for message in Messages::new(datagram) {
        if let Ok(Message::Data { payload, .. }) = message {
            payload_of(payload);
        }
    }
    payload_of(datagram);
});

fn payload_of(payload: &[u8]) {
    let _ = ctnetlink::cpu_counters(payload);
    let _ = ctnetlink::totals(payload);
    let quick = ctnetlink::decode(payload, None);
    let Ok(flow) = Flow::decode(payload, None) else { return };
    assert_eq!(quick.as_ref(), Ok(&flow.entry));
    // The compact form says the same; only a helper's name may be cut.
    let (mut row, mut full) = (Row::UNKNOWN, Row::UNKNOWN);
    let now = Some(Time(1_795_400_000_000_000_000));
    ctnetlink::decode_row(payload, now, &mut row).expect("what decodes, decodes compactly");
    ctnetlink::decode_row_with(payload, now, &mut full, &mut Details::default()).expect("the same");
    assert_eq!(row, full);
    assert_eq!(row.entry().original, flow.entry.original);
    assert_eq!(row.helper.is_some(), flow.entry.helper.is_some());
    // A message may name an attribute twice; what it meant in the end must survive.
    if let Ok(again) = Flow::decode(&flow.encode(), None) {
        assert_eq!(again.entry.original, flow.entry.original);
        assert_eq!(again.entry.status, flow.entry.status);
    }
}
