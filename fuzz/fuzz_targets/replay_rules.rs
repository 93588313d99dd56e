//! A selector, a zone, a helper and a timeout policy as `plimsoll replay` is told them: any text is one or an error that
//! can be shown; what is read prints to itself, and judges any packet.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_replay::{HelperRule, PolicyRule, Selector, ZoneRule};
use plimsoll_wire::packet::parse_ip;

/// TCP, 10.0.0.1:1024 to 192.0.2.9:443.
const PACKET: [u8; 24] =
    [0x45, 0, 0, 24, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 192, 0, 2, 9, 4, 0, 1, 0xbb];

fuzz_target!(|text: &str| {
    let packet = parse_ip(&PACKET).expect("a packet");
    match Selector::parse(text) {
        Ok(selector) => {
            let printed = selector.to_string();
            let again = Selector::parse(&printed).expect("a selector");
            assert_eq!(again.to_string(), printed);
            assert_eq!(again.holds(&packet), selector.holds(&packet));
            assert_eq!(selector.mirrored().mirrored(), selector);
        }
        Err(error) => assert!(error.to_string().starts_with("word ")),
    }
    match HelperRule::parse(text) {
        Ok(rule) => assert_eq!(HelperRule::parse(&rule.to_string()), Ok(rule.clone())),
        Err(error) => assert!(error.to_string().starts_with("word ")),
    }
    match ZoneRule::parse(text) {
        Ok(rule) => assert_eq!(ZoneRule::parse(&rule.to_string()), Ok(rule.clone())),
        Err(error) => assert!(error.to_string().starts_with("word ")),
    }
    match PolicyRule::parse(text) {
        Ok(rule) => {
            assert_eq!(rule.selector.protocol(), Some(rule.policy.protocol()));
            assert_eq!(PolicyRule::parse(&rule.to_string()), Ok(rule.clone()));
        }
        Err(error) => assert!(error.to_string().starts_with("word ")),
    }
});
