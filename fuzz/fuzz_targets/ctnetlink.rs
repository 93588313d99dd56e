//! Netlink datagrams: framing, entries, statistics; and what was decoded encodes and decodes to itself.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_ct::{Entry, Time};
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
    let Ok(flow) = Flow::decode(payload, None) else { return };
    assert_eq!(ctnetlink::decode(payload, None).as_ref(), Ok(&flow.entry));
    let now = Some(Time(1_795_400_000_000_000_000));
    let (mut quick, mut full) = (Entry::UNKNOWN, Entry::UNKNOWN);
    ctnetlink::decode_into(payload, now, &mut quick).expect("what decodes, decodes quickly");
    ctnetlink::decode_with(payload, now, &mut full, &mut Details::default()).expect("the same");
    assert_eq!(quick, full);
    // A message may name an attribute twice; what it meant in the end must survive.
    if let Ok(again) = Flow::decode(&flow.encode(), None) {
        assert_eq!(again.entry.original, flow.entry.original);
        assert_eq!(again.entry.status, flow.entry.status);
    }
}
