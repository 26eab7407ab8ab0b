//! A county, a town and a village whose nodes do not run, and somebody at the command line.

use std::path::{Path, PathBuf};

use cunlian_crdt::store::OpenError;
use cunlian_governance::access::acting::Acting;
use cunlian_governance::access::reader::Reader;
use cunlian_governance::divisions::import;
use cunlian_host::admin::Administration;
use cunlian_host::clock::now_ms;
use cunlian_host::opening::{OpeningError, node_author};
use cunlian_protocol::id::Serial;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE, lay_out};
use cunlian_tests::program::{Ran, run, wait_for};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

/// Names and codes of the places, as the register has them.
const REGISTER: &str = "code,level,name,parent
370322,county,高青县,
370322102,town,高城镇,370322
370322102310,village,苑兴村,370322102
370322103,town,黑里寨镇,370322
";

/// The three data directories.
pub(crate) struct Desk {
    directories: [PathBuf; 3],
    _dir: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let dir = tempdir().unwrap();
        let layout = lay_out(dir.path(), &[COUNTY, TOWN, VILLAGE]);
        let at = |code: &str| layout.find(code).unwrap().dir.clone();
        let directories = [at(COUNTY), at(TOWN), at(VILLAGE)];
        let desk = Self { directories, _dir: dir };
        // As after a first session: everybody's certificates are known above.
        let chain = desk.open(VILLAGE).identity.chain.clone();
        for code in [COUNTY, TOWN] {
            let refused = desk.open(code).store.add_certificates(&chain).unwrap();
            assert_eq!(refused, Vec::<String>::new());
        }
        desk
    }

    /// The data directory of a node.
    pub(crate) fn dir(&self, code: &str) -> &Path {
        let index = [COUNTY, TOWN, VILLAGE].iter().position(|known| *known == code).unwrap();
        &self.directories[index]
    }

    /// The store of a node, until it is dropped. A command that another test starts holds the files
    /// of this process, and so the lock of a store that was closed, until it is another program.
    pub(crate) fn open(&self, code: &str) -> Administration {
        let mut opened = None;
        wait_for("the store of before to be let go", || {
            let in_use = |error: &_| matches!(error, OpeningError::Store(OpenError::InUse { .. }));
            match Administration::open(self.dir(code)) {
                Err(error) if in_use(&error) => false,
                outcome => {
                    opened = Some(outcome.unwrap());
                    true
                }
            }
        });
        opened.unwrap()
    }

    /// Gives a node the names of places, as the county has published them.
    pub(crate) fn import(&self, code: &str) {
        let author = node_author(&self.open(COUNTY).identity);
        let at = self.open(code);
        let reader = Reader::everything();
        let acting = Acting {
            store: &at.store,
            author: &author,
            reader: &reader,
            source: "list",
            now_ms: now_ms(),
        };
        let report = import(&acting, REGISTER.as_bytes(), |_| ()).unwrap();
        assert_eq!(report.inserted, 4, "{report:?}");
    }

    /// Runs `cunlian cert` at a node.
    pub(crate) fn cert(&self, code: &str, arguments: &[&str]) -> Ran {
        self.command(code, &[&["cert"], arguments].concat())
    }

    /// The JSON object that `cunlian cert` prints, and its exit code.
    pub(crate) fn json(&self, code: &str, arguments: &[&str]) -> (Value, Option<i32>) {
        let ran = self.cert(code, &[arguments, &["--json"]].concat());
        (serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}")), ran.code)
    }

    /// What `cunlian cert` prints when it succeeds.
    pub(crate) fn text(&self, code: &str, arguments: &[&str]) -> String {
        let ran = self.cert(code, arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    }

    /// Revokes a node at the one above it, and tells a third about it.
    pub(crate) fn revoke(&self, issuer: &str, revoked: Serial, told: &str) {
        let identity = self.open(issuer).identity;
        let revocation = RevocationBody {
            own: Standing { serial: revoked, through_seq: 7, tags: Vec::new() },
            successor: None,
            descendants: Vec::new(),
            reason: "stolen".to_owned(),
            issuer: Some(identity.certificate.serial()),
        };
        let bytes = revocation.sign(&identity.key);
        let refused = self.open(told).store.add_revocations(&[bytes]).unwrap();
        assert_eq!(refused, Vec::<String>::new());
    }

    fn command(&self, code: &str, arguments: &[&str]) -> Ran {
        let dir = self.dir(code).to_str().unwrap();
        run(arguments.iter().copied().chain(["--data-dir", dir]), "")
    }
}
