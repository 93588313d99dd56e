//! A remedy killed at every one of its steps: the host ends in the old or the new state.
//!
//! A step is before and after each write to the journal and each change of the system.

use crate::support::{text, until};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

/// More steps than any remedy has; each sweep ends where a run comes through.
pub const MOST: u32 = 200;
const KILLED: i32 = 9;

/// What a remedy is carried out on.
pub trait Stage {
    /// The program, told where this stage's transactions are kept.
    fn command(&self, arguments: &[&str]) -> Command;
    /// All that the remedy may change, byte for byte.
    fn everything(&self) -> String;
    /// Where transactions are kept.
    fn state(&self) -> &Path;
}

/// Waits until no guard is at its post; there may never have been one.
pub fn guard_gone(stage: &impl Stage) {
    let held = |path: &Path| File::open(path).is_ok_and(|post| post.try_lock_shared().is_err());
    until("the guard's end", || {
        let files = std::fs::read_dir(stage.state()).into_iter().flatten().flatten();
        let mut posts =
            files.map(|f| f.path()).filter(|p| p.extension().is_some_and(|e| e == "guard"));
        !posts.any(|post| held(&post))
    });
}

/// Every sweep there is: of the remedy, with its guard and without; of the guard; of what takes it back.
pub fn swept(stage: &impl Stage, remedy: &[&str]) {
    let sweep = Sweep { stage, remedy, old: stage.everything() };
    sweep.without_guard();
    let last = sweep.with_guard();
    sweep.guard_too(last);
    sweep.undo();
}

struct Sweep<'a, S> {
    stage: &'a S,
    remedy: &'a [&'a str],
    old: String,
}

