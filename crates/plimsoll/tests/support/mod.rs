//! Driving the binary and making namespaces, for the end-to-end tests.
#![allow(dead_code)]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_plimsoll");

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

/// One of the schemas in docs/formats.
pub fn schema(name: &str) -> Value {
    let path = repository(&format!("docs/formats/{name}.schema.json"));
    let text = std::fs::read_to_string(path).expect("the schema reads");
    serde_json::from_str(&text).expect("the schema is JSON")
}

/// Where a document is not what its schema publishes.
pub fn schema_errors(schema: &Value, document: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).expect("a schema");
    validator.iter_errors(document).map(|e| format!("{}: {e}", e.instance_path)).collect()
}

/// What a program printed.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until something holds, and fails with its name if it never does. A busy machine takes its time.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(120), "never seen: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs `plimsoll` with these arguments.
pub fn plimsoll(arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("LANG")
        .env_remove("LC_ALL")
        .output()
        .expect("the binary starts")
}

/// `check --json` with more arguments, parsed; the exit status beside it.
pub fn check(arguments: &[&str]) -> (Value, i32) {
    let mut all = vec!["check", "--json"];
    all.extend(arguments);
    let out = plimsoll(&all);
    let text = String::from_utf8(out.stdout).expect("JSON is UTF-8");
    let value = serde_json::from_str(&text).unwrap_or_else(|e| {
        panic!("check {arguments:?}: {e}\n{text}\n{}", self::text(&out.stderr))
    });
    (value, out.status.code().unwrap_or(-1))
}

/// Ids of the findings in a check, in order.
pub fn ids(check: &Value) -> Vec<String> {
    check["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .map(|f| f["id"].as_str().expect("id").to_owned())
        .collect()
}

/// Ids of the findings about one namespace (by its index), in order.
pub fn ids_of(check: &Value, namespace: &str) -> Vec<String> {
    check["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|f| f["namespace"].as_str().is_some_and(|n| n.contains(namespace)))
        .map(|f| f["id"].as_str().expect("id").to_owned())
        .collect()
}

/// Says why this test, after which its thread is called, does not run here.
pub fn skipped(why: &str) {
    let test = std::thread::current();
    eprintln!("{}: skipped, {why}", test.name().unwrap_or("a test"));
}

/// Whether the tests run as root; says so when not.
pub fn root() -> bool {
    let root = run("id", &["-u"]).trim() == "0";
    if !root {
        skipped("needs root to make network namespaces");
    }
    root
}

/// What a command prints; its failure fails the test.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(out.status.success(), "{program} {arguments:?}: {}", text(&out.stderr));
    text(&out.stdout)
}

/// A process that ends with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One kernel, one table limit: staged incidents take turns, over all test binaries too.
pub fn turn() -> Turn {
    static TURN: Mutex<()> = Mutex::new(());
    let guard = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let file = std::fs::File::create(std::env::temp_dir().join("plimsoll-tests.lock"))
        .expect("the lock file opens");
    file.lock().expect("the lock is had");
    Turn { _guard: guard, _file: file }
}

/// Held while a test stages an incident.
pub struct Turn {
    _guard: MutexGuard<'static, ()>,
    _file: std::fs::File,
}

/// A name of this process that no other call gets.
pub fn unique(word: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("plimsoll-{word}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs what follows as a user without any right.
pub const NOBODY: &str = "setpriv --reuid=65534 --regid=65534 --clear-groups";

/// A copy of the binary that everybody may run, wherever the build directory lies.
pub struct Copy(PathBuf);

impl Copy {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(unique(name));
        // By a process of its own: what another test starts meanwhile would hold ours open for writing, and such a file
        // can't be run.
        run("cp", &[BINARY, path.to_str().expect("UTF-8")]);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
            .expect("made executable");
        Self(path)
    }

    /// Runs a command line in which `{}` stands for the binary.
    pub fn shell(&self, line: &str) -> Output {
        let line = line.replace("{}", self.0.to_str().expect("UTF-8"));
        Command::new("sh").args(["-c", &line]).output().expect("sh starts")
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A network namespace, deleted when dropped.
pub struct Netns(pub String);

impl Netns {
    /// Makes one with loopback up.
    pub fn new(name: &str) -> Self {
        let name = format!("plimsoll-test-{}-{name}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let made = Self(name);
        made.run("ip", &["link", "set", "lo", "up"]);
        made
    }

    /// Runs a command inside. `ip netns exec` would also mount /sys anew, and wait for the kernel to take it away.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let door = format!("--net=/run/netns/{}", self.0);
        let mut all = vec![door.as_str(), program];
        all.extend(arguments);
        run("nsenter", &all)
    }

    /// Sends `count` UDP datagrams to ports from `first` on of an address inside.
    pub fn send_udp(&self, address: &str, first: u16, count: u16) {
        let script = format!(
            "import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n\
             for p in range({first},{first}+{count}):\n  s.sendto(b'x',('{address}',p))\n"
        );
        self.run("python3", &["-c", &script]);
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}
