//! A connection tracker in forty lines: says of each packet of a capture what a rule with `ct state` would see, and shows the table
//! that is left, as /proc/net/nf_conntrack does.
//!
//!     cargo run -p plimsoll-model --example tracker -- fixtures/captures/http.pcap

use std::error::Error;

use plimsoll_model::ct::{Bytes, Profile, Time};
use plimsoll_model::wire::capture::Records;
use plimsoll_model::wire::listing::{self, Dialect, Line};
use plimsoll_model::wire::packet::LinkType;
use plimsoll_model::{Config, Model, Settings, Treatment};

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("which capture?")?;
    let capture = std::fs::read(&file).map_err(|e| format!("{file}: {e}"))?;

    // The host: its kernel, its memory, and what was set by sysctl.
    let profile = Profile::named("6.18").ok_or("an unknown profile")?;
    let mut settings = Settings::of(profile, Bytes(8 << 30));
    settings.set("net.netfilter.nf_conntrack_max", 65_536)?;
    let mut model = Model::new(Config::new(profile, settings));

    let mut last = Time(0);
    for record in Records::new(&capture) {
        let record = record.map_err(|e| format!("{file}: {e}"))?;
        let Some(link) = LinkType::from_number(record.link) else { continue };
        last = record.time.unwrap_or(last);
        // All packets are let through. What the rules drop, and what they do not track, the treatment says.
        match model.frame(last, link, record.bytes, &Treatment::default()) {
            Ok(step) => println!("{:?} {:?}", step.info, step.verdict),
            Err(other) => println!("not tracked: {other}"),
        }
    }

    for entry in model.entries() {
        let mut line = String::new();
        listing::write(&mut line, &Line::from(entry), Dialect::Proc)?;
        println!("{}", line.trim_end());
    }
    Ok(())
}
