//! The bytes of a bundle, pinned by a committed file.

use std::fs;
use std::path::PathBuf;

use cunlian_node::keystore::{hex, unhex};
use cunlian_protocol::category::Category;

use super::world::{VILLAGE, World};

/// Shows that bundles, sealed and open, are written and read as they were. They are written anew
/// with `CUNLIAN_WRITE_GOLDEN=1` when there is no file.
#[test]
fn a_bundle_is_pinned() {
    let world = World::new();
    world.village.write(Category::TICKET, VILLAGE, 0..2, "路灯不亮");
    world.village.write(Category::ALERT, VILLAGE, 0..1, "河水上涨");
    let made =
        [("sealed", world.village.bundle_for(&world.town)), ("open", world.village.open_bundle())];
    for ((kind, made), (new, known)) in made.into_iter().zip([(3, 0), (0, 3)]) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let path = path.join(format!("data/golden/bundle-2-{kind}.hex"));
        if !path.exists() && std::env::var_os("CUNLIAN_WRITE_GOLDEN").is_some() {
            fs::write(&path, hex(&made) + "\n").unwrap();
        }
        let committed = unhex(fs::read_to_string(&path).unwrap().trim()).unwrap();
        assert_eq!(hex(&made), hex(&committed), "a bundle is written differently than it was");
        let imported = world.town.import(&committed).unwrap();
        assert_eq!((imported.new, imported.known), (new, known));
    }
}
