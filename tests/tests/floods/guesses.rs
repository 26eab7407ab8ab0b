//! Wrong passwords and many reports: what one network does is not laid to another's charge.

use super::*;

/// Status of a login with the right password, and with a wrong one.
const IN: u16 = 303;
const WRONG: u16 = 401;
const LATER: u16 = 429;

/// Shows that a hundred and twenty wrong passwords from one address keep out neither a browser at
/// that address that has logged in before, nor browsers elsewhere, that never did; and that they
/// were stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_known_browser_and_other_networks_are_not_locked_out() {
    let village = Village::start();
    let mut known = village.visitor(FLOOD);
    assert_eq!(known.log_in("secretary", PASSWORD).await.status, IN);
    let mut guesses = tokio::task::JoinSet::new();
    for number in 0..12 {
        let visitor = village.visitor(FLOOD);
        guesses.spawn(async move {
            let mut statuses = Vec::new();
            for attempt in 0..10 {
                let password = format!("guess-{number}-{attempt}");
                statuses.push(visitor.clone().log_in("secretary", &password).await.status);
            }
            statuses
        });
    }
    let statuses = guesses.join_all().await.concat();
    let wrong = statuses.iter().filter(|status| **status == WRONG).count();
    assert!(wrong < 10, "{wrong} passwords were tried");
    assert!(statuses.iter().all(|status| matches!(*status, WRONG | LATER)), "{statuses:?}");

    for mut visitor in [known, village.visitor(1), village.visitor(7)] {
        let began = Instant::now();
        let answer = visitor.log_in("secretary", PASSWORD).await;
        assert_eq!(answer.status, IN, "{visitor:?}: {}", answer.text());
        assert!(began.elapsed() < PATIENCE, "{} ms", began.elapsed().as_millis());
    }
    let stranger = village.visitor(FLOOD).log_in("secretary", PASSWORD).await;
    assert_eq!(stranger.status, LATER, "who guessed is locked out");
    village.assert_memory();
}

/// Shows that five wrong passwords at one telephone do not lock the terminal itself, and that at
/// the terminal wrong ones are slowed down and do not lock it.
#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_itself_is_not_locked() {
    let village = Village::start();
    for last in [FLOOD, 1] {
        for _ in 0..5 {
            let answer = village.visitor(last).log_in("secretary", "wrong-password").await;
            assert!(matches!(answer.status, WRONG | LATER), "{}", answer.status);
        }
        assert_eq!(village.visitor(1).log_in("secretary", PASSWORD).await.status, IN);
    }
}

/// Shows that strangers who try hundreds of names from many addresses do not make a browser wait
/// that is known, and do not keep out one that is new.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_guesses_keeps_no_known_browser_waiting() {
    let village = Village::start();
    let mut known = village.visitor(7);
    assert_eq!(known.log_in("secretary", PASSWORD).await.status, IN);
    let mut guesses = tokio::task::JoinSet::new();
    for number in 0..400_u16 {
        let mut visitor = village.visitor(FLOOD + u8::try_from(number % 20).unwrap());
        guesses.spawn(async move {
            visitor.log_in(&format!("name{number}"), "wrong-password").await.status
        });
    }
    // One is answered, so the others stand in the queue.
    guesses.join_next().await.unwrap().unwrap();
    for _ in 0..3 {
        let began = Instant::now();
        assert_eq!(known.log_in("secretary", PASSWORD).await.status, IN);
        assert!(began.elapsed() < PATIENCE, "{} ms", began.elapsed().as_millis());
    }
    // Somebody new waits for a place of each network, and not for all that each of them tries.
    assert_eq!(village.visitor(8).log_in("secretary", PASSWORD).await.status, IN);
    guesses.abort_all();
    village.assert_memory();
}

/// Shows that thirty reports from two addresses about one door do not close it to a third.
#[tokio::test(flavor = "multi_thread")]
async fn a_flooded_plate_is_open_to_others() {
    let village = Village::start();
    let mut taken = 0;
    for number in 0..30_u8 {
        let mut visitor = village.visitor(FLOOD + number % 2);
        let answer = visitor.report(VILLAGE, &format!("第{number}次"), None).await;
        assert!(matches!(answer.status, 303 | LATER), "{}", answer.text());
        taken += usize::from(answer.status == 303);
    }
    assert!((10..=20).contains(&taken), "{taken} reports of two telephones were taken");
    village.serves(7).await;
    village.serves(1).await;
    // Who has sent too many is told so before a photo is read.
    let large = vec![b'x'; 1 << 20];
    let late = village.visitor(FLOOD).report(VILLAGE, "再来", Some(&large)).await;
    assert_eq!(late.status, LATER);
}

/// Shows that when five telephones have sent all the reports about one door that are taken, another
/// one's second report and its third are taken still, as each of the five was given no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_flooded_plate_leaves_others_their_share() {
    let village = Village::start();
    let mut taken = [0; 5];
    for number in 0..50_u8 {
        let who = number % 5;
        let mut visitor = village.visitor(FLOOD + who);
        let answer = visitor.report(VILLAGE, &format!("第{number}次"), None).await;
        assert!(matches!(answer.status, 303 | LATER), "{}", answer.text());
        taken[usize::from(who)] += usize::from(answer.status == 303);
    }
    assert!(
        taken.iter().all(|taken| *taken <= 5) && taken.iter().sum::<usize>() >= 20,
        "{taken:?}"
    );
    for number in 0..3 {
        let answer = village.visitor(7).report(VILLAGE, &format!("路灯{number}"), None).await;
        assert_eq!(answer.status, 303, "report {number}: {}", answer.text());
    }
    let late = village.visitor(FLOOD).report(VILLAGE, "再来", None).await;
    assert_eq!(late.status, LATER, "who flooded it waits");
}

/// Shows that behind a proxy that the configuration names each client is counted by itself, that
/// what a client writes in front of the list is not believed, and that nobody else's word is.
#[tokio::test(flavor = "multi_thread")]
async fn clients_behind_a_proxy_are_told_apart() {
    let village = Village::configured("trusted_proxies = [\"127.0.0.1\"]");
    let wrong = |last: u8, forwarded: &str| {
        let visitor = village.visitor(last).with(&format!("x-forwarded-for: {forwarded}"));
        async move { visitor.clone().log_in("secretary", "wrong-password").await.status }
    };
    for _ in 0..5 {
        let _counted = wrong(1, "203.0.113.5").await;
    }
    assert_eq!(wrong(1, "203.0.113.5").await, LATER);
    assert_eq!(wrong(1, "203.0.113.6, 203.0.113.5").await, LATER, "a forged entry in front");
    assert_eq!(wrong(1, "203.0.113.5, 203.0.113.6").await, WRONG, "somebody else");
    assert_eq!(wrong(1, "203.0.113.5, 203.0.113.7, 127.0.0.1").await, WRONG, "two proxies");
    // Who is no proxy cannot be another one at each try.
    for number in 0..5 {
        let _counted = wrong(FLOOD, &format!("198.51.100.{number}")).await;
    }
    assert_eq!(wrong(FLOOD, "198.51.100.99").await, LATER);
}
