//! The process whose power is cut.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running writer; killed when dropped.
pub(crate) struct Writer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    last: u32,
}

impl Writer {
    /// Starts the writer in a mode of its own on a file or directory.
    pub(crate) fn start(mode: &str, path: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_power_cut_writer"))
            .arg(mode)
            .arg(path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the writer starts");
        let output = child.stdout.take().expect("its output is piped");
        Self { child, lines: BufReader::new(output).lines(), last: 0 }
    }

    /// Waits until so many writes have been acknowledged.
    pub(crate) fn wait_for_writes(&mut self, count: u32) {
        for _ in 0..count {
            assert!(self.hear(), "the writer ended by itself");
        }
    }

    /// Freezes the writer between two instructions, and returns when no thread of it runs.
    pub(crate) fn stop(&self) {
        let signal = format!("kill -STOP {}", self.child.id());
        let status = Command::new("sh").args(["-c", signal.as_str()]).status().expect("a shell");
        assert!(status.success(), "{signal} failed");
        while !self.is_stopped() {
            std::thread::yield_now();
        }
    }

    /// Kills the frozen writer, and gives the number of the last write it has ever acknowledged:
    /// what it said before it froze may still have been on the way.
    pub(crate) fn kill_and_hear(mut self) -> u32 {
        self.child.kill().expect("the writer can be killed");
        while self.hear() {}
        self.last
    }

    fn hear(&mut self) -> bool {
        let Some(line) = self.lines.next() else { return false };
        self.last = line.expect("a line").parse().expect("the number of a write");
        true
    }

    /// Whether all threads are stopped. A thread inside `fsync` finishes that first.
    fn is_stopped(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("its threads");
        tasks.into_iter().all(|task| {
            let path = task.expect("a thread").path().join("stat");
            let text = fs::read_to_string(path).expect("its state");
            // The state follows the name, which is in brackets and may hold anything.
            text.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
