//! What a street of telephones can do to the pages of one village, with the real program: memory
//! and time stay within bounds, and who floods pays for it alone.
//!
//! Each telephone has a loopback address of its own, so that bounds by network are met as they are.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cunlian_node::demo::fleet::{Fleet, PASSWORD};
use cunlian_tests::federation::{VILLAGE, fleet, lay_out, well};
use cunlian_tests::traces::peak_kib;
use cunlian_tests::visitor::Visitor;
use tempfile::{TempDir, tempdir};

#[path = "floods/connections.rs"]
mod connections;
#[path = "floods/guesses.rs"]
mod guesses;
#[path = "floods/pictures.rs"]
mod pictures;
#[path = "floods/strangers.rs"]
mod strangers;

/// What a village machine with little memory has room for.
const MEMORY_KIB: u64 = 300 << 10;
/// How long people are made to wait at most.
const PATIENCE: Duration = Duration::from_secs(2);
/// Last number of the address of who floods; others of the street follow.
const FLOOD: u8 = 9;
const PHOTO: &[u8] = include_bytes!("browser/photo.jpg");

/// A village terminal that runs by itself.
struct Village {
    fleet: Fleet,
    http: SocketAddr,
    _dir: TempDir,
}

impl Village {
    fn start() -> Self {
        Self::configured("")
    }

    /// With lines at the beginning of its configuration.
    fn configured(lines: &str) -> Self {
        let dir = tempdir().unwrap();
        let layout = lay_out(dir.path(), &[VILLAGE]);
        let file = layout.nodes[0].dir.join("cunlian.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{lines}\n{text}")).unwrap();
        let mut fleet = fleet(layout);
        well(fleet.start(0));
        let http = fleet.layout().nodes[0].http;
        Self { fleet, http, _dir: dir }
    }

    fn visitor(&self, last: u8) -> Visitor {
        Visitor::at(last, self.http)
    }

    /// The most memory it has had is within bounds.
    fn assert_memory(&self) {
        let kib = peak_kib(self.fleet.pid(0).unwrap());
        assert!(kib < MEMORY_KIB, "{} MiB", kib >> 10);
    }

    /// Somebody at an address opens the form and sends it with a photo, without waiting.
    async fn serves(&self, last: u8) {
        let began = Instant::now();
        let answer = self.visitor(last).report(VILLAGE, "村东头路灯坏了", Some(PHOTO)).await;
        let took = began.elapsed();
        assert_eq!(answer.status, 303, "127.0.0.{last}: {}", answer.text());
        assert!(answer.header("location").starts_with("/t/"), "{}", answer.head);
        assert!(took < PATIENCE, "127.0.0.{last} waited {} ms", took.as_millis());
    }
}
