//! Which values of which settings a kernel takes: the router's, and the model's.

use std::io;

use plimsoll_ct::{Bytes, SETTINGS};
use plimsoll_model::{SettingError, Settings};

use crate::kernel::{Kernel, setting};
use crate::run::{Clock, running};

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// Settings.
    pub settings: usize,
    /// Values.
    pub values: usize,
    /// Values that only one of the two takes, or that become others.
    pub failed: usize,
}

/// Values about the bounds that settings have.
fn values(hz: u64) -> Vec<u64> {
    let longest = i32::MAX as u64 / hz;
    let bounds = [256, 65_536, 3 << 20, 4 << 20, longest + 1, 1 << 31, 1 << 32, u64::MAX];
    (0..4).chain(bounds.into_iter().flat_map(|bound| [bound - 1, bound])).collect()
}

/// Writes each of the values to each setting of the router that the model knows; what differs is shown through `show`.
pub fn run(kernel: &Kernel, show: &mut dyn FnMut(&str)) -> io::Result<Outcome> {
    let hz = Clock::default().hz();
    let mut host = Settings::of(running()?, Bytes(8 << 30));
    host.hz = hz;
    let mut outcome = Outcome::default();
    for name in SETTINGS.iter().map(|setting| setting.name) {
        let Some(before) = setting(name)? else { continue };
        // What is the machine's can't be written in the router's namespace.
        if kernel.set(name, before).is_err() {
            continue;
        }
        if matches!(host.clone().set(name, before), Err(SettingError::NotModelled(_))) {
            continue;
        }
        outcome.settings += 1;
        for value in values(hz.into()) {
            let mut own = host.clone();
            let taken = own.set(name, value).is_ok().then(|| own.get(name)).flatten();
            let written = kernel.set(name, value).is_ok();
            let stands = setting(name)?.filter(|_| written);
            kernel.set(name, before)?;
            outcome.values += 1;
            if taken != stands {
                outcome.failed += 1;
                show(&format!("{name} = {value}: kernel {stands:?}, model {taken:?}"));
            }
        }
    }
    Ok(outcome)
}
