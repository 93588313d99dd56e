//! A check result of another host: reading never panics; what is read shows, and is written and read
//! again as the same screen, without a control character.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_report::{Style, check_from_json, json, nagios, npd, text};

fuzz_target!(|data: &[u8]| {
    let Ok(document) = core::str::from_utf8(data) else { return };
    let Ok(diagnosis) = check_from_json(document) else { return };
    let style = Style::default();
    let screen = text(&diagnosis, &style);
    assert!(!screen.contains(|c: char| c != '\n' && c.is_control()));
    let again = check_from_json(&json(&diagnosis)).expect("what was written can be read");
    assert_eq!(text(&again, &style), screen);
    assert!(!nagios(&diagnosis).line.contains('\n'));
    assert!(npd(&diagnosis).line.len() <= 80);
});
