//! Somebody on the line between a village and its town.

use cunlian_host::config::Config;
use cunlian_tests::federation::well;
use cunlian_tests::relay::Relay;
use cunlian_tests::traces::contains;

use super::stage::{CLOSED, Figures, OPEN, Stage, assert_all_of, canaries};

/// Shows that on a line where everything is written down, every seventh datagram altered and every
/// fifth sent twice, a village comes in step with its town nevertheless; that none of its
/// data, nor its name, was readable on the line; and that neither side took anything altered for
/// a fault of the other.
#[test]
fn what_passes_is_unreadable_and_what_is_altered_is_dropped() {
    let mut stage = Stage::set();
    let relay = Relay::to(stage.town().listen);
    let village = stage.own().clone();
    let mut config = Config::load(&village.dir).unwrap();
    config.peers[0].address = relay.address().into();
    config.save(&village.dir).unwrap();
    well(stage.fleet.start_all());
    stage.settle();
    let all = [OPEN.as_slice(), &CLOSED].concat();
    assert_all_of(&canaries(&village, &all), &stage.town().dir);
    let passed = relay.passed();
    assert!(passed.altered > 3 && passed.repeated > 3, "{passed:?}");
    for text in canaries(&village, &all).iter().chain([&village.name]) {
        assert!(!contains(&passed.bytes, text.as_bytes()), "{text} was readable");
    }
    for node in [stage.town(), &village] {
        let figures = Figures::of(node);
        let ended = |by: &str| {
            let codes = ["malformed", "signature", "unexpected", "too_large"];
            let name = |c| format!("cunlian_sessions_ended_total{{code=\"{c}\",by=\"{by}\"}}");
            codes.iter().map(|code| figures.get(&name(code))).sum::<u64>()
        };
        assert_eq!((ended("node"), ended("peer")), (0, 0), "{}", node.name);
        assert_eq!(figures.sum("cunlian_changes_refused_total"), 0, "{}", node.name);
    }
}
