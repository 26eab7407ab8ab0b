//! The bytes of a bundle, pinned by a committed file.

use std::fs;
use std::path::PathBuf;

use cunlian_crdt::document::Write;
use cunlian_host::keystore::{hex, unhex};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use cunlian_tests::world::place::{Places, put};
use cunlian_tests::world::{VILLAGE, home};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("data/golden/bundle-2-{name}.hex"))
}

fn committed(name: &str) -> Vec<u8> {
    unhex(fs::read_to_string(golden(name)).unwrap().trim()).unwrap()
}

/// A document as the committed bundles have it.
fn written(category: Category, number: u8, text: &str) -> Write {
    let mut document = DocumentId([0; 16]);
    document.0[1] = number;
    put(Home { document, ..home(category, VILLAGE, 0) }, text)
}

/// Shows that bundles, sealed and open, are written and read as they were. They are written anew
/// with `CUNLIAN_WRITE_GOLDEN=1` when there is no file.
#[test]
fn a_bundle_is_pinned() {
    let world = Places::open();
    let ticket = |number| written(Category::TICKET, number, "路灯不亮");
    world.village.save(vec![ticket(0), ticket(1)]);
    world.village.save(vec![written(Category::ALERT, 0, "河水上涨")]);
    let made =
        [("sealed", world.village.bundle_for(&world.town)), ("open", world.village.open_bundle())];
    for ((kind, made), (new, known)) in made.into_iter().zip([(3, 0), (0, 3)]) {
        if !golden(kind).exists() && std::env::var_os("CUNLIAN_WRITE_GOLDEN").is_some() {
            fs::write(golden(kind), hex(&made) + "\n").unwrap();
        }
        assert_eq!(hex(&made), hex(&committed(kind)), "a bundle is written differently");
        let imported = world.town.import(&committed(kind)).unwrap();
        assert_eq!((imported.new, imported.known), (new, known));
    }
}

/// Shows that bundles that 0.1.0 wrote, with the wide certificates that it issued, are read, and
/// those written before certificates named the register of divisions.
#[test]
fn bundles_with_certificates_of_before_are_read() {
    for release in ["0.1.0", "before-register"] {
        let world = Places::open();
        for (kind, (new, known)) in [("sealed", (3, 0)), ("open", (0, 3))] {
            let imported = world.town.import(&committed(&format!("{kind}-{release}"))).unwrap();
            assert_eq!((imported.new, imported.known), (new, known), "{kind}-{release}");
        }
    }
}
