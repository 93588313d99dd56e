//! Lines of a kernel log in every form, through to the digest.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_ct::{Time, TimeRange};
use plimsoll_diagnosis::facts::LogDigestBuilder;
use plimsoll_wire::log::{Clock, Form, Line, Zone, record};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, text)) = data.split_first() else { return };
    let zone = match choice & 3 {
        0 => Zone::Unknown,
        1 => Zone::Fixed(i32::from(choice) * 600),
        2 => Zone::from_tzif(text).unwrap_or_default(),
        _ => Zone::utc(),
    };
    let clock = Clock {
        now: Time::from_secs(1_795_317_127),
        boot: (choice & 4 != 0).then(|| TimeRange::exact(Time::from_secs(1_795_217_127))),
        zone,
    };
    let form = [Form::Dmesg, Form::Syslog, Form::Json, Form::Export][usize::from(choice >> 3 & 3)];
    let mut builder = LogDigestBuilder::new(clock, Some("web"));
    builder.begin("fuzz");
    let lines: Vec<&[u8]> = match form {
        Form::Export => vec![text],
        _ => text.split(|&b| b == b'\n').collect(),
    };
    for line in lines {
        if let Some(line) = Line::parse(line, form) {
            builder.line(&line, choice & 32 != 0);
        }
        if let Some((_, line)) = record(line) {
            builder.line(&line, true);
        }
    }
    let digest = builder.finish();
    if let Some(seen) = digest.table_full {
        assert!(seen.example.chars().all(|c| !c.is_control()));
    }
});
