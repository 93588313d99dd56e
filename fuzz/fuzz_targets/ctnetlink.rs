//! Netlink datagrams: framing, entries, statistics; and what was decoded encodes and decodes to itself.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::ctnetlink::{self, Flow};
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
    // A message may name an attribute twice; what it meant in the end must survive.
    if let Ok(again) = Flow::decode(&flow.encode(), None) {
        assert_eq!(again.entry.original, flow.entry.original);
        assert_eq!(again.entry.status, flow.entry.status);
    }
}
