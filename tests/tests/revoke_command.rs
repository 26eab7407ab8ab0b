//! `cunlian revoke`, `review` and `erase` as a person types them, on stores of nodes that do not
//! run.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};

use cunlian_crdt::document::{Author, Edit, Write};
use cunlian_host::admin::Administration;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE, lay_out};
use cunlian_tests::program::{Ran, run, run_refused};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

const PASSWORD: &str = "a long password";

/// A county, a town and a village, whose certificates are known above.
struct Office {
    directories: [PathBuf; 3],
    _dir: TempDir,
}

impl Office {
    fn new() -> Self {
        let dir = tempdir().unwrap();
        let layout = lay_out(dir.path(), &[COUNTY, TOWN, VILLAGE]);
        let directories =
            [COUNTY, TOWN, VILLAGE].map(|code| layout.find(code).unwrap().dir.clone());
        let office = Self { directories, _dir: dir };
        for code in [TOWN, VILLAGE] {
            let administration = office.open(code);
            let mut known = administration.identity.chain.clone();
            known.extend(administration.operators.certificates().unwrap());
            drop(administration);
            assert_eq!(office.open(COUNTY).store.add_certificates(&known).unwrap(), [""; 0]);
        }
        office
    }

    fn dir(&self, code: &str) -> &Path {
        let place = [COUNTY, TOWN, VILLAGE].iter().position(|known| *known == code).unwrap();
        &self.directories[place]
    }

    fn open(&self, code: &str) -> Administration {
        Administration::open(self.dir(code)).unwrap()
    }

    fn run(&self, code: &str, arguments: &[&str]) -> Ran {
        let dir = self.dir(code).to_str().unwrap();
        run(arguments.iter().copied().chain(["--data-dir", dir]), &format!("{PASSWORD}\n"))
    }

    fn refused(&self, code: &str, arguments: &[&str]) -> String {
        let dir = self.dir(code).to_str().unwrap();
        run_refused(arguments.iter().copied().chain(["--data-dir", dir]))
    }

    fn text(&self, code: &str, arguments: &[&str]) -> String {
        let ran = self.run(code, arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    }

    fn json(&self, code: &str, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(code, &[arguments, &["--json"]].concat())).unwrap()
    }

    /// Makes a person an operator of a node; gives the key.
    fn person(&self, code: &str, login: &str, name: &str, role: &str) -> Author {
        self.text(code, &["operator", "add", login, "--display-name", name, "--role", role]);
        let administration = self.open(code);
        let unlocked = administration.operators.unlock(login, PASSWORD, 7).unwrap();
        let added = administration.store.add_certificates(&[unlocked.certificate]).unwrap();
        assert_eq!(added, [""; 0]);
        unlocked.author
    }
}

fn ticket(document: u8) -> Home {
    let address = AddressCode::parse(VILLAGE).unwrap();
    Home { category: Category::TICKET, address, document: DocumentId([document; 16]) }
}

fn put(home: Home, field: &str, text: &str) -> Write {
    let edits = vec![Edit::Put { field: field.to_owned(), text: text.to_owned() }];
    Write { home, edits, source: "test".to_owned(), task: String::new() }
}

/// Shows a dismissal from the first look to the last decision: what it would do is told and
/// nothing is done; it is done; what a colleague built on is listed, kept or taken back by a
/// person; and a second revocation, one without a reason and one from below are refused in words.
#[test]
fn a_dismissal_is_told_done_and_reviewed() {
    let office = Office::new();
    let dismissed = office.person(TOWN, "dismissed", "王大明", "dispatcher");
    let colleague = office.person(TOWN, "colleague", "李小红", "dispatcher");
    let town = office.open(TOWN);
    let fallen = vec![put(ticket(1), "a", "x"), put(ticket(2), "a", "x"), put(ticket(3), "a", "x")];
    let fallen = town.store.write(&dismissed, fallen, 1).unwrap();
    let built = vec![put(ticket(1), "b", "y"), put(ticket(2), "b", "y")];
    town.store.write(&colleague, built, 2).unwrap();
    drop(town);
    let revoke = ["revoke", "王大明", "--reason", "dismissed", "--through-seq", "0"];
    let would = office.json(TOWN, &[&revoke[..], &["--dry-run"]].concat());
    let effect = &would["effect"];
    assert_eq!((&effect["stand_before"], &effect["stand_after"]), (&3.into(), &0.into()));
    assert_eq!((&effect["tainted"], &effect["removed"]), (&2.into(), &1.into()));
    assert!(would["ids"].as_array().unwrap().is_empty());
    assert!(office.text(TOWN, &["revoke", "list"]).contains("nothing has been revoked"));
    assert!(office.text(TOWN, &["review", "list"]).contains("nothing"));
    assert!(office.refused(VILLAGE, &revoke).contains("no certificate"));
    assert!(office.refused(TOWN, &["revoke", "王大明", "--reason", " "]).contains("reason"));
    let done = office.text(TOWN, &revoke);
    assert!(done.contains("is revoked") && done.contains("taken out: 1"), "{done}");
    assert!(office.refused(TOWN, &revoke).contains("revoked before: dismissed"));
    let list = office.json(TOWN, &["revoke", "list"]);
    assert_eq!(list["revocations"][0]["reason"], "dismissed");
    assert_eq!(list["revocations"][0]["who"]["name"], "王大明");
    let list = office.json(TOWN, &["review", "list"]);
    assert_eq!(list["changes"].as_array().unwrap().len(), 2);
    let [first, second] = [fallen[0].to_string(), fallen[1].to_string()];
    office.text(TOWN, &["review", "keep", &first[..12], "--as", "colleague"]);
    office.text(TOWN, &["review", "revert", &second, "--as", "colleague"]);
    assert_eq!(office.json(TOWN, &["review", "list"])["changes"], Value::Array(Vec::new()));
    let town = office.open(TOWN);
    let shown = |document| {
        let view = town.store.view(&ticket(document)).unwrap().unwrap();
        view.fields.get("a").map(|field| field.current.text.clone())
    };
    assert_eq!((shown(1).as_deref(), shown(2)), (Some("x"), None));
    drop(town);
    let gone = ["review", "keep", &fallen[2].to_string(), "--as", "colleague"];
    assert!(office.run(TOWN, &gone).stderr.contains("no change to review"));
}

