//! What users feel: visitors who come to the web server all the time, and whether they are served.

use crate::address::{SERVICE_PORT, WEB};
use crate::attempt::attempt;
use crate::fill::{endpoint, listener, tcp};
use crate::{Lab, LabError};
use nix::errno::Errno;
use nix::sys::socket::{SockFlag, connect};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A visitor who has no page after this time goes away. A lost SYN is sent again only after a second.
const PATIENCE: Duration = Duration::from_millis(900);

const PAGE: &[u8] = b"HTTP/1.0 200 OK\r\n\r\nhello\n";

/// Counts of visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Visits {
    /// Visitors who got the page.
    pub served: u64,
    /// Visitors who waited in vain.
    pub lost: u64,
}

impl Visits {
    /// Visits since an earlier count.
    pub fn since(self, before: Self) -> Self {
        Self {
            served: self.served.saturating_sub(before.served),
            lost: self.lost.saturating_sub(before.lost),
        }
    }
}

/// Visitors who keep coming. Dropping this sends them home.
#[derive(Debug)]
pub struct Visitors {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Result<(), LabError>>>,
}

impl Lab {
    /// Opens the web server and sends it `per_second` visitors until the returned handle is dropped.
    pub fn keep_visiting(&self, per_second: u32) -> Result<Visitors, LabError> {
        self.visit(per_second, Service::Prompt)
    }

    pub(crate) fn visit(&self, per_second: u32, service: Service) -> Result<Visitors, LabError> {
        let backlog = match service {
            Service::Prompt => 1024,
            Service::Deaf => 1,
        };
        let web = self.server().run(|| listener(WEB, backlog))??;
        web.set_nonblocking(true)
            .map_err(LabError::system(attempt!("preparing the web server", "准备网站服务器")))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (served, lost) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let ended = Arc::clone(&stop);
        let server = std::thread::spawn(move || serve(&web, service, &ended));
        let crowd = Crowd {
            every: Duration::from_secs(1) / per_second.max(1),
            stop: Arc::clone(&stop),
            served: Arc::clone(&served),
            lost: Arc::clone(&lost),
        };
        let client = self.client().clone();
        let visitors = std::thread::spawn(move || client.enter().and_then(|()| crowd.run()));
        Ok(Visitors { stop, served, lost, threads: vec![server, visitors] })
    }
}

impl Visitors {
    /// How visits went so far.
    pub fn visits(&self) -> Visits {
        Visits {
            served: self.served.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Visitors {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if let Ok(Err(error)) = thread.join() {
                error.tell();
            }
        }
    }
}

/// What the web server does with those who come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// Everybody gets the page at once.
    Prompt,
    /// Nobody is even let in.
    Deaf,
}

fn serve(web: &TcpListener, service: Service, stop: &AtomicBool) -> Result<(), LabError> {
    while !stop.load(Ordering::Relaxed) {
        if service == Service::Deaf {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        match web.accept() {
            Ok((mut stream, _)) => {
                // A visitor who went away meanwhile is the visitor's business.
                let _ = stream.write_all(PAGE);
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => {}
            Err(e) => {
                return Err(LabError::system(attempt!("accepting a visitor", "接待访客"))(e));
            }
        }
    }
    Ok(())
}

struct Crowd {
    every: Duration,
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
}

impl Crowd {
    fn run(&self) -> Result<(), LabError> {
        let mut waiting: VecDeque<(TcpStream, Instant)> = VecDeque::new();
        let mut next = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            while Instant::now() >= next {
                waiting.push_back((knock()?, Instant::now()));
                next += self.every;
            }
            waiting.retain_mut(|(stream, since)| {
                let mut page = [0; PAGE.len()];
                let verdict = match stream.read(&mut page) {
                    Ok(length) if length > 0 => Some(&self.served),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {
                        (since.elapsed() > PATIENCE).then_some(&self.lost)
                    }
                    Ok(_) | Err(_) => Some(&self.lost),
                };
                if let Some(counter) = verdict {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
                verdict.is_none()
            });
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

/// A visitor at the door: the connection is under way.
fn knock() -> Result<TcpStream, LabError> {
    let socket = tcp(SockFlag::SOCK_NONBLOCK)?;
    match connect(socket.as_raw_fd(), &endpoint(WEB, SERVICE_PORT)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(socket)),
        Err(errno) => Err(LabError::errno(attempt!("visiting the web server", "访问网站服务器"))(
            errno,
        )),
    }
}
