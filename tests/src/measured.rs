//! How much memory a piece of a test takes, in a process of its own: other tests of the same binary
//! run beside it.

use std::process::Command;

use crate::traces::peak_kib;

const CHILD: &str = "CUNLIAN_MEASURED";
const SAYS: &str = "memory grew by KiB: ";

/// Runs `work` in a process of its own and gives by how many KiB its memory grew at the most. `test`
/// is the calling test, as `concat!(module_path!(), "::name")`; it is run again in that process, and
/// must do nothing before this call that it should not do twice.
///
/// # Panics
/// When the process fails.
pub fn growth_kib(test: &str, work: impl FnOnce()) -> u64 {
    if std::env::var_os(CHILD).is_some_and(|name| name == test) {
        let pid = std::process::id();
        let before = peak_kib(pid);
        work();
        println!("\n{SAYS}{}", peak_kib(pid).saturating_sub(before));
        std::process::exit(0);
    }
    let binary = std::env::current_exe().expect("a test knows its binary");
    let (_, name) = test.split_once("::").expect("a path begins with its crate");
    let output = Command::new(binary)
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, test)
        .output()
        .expect("a test can be run again");
    let said = String::from_utf8_lossy(&output.stdout);
    let grown = said.lines().find_map(|line| line.strip_prefix(SAYS)?.parse().ok());
    grown.unwrap_or_else(|| {
        panic!("{test}: {}\n{said}\n{}", output.status, String::from_utf8_lossy(&output.stderr))
    })
}
