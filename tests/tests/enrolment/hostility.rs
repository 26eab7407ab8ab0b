//! Who tries to get in without an invitation, or to keep others out.

use std::time::Instant;

use cunlian_protocol::enrolment::{self, JoinRequest, RefusalCode, Secret, Token};
use cunlian_protocol::signing::{Context, public_key, sign};
use cunlian_tests::federation::{COUNTY, TOWN};
use cunlian_tests::program::run_well;

use super::office::Office;
use super::stranger::{Stranger, runtime};

/// Shows that ten wrong secrets lock an invitation, that guessing on is slowed down by address,
/// that the list says so, and that another invitation is still good once the guesser has stopped.
#[test]
fn guessing_is_locked_and_slowed_down() {
    let county = Office::found(COUNTY, "高青县").open();
    let (guessed, other) = (county.invite(TOWN, "甲镇", &[]), county.invite(TOWN, "乙镇", &[]));
    let token = guessed.parse();
    runtime().block_on(async {
        let stranger = Stranger::new();
        let mut answers = Vec::new();
        // Fewer than the burst of one address, and then until it is used up.
        while answers.last() != Some(&RefusalCode::Busy) {
            assert!(answers.len() < 400, "{answers:?}");
            let guess = u8::try_from(answers.len() % 256).unwrap();
            let wrong = Token { secret: Secret([guess; 16]), ..token.clone() };
            answers.push(stranger.ask(county.listen(), &wrong).await);
        }
        assert_eq!(answers[..10], [RefusalCode::Unknown; 10]);
        assert_eq!(answers[10], RefusalCode::Locked);
        assert!(answers.len() > 50, "an honest office behind one address is not held up");
    });
    assert_eq!((county.refused("unknown"), county.refused("busy")), (10, 1));
    assert!(county.refused("locked") > 40);
    let list = county.list();
    let entry = list.iter().find(|entry| entry["id"] == guessed.id.as_str()).unwrap();
    assert_eq!((&entry["state"], &entry["attempts"]), (&"locked".into(), &10.into()));
    // The command waits and asks again while the parent is busy.
    run_well(county.machine("town").arguments(&other.token, &["--no-sync"]));
}

/// Shows that a request is worth nothing on another connection, for another key than that of the
/// connection, or with any field changed, although its secret is right.
#[test]
fn a_copied_request_is_refused() {
    let county = Office::found(COUNTY, "高青县").open();
    let token = county.invite(TOWN, "高城镇", &[]).parse();
    runtime().block_on(async {
        let honest = Stranger::new();
        let line = honest.dial(county.listen()).await;
        let request = JoinRequest::new(&honest.key, &token, &line.channel, 0, "test");
        let thief = Stranger::new();
        let mut own = JoinRequest { subject: public_key(&thief.key), ..request.clone() };
        own.signature = sign(&thief.key, Context::Enrolment, b"something else");
        let later = JoinRequest { clock_ms: 1, ..request.clone() };
        for (who, copied) in
            [(&honest, &request), (&thief, &request), (&thief, &own), (&honest, &later)]
        {
            let mut line = who.dial(county.listen()).await;
            line.say(&enrolment::encode(copied)).await;
            assert_eq!(line.refusal().await, RefusalCode::Malformed);
        }
    });
    assert_eq!(county.list()[0]["state"], "open");
    assert_eq!(county.list()[0]["attempts"], 0);
}

/// Shows that a frame that announces too much, or is no request, is refused before it is gathered,
/// and that those who say nothing, or a byte at a time, are sent away in time, while others are
/// served, though there are more of them than requests are decided at a time.
#[test]
fn slow_and_senseless_strangers_are_sent_away() {
    let county = Office::found(COUNTY, "高青县").open();
    let token = county.invite(TOWN, "高城镇", &[]).parse();
    runtime().block_on(async {
        let stranger = Stranger::new();
        for bytes in [&[0x40, 0, 0, 0, 1][..], &[0, 0, 0, 2, 9, 9]] {
            let mut line = stranger.dial(county.listen()).await;
            line.say(bytes).await;
            assert_eq!(line.refusal().await, RefusalCode::Malformed);
        }
        let started = Instant::now();
        let mut silent = Vec::new();
        for _ in 0..40 {
            let mut line = stranger.dial(county.listen()).await;
            line.say(&[0, 0]).await;
            silent.push(line);
        }
        let mut served = Stranger::new().dial(county.listen()).await;
        served.request(&token).await;
        assert!(served.reply().await.is_ok());
        for line in silent {
            let _ = line.connection.closed().await;
        }
        assert!(started.elapsed().as_secs() < 60);
    });
    assert_eq!((county.refused("malformed"), county.refused("unfinished")), (2, 40));
}

/// Shows that a machine that joins cannot say anything else: on its connection a hello of the
/// protocol between nodes is no request.
#[test]
fn a_stranger_does_not_reach_the_protocol_of_nodes() {
    let county = Office::found(COUNTY, "高青县").open();
    runtime().block_on(async {
        let mut line = Stranger::new().dial(county.listen()).await;
        let root = cunlian_protocol::wire::Message::Root { number: 1, digest: [0; 32] };
        line.say(&cunlian_protocol::wire::encode(&root)).await;
        assert_eq!(line.refusal().await, RefusalCode::Malformed);
    });
}
