//! Gives bytes that nobody wrote to every decoder, for as long as somebody likes.
//!
//! `fuzz [--target NAME] [--seconds N] [--seed N]`: each target, or one, for so many seconds. An input
//! that ends in a panic, or takes too much time or memory, is printed as it belongs into
//! `tests/data/corpus/NAME/`, and the exit code is 1.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use cunlian_tests::fuzz::{Fuzzer, Target};

struct Arguments {
    targets: Vec<Target>,
    time: Duration,
    seed: u64,
}

fn main() -> ExitCode {
    let Some(Arguments { targets, time, seed }) = arguments() else {
        eprintln!("usage: fuzz [--target NAME] [--seconds N] [--seed N]");
        return ExitCode::from(2);
    };
    for target in targets {
        let mut fuzzer = Fuzzer::new(target, seed);
        let (started, mut inputs) = (Instant::now(), 0_u64);
        let mut outcome = fuzzer.replay().map(|_| ());
        while outcome.is_ok() && started.elapsed() < time {
            outcome = fuzzer.step();
            inputs += 1;
        }
        if let Err(finding) = outcome {
            println!("{finding}");
            return ExitCode::FAILURE;
        }
        println!("{}: {inputs} inputs", target.name());
    }
    ExitCode::SUCCESS
}

fn arguments() -> Option<Arguments> {
    let mut found =
        Arguments { targets: Target::ALL.to_vec(), time: Duration::from_mins(1), seed: 1 };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--target" => found.targets.retain(|target| target.name() == value),
            "--seconds" => found.time = Duration::from_secs(value.parse().ok()?),
            "--seed" => found.seed = value.parse().ok()?,
            _ => return None,
        }
    }
    (!found.targets.is_empty()).then_some(found)
}
