//! What was sent and when, as a capture: what `plimsoll replay` is given of a run through the kernel.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use plimsoll_model::Treatment;

use crate::kernel::Kernel;

/// A capture of raw IP packets (link type 101), nanoseconds, in the making.
#[derive(Debug, Clone)]
pub struct Recording {
    file: Vec<u8>,
    packets: usize,
}

impl Default for Recording {
    fn default() -> Self {
        let mut file = Vec::new();
        for word in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, 262_144, 101] {
            file.extend(word.to_le_bytes());
        }
        Self { file, packets: 0 }
    }
}

/// Nanoseconds since 1970.
pub fn wall_clock() -> io::Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    u64::try_from(since.as_nanos()).map_err(io::Error::other)
}

impl Recording {
    /// Sends a packet through the kernel and notes when the router had seen it.
    pub fn send(
        &mut self,
        kernel: &Kernel,
        packet: &[u8],
        treatment: &Treatment,
    ) -> io::Result<()> {
        kernel.send(packet, treatment)?;
        self.note(wall_clock()?, packet)
    }

    /// Notes a packet.
    pub fn note(&mut self, nanos: u64, packet: &[u8]) -> io::Result<()> {
        let length = u32::try_from(packet.len()).map_err(io::Error::other)?;
        let seconds = u32::try_from(nanos / 1_000_000_000).map_err(io::Error::other)?;
        for word in [seconds, (nanos % 1_000_000_000) as u32, length, length] {
            self.file.extend(word.to_le_bytes());
        }
        self.file.extend_from_slice(packet);
        self.packets += 1;
        Ok(())
    }

    /// Packets so far.
    pub const fn packets(&self) -> usize {
        self.packets
    }

    /// The capture so far.
    pub fn bytes(&self) -> &[u8] {
        &self.file
    }
}