/// Shows that when a town is revoked its people's work stands as known, the villages go on unless
/// they are to go too, and that work made up later with the town's key does not stand.
#[test]
fn a_node_is_revoked_with_or_without_those_below() {
    let office = Office::new();
    let town = office.open(TOWN).identity.certificate.clone();
    let village = office.open(VILLAGE).identity.certificate.serial().to_string();
    let serial = town.serial().to_string();
    assert!(office.refused(TOWN, &["revoke", &serial, "--reason", "x"]).contains("this node"));
    let without = ["revoke", &serial, "--reason", "stolen", "--dry-run"];
    let would = office.json(COUNTY, &without);
    let has = |list: &Value, serial: &str| {
        list.as_array().unwrap().iter().any(|named| named["serial"] == serial)
    };
    assert!(has(&would["go_on"], &village) && !has(&would["people"], &village));
    assert!(!would["people"].as_array().unwrap().is_empty());
    let with = office.json(COUNTY, &[&without[..], &["--with-children"]].concat());
    assert!(has(&with["revoked_with"], &village) && with["go_on"].as_array().unwrap().is_empty());
    office.text(COUNTY, &["revoke", &serial, "--reason", "stolen"]);
    let authority = office.open(COUNTY).store.authority();
    assert!(authority.valid_at(&town, 0).is_err());
    let village = office.open(VILLAGE).identity.certificate.clone();
    authority.valid_at(&village, town.body().issued_at_ms).unwrap();
    authority.stands(&village.serial(), 1_000, None).unwrap();
    assert!(authority.stands(&town.serial(), 1, None).is_err());
}

/// Shows that only a person with the right erases, that all parts of a record go at once, and
/// what is answered when there is nothing.
#[test]
fn a_person_is_erased() {
    let office = Office::new();
    office.person(TOWN, "keeper", "王大明", "dispatcher");
    office.person(TOWN, "administrator", "李小红", "administrator");
    let town = office.open(TOWN);
    let catalogue = cunlian_governance::library::catalogue::Catalogue::built_in();
    let class = catalogue.class("population").unwrap();
    let address = AddressCode::parse("37032210231000100012").unwrap();
    let base = DocumentId([9; 16]);
    let node = Author {
        serial: town.identity.certificate.serial(),
        key: town.identity.key.clone(),
        session: 3,
    };
    let homes: Vec<Home> = class.parts().map(|part| class.home(part, address, base)).collect();
    let writes = homes[..3].iter().map(|home| put(*home, "name", "canary"));
    town.store.write(&node, writes.collect(), 1).unwrap();
    drop(town);
    let document = homes[1].document.to_string();
    let erase = |login| {
        let part = "library/population/identity";
        let reason = ["--reason", "asked for by the person", "--person", "--as", login];
        office.run(TOWN, &[&["erase", address.as_str(), part, &document], &reason[..]].concat())
    };
    let refused = erase("keeper");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("has no right to erase"), "{refused:?}");
    let erased = erase("administrator");
    assert_eq!(erased.code, Some(0), "{erased:?}");
    assert_eq!(erased.stdout.matches("erased: ").count(), 3, "{erased:?}");
    let town = office.open(TOWN);
    for home in &homes[..3] {
        let view = town.store.view(home).unwrap().unwrap();
        assert_eq!(view.erased.unwrap().reason, "asked for by the person");
    }
    assert!(town.store.verify().unwrap().is_sound());
    drop(town);
    let nothing = ["erase", address.as_str(), "ticket", &document, "--reason", "x"];
    let nothing = office.run(TOWN, &[&nothing[..], &["--as", "administrator"]].concat());
    assert!(nothing.stderr.contains("no such document"), "{nothing:?}");
}
