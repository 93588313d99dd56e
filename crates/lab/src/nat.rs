//! Senders behind the server's source NAT: more of them than the NAT has ports.

use crate::attempt::attempt;
use crate::{CLIENT, Lab, LabError};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where they all send to.
const PORT: u16 = 5_300;

/// A hundred new senders a second. Dropping this ends them.
#[derive(Debug)]
pub(crate) struct Senders {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    // Keeps the port open, so that nobody answers "port unreachable".
    _receiver: UdpSocket,
}

impl Senders {
    pub(crate) fn start(lab: &Lab) -> Result<Self, LabError> {
        let failed = || LabError::system(attempt!("receiving behind the NAT", "在 NAT 之后接收"));
        let receiver = lab.client().run(|| UdpSocket::bind((CLIENT, PORT)))?.map_err(failed())?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let server = lab.server().clone();
        let thread = std::thread::spawn(move || {
            if server.enter().is_err() {
                return;
            }
            // Held for a while, so that each has a port of its own.
            let mut senders = VecDeque::new();
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(sender) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) {
                    // Refused when the NAT finds no port: that is what this stage is about.
                    let _ = sender.send_to(b"lab", (CLIENT, PORT));
                    senders.push_back(sender);
                }
                if senders.len() > 500 {
                    senders.pop_front();
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Ok(Self { stop, thread: Some(thread), _receiver: receiver })
    }
}

impl Drop for Senders {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It returns nothing that could be lost.
            let _ = thread.join();
        }
    }
}
