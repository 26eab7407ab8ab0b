//! Joining by invitation: real processes, what goes wrong on the way, and who tries to get in.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use cunlian_host::keystore::{Keystore, NODE_KEY};
use cunlian_protocol::enrolment::{JoinReply, RefusalCode, Token};
use cunlian_protocol::id::PublicKey;
use cunlian_tests::federation::{COUNTY, TOWN, VILLAGE};
use cunlian_tests::program::{Running, command, files, run, run_refused, run_well, wait_for};
use serde_json::Value;

use office::Office;
use stranger::Stranger;

#[path = "enrolment/hostility.rs"]
mod hostility;
#[path = "enrolment/multitude.rs"]
mod multitude;
#[path = "enrolment/office.rs"]
mod office;
#[path = "enrolment/stranger.rs"]
mod stranger;

/// Shows the whole way: an invitation at a running county, one command on the new machine, and the
/// machine holds what it may have; run again it says so, and its store is sound. The same at a
/// second tier, under the town that has just joined.
#[test]
fn an_invited_machine_joins_and_copies_what_it_may_have() {
    let county = Office::found(COUNTY, "高青县");
    county.write_tickets(40);
    let county = county.open();
    let invited = county.invite(TOWN, "高城镇", &[]);
    let town = county.machine("town");
    let joined: Value = serde_json::from_str(&run_well(town.join(&invited.token))).unwrap();
    assert_eq!(joined["name"], "高城镇");
    assert_eq!(joined["in_step"], true, "{joined}");
    assert_eq!(joined["documents"], 40, "{joined}");
    let again: Value = serde_json::from_str(&run_well(town.join(&invited.token))).unwrap();
    assert_eq!(again["in_step"], true, "{again}");
    let dir = town.text();
    run_well(["verify", "--data-dir", &dir]);
    for (file, mode) in [("node.key", 0o600), ("join.invitation", 0o600)] {
        let found = fs::metadata(town.path.join(file)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{file}");
    }
    let secret = invited.token.parse::<Token>().unwrap().secret;
    let leak = |bytes: &[u8]| bytes.windows(16).any(|part| part == secret.0);
    assert!(!files(&town.path).values().any(|bytes| leak(bytes)), "the secret was kept");
    let list = county.list();
    assert_eq!(list[0]["state"], "used");
    let key = Keystore::new(&town.path).key(NODE_KEY).unwrap();
    let key = cunlian_protocol::signing::public_key(&key).to_string();
    assert_eq!(list[0]["used_by"], key.as_str());
    let town = town.run();
    let invited = town.invite(VILLAGE, "苑兴村", &[]);
    let village = town.machine("village");
    let joined: Value = serde_json::from_str(&run_well(village.join(&invited.token))).unwrap();
    assert_eq!((&joined["tier"], &joined["in_step"]), (&"village".into(), &true.into()));
}

/// Shows that a token that another machine has used, that was taken back, whose time is over, that
/// was mistyped or is for nobody, is refused with its own reason and with what to do; and that
/// afterwards the machine joins with a sound one, with the key it had.
#[test]
fn worthless_tokens_are_refused_with_their_reason() {
    let county = Office::found(COUNTY, "高青县");
    let expired = county.invite_days_ago(TOWN, "高城镇", 4);
    let county = county.open();
    let invite = || county.invite(TOWN, "高城镇", &[]);
    let (used, cancelled, sound) = (invite(), invite(), invite());
    run_well(county.machine("first").arguments(&used.token, &["--no-sync"]));
    run_well(["invite", "cancel", &cancelled.id, "--data-dir", &county.text()]);
    let mut mistyped = sound.token.clone();
    let typed = if mistyped.remove(60) == 'B' { 'C' } else { 'B' };
    mistyped.insert(60, typed);
    let unknown =
        Token { invitation: cunlian_protocol::enrolment::InvitationId([9; 8]), ..sound.parse() };
    let machine = county.machine("second");
    let key = || fs::read(machine.path.join("node.key")).unwrap();
    let mut first_key = None;
    for (token, words) in [
        (used.token.as_str(), "already used by another machine"),
        (&cancelled.token, "was taken back"),
        (&expired.token, "is over"),
        (&mistyped, "mistyped"),
        (&unknown.to_string(), "no invitation with this id and secret"),
        ("CUNLIAN2AAAA", "newer version"),
        ("hello", "does not begin with CUNLIAN1"),
    ] {
        let errors = run_refused(machine.join(token));
        assert!(errors.contains(words), "{errors}");
        let unchanged = first_key.get_or_insert_with(key);
        assert_eq!(*unchanged, key());
        assert!(!machine.path.join("node.chain").exists());
    }
    run_well(machine.join(&sound.token));
    assert_eq!(first_key, Some(key()), "a refusal costs no key");
    let states: Vec<String> =
        county.list().iter().map(|entry| entry["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["used", "cancelled", "used", "expired"], "{:?}", county.list());
}

/// Shows that a machine whose line or power fails after the parent has bound the invitation, and
/// before it has the answer, gets its certificate by running the command again; and nobody else
/// gets it in between.
#[test]
fn a_join_cut_before_the_answer_is_run_again() {
    let county = Office::found(COUNTY, "高青县").open();
    let invited = county.invite(TOWN, "高城镇", &[]);
    let machine = county.machine("town");
    run_well(["init", "--data-dir", &machine.text()]);
    let key = Keystore::new(&machine.path).key(NODE_KEY).unwrap();
    stranger::runtime().block_on(async {
        let mut line = Stranger::with(key).dial(county.listen()).await;
        line.request(&invited.parse()).await;
        // Gone without having read a byte.
    });
    wait_for("the invitation to be bound", || county.list()[0]["state"] == "used");
    let errors = run_refused(county.machine("thief").join(&invited.token));
    assert!(errors.contains("already used"), "{errors}");
    run_well(machine.join(&invited.token));
    assert!(machine.path.join("node.chain").exists());
}

/// Shows that a join killed as soon as the machine has its certificate goes on by the same command:
/// nobody is asked again, and the copy becomes complete and sound.
#[test]
fn a_join_killed_while_copying_goes_on() {
    let county = Office::found(COUNTY, "高青县");
    county.write_tickets(3_000);
    let county = county.open();
    let invited = county.invite(TOWN, "高城镇", &[]);
    let machine = county.machine("town");
    let mut joining = command(machine.join(&invited.token));
    joining.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let joining = Running(joining.spawn().unwrap());
    wait_for("the certificate", || machine.path.join("node.chain").exists());
    drop(joining);
    let again: Value = serde_json::from_str(&run_well(machine.join(&invited.token))).unwrap();
    assert_eq!((&again["in_step"], &again["documents"]), (&true.into(), &3_000.into()));
    assert_eq!(again["parent_clock_ms"], Value::Null, "the parent was not asked again");
    run_well(["verify", "--data-dir", &machine.text()]);
}

/// Shows that a machine that belongs somewhere already is not changed by any token, and says so.
#[test]
fn a_member_keeps_its_identity() {
    let county = Office::found(COUNTY, "高青县").open();
    let machine = county.machine("town");
    run_well(machine.arguments(&county.invite(TOWN, "高城镇", &[]).token, &["--no-sync"]));
    let before = files(&machine.path);
    let errors = run_refused(machine.join(&county.invite(TOWN, "高城镇", &[]).token));
    assert!(errors.contains("already belongs to 高城镇"), "{errors}");
    assert_eq!(before, files(&machine.path));
    assert_eq!(county.list().iter().filter(|entry| entry["state"] == "open").count(), 1);
}

/// Shows that nobody is told the secret who is not the parent: another node at the address of the
/// token is named as what it is, and its list stays as it was; and that no answer is said as such.
#[test]
fn another_node_at_the_address_is_told_nothing() {
    let county = Office::found(COUNTY, "高青县").open();
    let invited = county.invite(TOWN, "高城镇", &[]);
    let machine = county.machine("town");
    let elsewhere = Token { parent: PublicKey([7; 32]), ..invited.parse() };
    let errors = run_refused(machine.join(&elsewhere.to_string()));
    assert!(errors.contains("is not the node that sent the invitation"), "{errors}");
    let nowhere = Token { addresses: vec!["127.0.0.1:9".to_owned()], ..invited.parse() };
    let errors = run_refused(machine.join(&nowhere.to_string()));
    assert!(errors.contains("no answer from 127.0.0.1:9"), "{errors}");
    assert_eq!(county.list()[0]["state"], "open");
    let both = vec!["127.0.0.1:9".to_owned(), county.listen().to_string()];
    let second = Token { addresses: both, ..invited.parse() };
    run_well(machine.join(&second.to_string()));
}

/// Shows that a request by file still works beside a running node, that its node knows the new
/// certificate at once, and that a request scanned from a screen is taken from standard input.
#[test]
fn a_request_by_file_or_picture_is_issued_by_a_running_node() {
    let county = Office::found(COUNTY, "高青县").open();
    let machine = county.machine("town");
    let dir = machine.text();
    run_well(["init", "--data-dir", &dir]);
    let who = ["--tier", "town", "--region", TOWN, "--name", "高城镇", "--data-dir", &dir];
    let shown = run_well(["request", "--qr"].iter().chain(&who));
    let text = shown.lines().find(|line| line.starts_with("cunlian-request-1 ")).unwrap();
    let (county_dir, out) = (county.text(), machine.beside("issued"));
    let address = county.listen().to_string();
    let issue = ["issue", "-", "--data-dir", &county_dir, "--address", &address, "--out", &out];
    let ran = run(issue, text);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    run_well(["accept", &out, "--data-dir", &dir]);
    let identity = Keystore::new(&machine.path).identity().unwrap();
    let serial = identity.certificate.serial();
    drop(county.stop());
    let (store, _) = cunlian_host::opening::open_store(&county.path).unwrap();
    assert!(store.authority().get(&serial).is_some());
}

/// Shows that a list becomes one sheet per good row and an index, for the owner only, that bad rows
/// are told by line, and that a sheet holds the code of its own invitation.
#[test]
fn a_list_becomes_sheets() {
    let county = Office::found(COUNTY, "高青县").open();
    let list = county.path.join("villages.csv");
    fs::write(&list, "\u{feff}code,name,valid\n370322102,高城镇,7d\n3703,淄博市,\n370322101,,\n370322103,木李镇,\n").unwrap();
    let (dir, list, out) = (county.text(), list.to_str().unwrap(), county.beside("sheets"));
    let ran = run(["invite", "--from", list, "--out", &out, "--data-dir", &dir, "--json"], "");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    let lines: Vec<u64> =
        said["rejected"].as_array().unwrap().iter().map(|r| r["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [3, 4], "{said}");
    assert!(ran.stderr.contains("line 4: the register of divisions has no name"), "{ran:?}");
    let invited = said["invited"].as_array().unwrap();
    assert_eq!(invited.len(), 2);
    let sheets = files(out.as_ref());
    assert_eq!(sheets.len(), 3, "two sheets and the index");
    for (path, bytes) in &sheets {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        assert!(!String::from_utf8_lossy(bytes).contains('['), "a text is missing");
    }
    let sheet = String::from_utf8(fs::read(format!("{out}/370322102.svg")).unwrap()).unwrap();
    let shown: String = sheet.chars().filter(|c| *c != ' ' && *c != '\n').collect();
    // The token is printed in lines of five groups; its first line is enough to know it by.
    assert!(shown.contains(invited[0]["token"].as_str().unwrap().get(..40).unwrap()));
    assert!(sheet.contains("高城镇") && sheet.contains(invited[0]["id"].as_str().unwrap()));
    run_well(county.machine("town").join(invited[0]["token"].as_str().unwrap()));
}

/// Shows that joining does not depend on the clock of the new machine: at 1970 and ten years ahead
/// it gets the same certificate, judged by the parent's time.
#[test]
fn a_wrong_clock_does_not_keep_a_machine_out() {
    use cunlian_host::network::enrol::joining::{Places, join};
    let county = Office::found(COUNTY, "高青县").open();
    let ten_years_ms = 3_653 * 86_400_000;
    for (name, clock_ms) in [("early", 0), ("late", cunlian_host::clock::now_ms() + ten_years_ms)] {
        let token = county.invite(TOWN, "高城镇", &[]).parse();
        let machine = county.machine(name);
        let joining = join(&machine.path, &token, Places::default(), clock_ms);
        let joined = stranger::runtime().block_on(joining).unwrap();
        let now_ms = cunlian_host::clock::now_ms();
        assert!((joined.parent_clock_ms.unwrap() - now_ms).abs() < 60_000);
        assert!(joined.not_after_ms > now_ms);
    }
}

/// Shows that a reply is what a stranger gets for a sound request, so that the refusals of the
/// other tests are refusals of what they changed.
#[test]
fn a_sound_request_is_answered_by_a_chain() {
    let county = Office::found(COUNTY, "高青县").open();
    let token = county.invite(TOWN, "高城镇", &[]).parse();
    stranger::runtime().block_on(async {
        let mut line = Stranger::new().dial(county.listen()).await;
        line.request(&token).await;
        let reply = line.reply().await.unwrap();
        assert!(matches!(reply, JoinReply::Issued { ref chain, .. } if chain.0.len() == 2));
        let mut other = Stranger::new().dial(county.listen()).await;
        other.request(&token).await;
        assert_eq!(other.refusal().await, RefusalCode::Used);
    });
}
