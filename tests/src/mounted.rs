//! A small disk in memory that can be filled, for tests that run as root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether the tests that mount file systems are to be passed over on this machine.
///
/// # Panics
/// When they cannot run and nobody has said that this is known.
pub fn is_waived() -> bool {
    if std::env::var("CUNLIAN_NO_ROOT").is_ok_and(|value| value == "1") {
        eprintln!("passed over: CUNLIAN_NO_ROOT=1");
        return true;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    assert!(
        user.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0"),
        "mounting a small disk needs root\n\
         hint: run as root, or set CUNLIAN_NO_ROOT=1 to pass over such tests"
    );
    false
}

/// A mounted tmpfs; taken down when dropped, whatever happens to the test.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts a file system of `mebibytes` over the directory `path`, which is made.
    ///
    /// # Panics
    /// When mounting does not work.
    pub fn mount(path: &Path, mebibytes: u32) -> Self {
        fs::create_dir_all(path).expect("a mount point");
        let size = format!("size={mebibytes}m,mode=0700");
        let output = mount("mount")
            .args(["-t", "tmpfs", "-o", &size, "cunlian-tests"])
            .arg(path)
            .output()
            .expect("mount is installed");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mounting failed: {errors}");
        Self { path: path.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = mount("umount").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            // A process still has it open; it goes when that process does.
            let _ = mount("umount").arg("--lazy").arg(&self.path).status();
        }
    }
}

/// Debian keeps the tools of file systems where an ordinary `PATH` does not reach.
fn mount(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}
