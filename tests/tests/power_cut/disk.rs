//! A disk that is a file: an ext4 image, mounted over a loop device.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Room for the largest run, small enough to be copied in an instant.
const IMAGE_BYTES: u64 = 192 << 20;

/// Whether the tests are to be passed over on this machine. Fails when they cannot run and nobody
/// has said that this is known.
pub(crate) fn is_waived() -> bool {
    if std::env::var("CUNLIAN_NO_ROOT").is_ok_and(|value| value == "1") {
        eprintln!("passed over: CUNLIAN_NO_ROOT=1");
        return true;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let is_root = user.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0");
    assert!(
        is_root && Path::new("/dev/loop-control").exists(),
        "mounting a disk image needs root and loop devices (/dev/loop-control)\n\
         hint: run as root, or set CUNLIAN_NO_ROOT=1 to pass over such tests"
    );
    false
}

/// An image that is not mounted.
pub(crate) struct Disk {
    image: PathBuf,
}

/// A mounted image; taken down when dropped, whatever happens to the test.
pub(crate) struct Mounted {
    image: PathBuf,
    path: PathBuf,
}

impl Disk {
    /// A fresh file system in a new image.
    pub(crate) fn format(directory: &Path) -> Self {
        let image = directory.join("fresh.ext4");
        let file = File::create(&image).expect("an image file");
        file.set_len(IMAGE_BYTES).expect("a sparse file");
        run(Command::new("mkfs.ext4").arg("-q").arg("-F").arg(&image));
        Self { image }
    }

    /// Mounts the image, which replays its journal as after a power cut.
    pub(crate) fn mount(&self) -> Mounted {
        let path = self.image.with_extension("mounted");
        fs::create_dir_all(&path).expect("a mount point");
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(&self.image).arg(&path));
        Mounted { image: self.image.clone(), path }
    }
}

impl Mounted {
    /// Where the file system is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Copies the image as it is, without syncing anything first.
    ///
    /// The kernel may write back in the middle of the copy, which would mix two moments. The image
    /// is therefore read once more, and copied again when it has moved.
    pub(crate) fn copy_at_rest(&self, name: &str) -> Disk {
        let image = self.image.with_file_name(name);
        loop {
            fs::copy(&self.image, &image).expect("a copy of the image");
            if digest(&self.image) == digest(&image) {
                return Disk { image };
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // `mount -o loop` frees the loop device together with the mount.
        let unmounted = Command::new("umount").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
        }
    }
}

fn digest(path: &Path) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path).expect("an image")).expect("a readable image");
    hasher.finalize()
}

fn run(command: &mut Command) {
    // Debian keeps the tools of file systems where an ordinary PATH does not reach.
    let path = std::env::var("PATH").unwrap_or_default();
    let output = command.env("PATH", format!("{path}:/usr/sbin:/sbin")).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
}