impl<S: Stage> Sweep<'_, S> {
    fn run(&self, arguments: &[&str], fault: &[(&str, String)]) -> Output {
        let mut command = self.stage.command(arguments);
        command.envs(fault.iter().cloned()).output().expect("it starts")
    }

    /// Forgets what was: each step has the history to itself.
    fn begin(&self) {
        guard_gone(self.stage);
        let _ = std::fs::remove_dir_all(self.stage.state());
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let out = self.run(arguments, &[]);
        assert!(out.status.success(), "{arguments:?}: {}", text(&out.stderr));
        text(&out.stdout)
    }

    /// Where the latest transaction stands.
    fn latest(&self) -> String {
        let list = self.ok(&["fix", "--list"]);
        list.lines().rfind(|l| !l.starts_with("      ")).unwrap_or_default().to_owned()
    }

    /// Runs the remedy with a fault. Whether it was killed; anything else but success fails the test.
    fn dies(&self, arguments: &[&str], fault: &[(&str, String)]) -> bool {
        let out = self.run(arguments, fault);
        let died = out.status.signal() == Some(KILLED) || out.status.code() == Some(128 + KILLED);
        assert!(
            died || out.status.success(),
            "{arguments:?} {fault:?}: {}{}",
            text(&out.stdout),
            text(&out.stderr)
        );
        died
    }

    /// The end of a sweep: it came through, and is taken back.
    fn through(&self, step: u32) {
        assert_ne!(self.stage.everything(), self.old, "{:?} changes something", self.remedy);
        self.back("it came through");
        assert!(step > 8, "{:?}: the faults are reached: {step}", self.remedy);
    }

    fn back(&self, when: &str) {
        self.ok(&["undo"]);
        assert_eq!(self.stage.everything(), self.old, "{:?} {when}: undo", self.remedy);
    }

    /// It stands whole, and is taken back, or nothing of it is there. Whether it stands.
    fn whole_or_not_at_all(&self, new: &mut Option<String>, when: &str) -> bool {
        let (now, latest) = (self.stage.everything(), self.latest());
        if now == self.old {
            let ended = !latest.ends_with("stands") && !latest.ends_with("interrupted");
            assert!(ended, "{:?} {when}: {latest}", self.remedy);
            return false;
        }
        let new = new.get_or_insert_with(|| now.clone());
        assert_eq!(now, *new, "{:?} {when}: neither the old state nor the new", self.remedy);
        assert!(latest.ends_with("stands"), "{:?} {when}: {latest}", self.remedy);
        self.back(when);
        true
    }

    /// Nobody is left, so the next call has to do it.
    fn without_guard(&self) {
        let mut new = None;
        for step in 1..MOST {
            self.begin();
            let fault = [("PLIMSOLL_FAULT", format!("{step}:guard"))];
            if !self.dies(self.remedy, &fault) {
                return self.through(step);
            }
            // Nothing to confirm, so it fails; on the way it puts in order what was left.
            self.run(&["confirm"], &[]);
            self.whole_or_not_at_all(&mut new, &format!("killed with its guard at {step}"));
        }
        panic!("{:?}: more than {MOST} steps", self.remedy);
    }

    /// The guard lives, and nobody calls. Returns the last step at which the guard had to take it back.
    fn with_guard(&self) -> u32 {
        let (mut new, mut last) = (None, 0);
        for step in 1..MOST {
            self.begin();
            if !self.dies(self.remedy, &[("PLIMSOLL_FAULT", step.to_string())]) {
                self.through(step);
                return last;
            }
            guard_gone(self.stage);
            // Killed before there was a guard, it has left a journal and what it laid ready, and changed nothing.
            if self.latest().ends_with("interrupted") {
                self.run(&["confirm"], &[]);
                assert_eq!(self.stage.everything(), self.old, "{:?} {step}", self.remedy);
            }
            if !self.whole_or_not_at_all(&mut new, &format!("killed at {step}")) {
                last = step;
            }
        }
        panic!("{:?}: more than {MOST} steps", self.remedy);
    }

    /// The remedy killed when all of it is there but the last word, and the guard at each step of taking it back.
    fn guard_too(&self, last: u32) {
        for step in 1..MOST {
            self.begin();
            let fault =
                [("PLIMSOLL_FAULT", last.to_string()), ("PLIMSOLL_GUARD_FAULT", step.to_string())];
            assert!(self.dies(self.remedy, &fault), "{:?}: as before", self.remedy);
            guard_gone(self.stage);
            let finished = self.latest().contains("  taken back (");
            self.run(&["confirm"], &[]);
            assert_eq!(self.stage.everything(), self.old, "{:?}, guard {step}", self.remedy);
            if finished {
                assert!(step > 5, "{:?}: the faults are reached: {step}", self.remedy);
                return;
            }
        }
        panic!("{:?}: more than {MOST} steps", self.remedy);
    }

    /// `undo` killed at each of its steps: the next call finishes it.
    fn undo(&self) {
        for step in 1..MOST {
            self.begin();
            self.ok(self.remedy);
            let new = self.stage.everything();
            let fault = [("PLIMSOLL_FAULT", step.to_string())];
            if !self.dies(&["undo"], &fault) {
                assert_eq!(self.stage.everything(), self.old);
                assert!(step > 5, "{:?}: the faults are reached: {step}", self.remedy);
                return;
            }
            self.run(&["confirm"], &[]);
            if self.stage.everything() == new {
                // Killed before it had written that it begins.
                self.ok(&["undo"]);
            }
            assert_eq!(self.stage.everything(), self.old, "{:?}, undo {step}", self.remedy);
        }
        panic!("{:?}: more than {MOST} steps", self.remedy);
    }
}

/// A window that is still open: `undo` or `confirm` killed at each step, while the guard is at its post.
pub fn swept_in_the_window(stage: &impl Stage, remedy: &[&str]) {
    let sweep = Sweep { stage, remedy, old: stage.everything() };
    let remedy = [remedy, &["--confirm", "1h"]].concat();
    for call in ["undo", "confirm"] {
        for step in 1.. {
            sweep.begin();
            sweep.ok(&remedy);
            let new = sweep.stage.everything();
            let through = !sweep.dies(&[call], &[("PLIMSOLL_FAULT", step.to_string())]);
            let waits = || sweep.latest().contains("waits for `plimsoll confirm`");
            if call == "undo" {
                // Not begun, or finished by the guard.
                until("the guard", || waits() || sweep.stage.everything() == sweep.old);
            } else {
                assert_eq!(sweep.stage.everything(), new, "{remedy:?}, confirm {step}");
            }
            if waits() || sweep.latest().ends_with("stands") {
                sweep.ok(&["undo"]);
            }
            assert_eq!(sweep.stage.everything(), sweep.old, "{remedy:?}, {call} {step}");
            if through {
                assert!(step > 2, "{remedy:?}: the faults are reached: {step}");
                break;
            }
        }
    }
}

/// Process id of the guard that a journal names.
pub fn guard_of(journal: &Path) -> String {
    let text = std::fs::read_to_string(journal).expect("a journal");
    let pid = text.split("\"pid\":").nth(1).and_then(|t| t.split('}').next());
    pid.expect("a guard").to_owned()
}
