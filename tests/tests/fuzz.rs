//! Every decoder of bytes from outside, given bytes that nobody wrote: no panic, and no input takes
//! more time or memory than a bound. `cargo run -p cunlian-tests --bin fuzz` does it for longer.

use std::time::{Duration, Instant};

use cunlian_tests::fuzz::{Fuzzer, Target};
use cunlian_tests::measured::growth_kib;

/// How long each target is given inputs, and how many at least.
const TIME: Duration = Duration::from_secs(1);
const INPUTS: usize = 20;

/// Shows that the committed inputs and those made from them in a second end well, in bounded time and
/// memory each, for every target, and that all of them together leave nothing behind.
#[test]
fn no_bytes_do_harm() {
    let test = concat!(module_path!(), "::no_bytes_do_harm");
    let grown = growth_kib(test, || {
        for target in Target::ALL {
            let mut fuzzer = Fuzzer::new(target, 1);
            assert!(fuzzer.replay().unwrap_or_else(|finding| panic!("{finding}")) > 0);
            let (started, mut inputs) = (Instant::now(), 0);
            while inputs < INPUTS || started.elapsed() < TIME {
                fuzzer.step().unwrap_or_else(|finding| panic!("{finding}"));
                inputs += 1;
            }
        }
    });
    assert!(grown < 128 << 10, "{} MiB", grown >> 10);
}
