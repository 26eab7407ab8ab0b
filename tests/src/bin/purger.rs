//! Purges the store of [`cunlian_tests::purging`] in a directory, and is killed meanwhile by a
//! test. Argument: the directory.

use std::error::Error;
use std::path::Path;

use cunlian_crdt::store::Unsent;
use cunlian_tests::purging;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).ok_or("usage: purger DIRECTORY")?;
    purging::open(Path::new(&dir)).purge(&purging::keep(), Unsent::Keep)?;
    Ok(())
}
