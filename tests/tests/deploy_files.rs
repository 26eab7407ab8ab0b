//! Shows that what `deploy/` offers to be copied is understood by the program: the example
//! configuration is read by the very code that a node reads its own with.

use std::fs;
use std::path::Path;

use cunlian_host::config::{Config, FILE};

#[test]
fn the_example_configuration_is_read_whole() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config.example.toml");
    let directory = tempfile::tempdir().expect("a directory");
    fs::copy(example, directory.path().join(FILE)).expect("a copy of the example");
    let config = Config::load(directory.path()).expect("a valid configuration");
    let parent = config.peers.first().expect("a parent");
    assert_eq!(parent.address.port(), config.listen.port());
    assert_eq!(config.public_url(), format!("http://{}", config.http));
}
