//! Every decoder of bytes from outside, given bytes that nobody wrote: no panic, and no input takes
//! more time or memory than a bound. `cargo run -p cunlian-tests --bin fuzz` does it for longer.

use cunlian_tests::fuzz::{Fuzzer, Target};
use cunlian_tests::measured::growth_kib;

/// Inputs of each target; of those that check signatures or need a store fewer.
const INPUTS: usize = 1_500;
const SLOW_INPUTS: usize = 100;

/// Shows that the committed inputs and some thousands made from them end well, in bounded time and
/// memory each, for every target, and that all of them together leave nothing behind.
#[test]
fn no_bytes_do_harm() {
    let test = concat!(module_path!(), "::no_bytes_do_harm");
    let grown = growth_kib(test, || {
        for target in Target::ALL {
            let mut fuzzer = Fuzzer::new(target, 1);
            assert!(fuzzer.replay().unwrap_or_else(|finding| panic!("{finding}")) > 0);
            let is_slow = matches!(target, Target::Payload | Target::Bundle | Target::Hello);
            for _ in 0..if is_slow { SLOW_INPUTS } else { INPUTS } {
                fuzzer.step().unwrap_or_else(|finding| panic!("{finding}"));
            }
        }
    });
    assert!(grown < 128 << 10, "{} MiB", grown >> 10);
}
