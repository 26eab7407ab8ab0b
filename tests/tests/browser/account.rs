//! Accounts as people meet them: passwords, locks, sessions that end and say why.

use std::sync::atomic::Ordering;

use cunlian_host::admin::people::{NewPerson, Password, PeopleAction};
use cunlian_host::admin::{Request, pending};
use cunlian_host::clock::now_ms;
use cunlian_host::operator::{Issuer, Narrowing, NewOperator};
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::id::Serial;
use cunlian_protocol::revocation::{RevocationBody, Standing};
use serde_json::Value;

use super::chromium::Chromium;
use super::fixture::{Node, PASSWORD};
use super::plain::{Answer, Plain};

const NEW_PASSWORD: &str = "另一个密码2026";
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

fn log_in(plain: &Plain, name: &str, password: &str) -> Answer {
    plain.submit("/login", "/login", &[("name", name), ("password", password)])
}

fn change(plain: &Plain, current: &str, new: &str, again: &str) -> Answer {
    let fields = [("current", current), ("new", new), ("again", again)];
    plain.submit("/account", "/account/password", &fields)
}

/// Does something as an administrator at the command line would.
fn ask(node: &Node, action: PeopleAction) -> Value {
    node.administration.perform(&Request::People { action }).unwrap()
}

/// Guesses wrong until the name is locked; gives what was said last.
fn guess(plain: &Plain, name: &str) -> Answer {
    let answers: Vec<Answer> = (0..5).map(|_| log_in(plain, name, "wrong-password")).collect();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 429], "{name}");
    answers.into_iter().last().unwrap()
}

/// Shows that a person changes their password with the current one only, that the page says what
/// is wrong, that the browser they did it in stays logged in and every other one is told why not.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_ends_the_other_sessions() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let (here, elsewhere) = (Plain::new(&node.url), Plain::new(&node.url));
        here.log_in("wang");
        elsewhere.log_in("wang");
        for (current, new, again, status, words) in [
            (PASSWORD, NEW_PASSWORD, "不一样的密码2026", 422, "两次输入的新密码不一样"),
            (PASSWORD, "太短", "太短", 422, "至少要 8 个字符"),
            (PASSWORD, PASSWORD, PASSWORD, 422, "不能和现在的密码"),
            ("wrong-password", NEW_PASSWORD, NEW_PASSWORD, 403, "现在的密码不对"),
        ] {
            let answer = change(&here, current, new, again);
            assert_eq!(answer.status, status, "{}", answer.text);
            assert!(answer.text.contains(words), "{}", answer.text);
        }
        assert_eq!(elsewhere.get("/today").path, "/today", "nothing has changed so far");
        let answer = change(&here, PASSWORD, NEW_PASSWORD, NEW_PASSWORD);
        assert_eq!((answer.status.as_u16(), answer.path.as_str()), (200, "/account?changed=1"));
        assert!(answer.text.contains("密码已修改"), "{}", answer.text);
        assert_eq!(here.get("/today").path, "/today");
        let answer = elsewhere.get("/today");
        assert_eq!(answer.path, "/login?next=%2Ftoday");
        assert!(answer.text.contains("请用新密码重新登录"), "{}", answer.text);
        assert_eq!(log_in(&elsewhere, "wang", PASSWORD).status, 401);
        assert_eq!(log_in(&elsewhere, "wang", NEW_PASSWORD).status, 200);
    });
}

/// Shows that guessing locks a name for a network with words and for a time, whether the name exists
/// or not; that neither the browser the person uses, nor the machine itself, nor another network is
/// locked out by it; and that an administrator unlocks.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_locks_strangers_out_and_not_the_person() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let at = |address| Plain::elsewhere(&node.url, address);
        let (terminal, stranger) = (at("192.0.2.1"), at("192.0.2.1"));
        terminal.log_in("wang");
        let told = guess(&stranger, "wang").text.replace("wang", "…");
        assert!(told.contains("已暂时锁定") && told.contains("15 分钟"), "{told}");
        let token =
            |text: &str| text.split("name=\"token\" value=\"").nth(1).unwrap()[..64].to_owned();
        let other = guess(&at("192.0.2.1"), "nobody").text.replace("nobody", "…");
        let same = other.replace(&token(&other), &token(&told));
        assert_eq!(same, told, "a name that does not exist is treated like one that does");

        assert_eq!(log_in(&stranger, "wang", PASSWORD).status, 429, "even with the password");
        assert_eq!(log_in(&at("192.0.2.1"), "wang", PASSWORD).status, 429);
        // What stands first anybody may have written; the proxy adds whom it saw.
        assert_eq!(log_in(&at("192.0.2.7, 192.0.2.1"), "wang", PASSWORD).status, 429);
        at("192.0.2.2").log_in("wang");
        Plain::new(&node.url).log_in("wang");
        assert_eq!(terminal.get("/today").path, "/today");
        let form = |plain: &Plain| plain.submit("/today", "/logout", &[]);
        assert_eq!(form(&terminal).path, "/login");
        terminal.log_in("wang");

        let listed = ask(&node, PeopleAction::List);
        assert!(listed["operators"][0]["locked_ms"].as_i64().unwrap() > 14 * MINUTE_MS, "{listed}");
        ask(&node, PeopleAction::Unlock { name: "wang".to_owned() });
        stranger.log_in("wang");
    });
}

/// Shows that a lock ends by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_ends_by_itself() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let plain = Plain::elsewhere(&node.url, "192.0.2.1");
        guess(&plain, "wang");
        node.ahead_ms.store(14 * MINUTE_MS, Ordering::Relaxed);
        assert_eq!(log_in(&plain, "wang", PASSWORD).status, 429);
        node.ahead_ms.store(16 * MINUTE_MS, Ordering::Relaxed);
        plain.log_in("wang");
    });
}

/// Shows that a session ends with the certificate behind it, in words, and that the right
/// password then opens nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_the_certificate() {
    let node = Node::village().await;
    let narrowing = Narrowing { until_ms: Some(now_ms() + 10 * MINUTE_MS), ..Narrowing::default() };
    let helper = NewOperator {
        name: "helper",
        display_name: "临时工",
        role: "grid_worker",
        narrowing: Some(&narrowing),
        password: PASSWORD,
        must_change: false,
    };
    let identity = &node.administration.identity;
    let issuer = Issuer { certificate: &identity.certificate, key: &identity.key };
    let operators = &node.administration.operators;
    operators.create(&issuer, helper, now_ms(), &mut rand::rng()).unwrap();
    tokio::task::block_in_place(|| {
        let (helper, wang) = (Plain::new(&node.url), Plain::new(&node.url));
        helper.log_in("helper");
        wang.log_in("wang");
        node.ahead_ms.store(11 * MINUTE_MS, Ordering::Relaxed);
        let answer = helper.get("/today");
        assert!(answer.text.contains("证书已过期"), "{}", answer.text);
        let answer = log_in(&helper, "helper", PASSWORD);
        assert_eq!(answer.status, 403);
        assert!(answer.text.contains("证书已过期"), "{}", answer.text);

        assert_eq!(wang.get("/today").path, "/today");
        revoke(&node, node.operator.serial);
        let answer = wang.get("/today");
        assert_eq!(answer.path, "/login?next=%2Ftoday");
        assert!(answer.text.contains("证书已被吊销"), "{}", answer.text);
        let answer = log_in(&wang, "wang", PASSWORD);
        assert_eq!(answer.status, 403);
        assert!(answer.text.contains("证书已被吊销"), "{}", answer.text);
    });
}

/// Shows that a session ends after two hours without use and says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_ends() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("wang");
        node.ahead_ms.store(119 * MINUTE_MS, Ordering::Relaxed);
        assert_eq!(plain.get("/today").path, "/today");
        node.ahead_ms.store(240 * MINUTE_MS, Ordering::Relaxed);
        let answer = plain.get("/today");
        assert!(answer.text.contains("两小时没有操作"), "{}", answer.text);
    });
}

/// Shows the way of a forgotten password: the administrator resets, the old session ends, the
/// one-time password leads to nothing but the choice of another, and what was signed before is
/// still there.
#[tokio::test(flavor = "multi_thread")]
async fn a_one_time_password_must_be_changed_first() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("wang");
        let action = "/records/new/facility";
        let made = plain.submit(action, action, &[("name", "文化广场路灯"), ("kind", "路灯")]);
        assert_eq!(made.status, 200, "{}", made.text);
        let told = ask(&node, PeopleAction::Reset { name: "wang".to_owned() });
        let once = told["password"].as_str().unwrap();
        assert!(plain.get("/today").text.contains("请用新密码重新登录"));
        assert_eq!(log_in(&plain, "wang", once).path, "/account");
        assert_eq!(plain.get("/records").path, "/account");
        assert!(plain.get("/account").text.contains("一次性密码"));
        let answer = change(&plain, once, NEW_PASSWORD, NEW_PASSWORD);
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(plain.get("/records").text.contains("文化广场路灯"));
        let made = plain.submit(action, action, &[("name", "村口公厕"), ("kind", "公厕")]);
        assert_eq!(made.status, 200, "the new key signs: {}", made.text);
    });
}

/// Shows that a person added while the node runs may log in at once, that a removed one is out at
/// once, and that neither needs a restart.
#[tokio::test(flavor = "multi_thread")]
async fn people_come_and_go_while_the_node_runs() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let person = NewPerson {
            name: "liu".to_owned(),
            display_name: "刘网格员".to_owned(),
            role: "grid_worker".to_owned(),
            region: Some("370322102310001".to_owned()),
            categories: vec!["ticket".to_owned(), "library/*/base".to_owned()],
            password: Some(Password::new(PASSWORD.to_owned())),
            ..NewPerson::default()
        };
        let told = ask(&node, PeopleAction::Add(person.clone()));
        assert!(told.get("password").is_none() && !told.to_string().contains(PASSWORD));
        let plain = Plain::new(&node.url);
        plain.log_in("liu");
        assert!(plain.get("/account").text.contains("刘网格员"));
        let wider = NewPerson {
            name: "other".to_owned(),
            categories: vec!["library/*/base".to_owned(), "journal".to_owned()],
            ..person
        };
        let action = PeopleAction::Add(wider);
        let refused = node.administration.perform(&Request::People { action }).unwrap_err();
        assert!(refused.hint.unwrap().contains("journal"), "{}", refused.message);
        ask(&node, PeopleAction::Remove { name: "liu".to_owned() });
        assert!(plain.get("/today").text.contains("已被管理员删除"));
        assert_eq!(log_in(&plain, "liu", PASSWORD).status, 401);
    });
}

/// Shows that a login certifies a person again when little of the certificate's life is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_renews_the_certificate() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let entry = || node.administration.operators.entry("wang").unwrap().unwrap();
        let before = entry().certificate;
        node.ahead_ms.store(4 * 365 * DAY_MS, Ordering::Relaxed);
        Plain::new(&node.url).log_in("wang");
        assert_eq!(entry().earlier, std::slice::from_ref(&before));
        assert_ne!(entry().certificate, before);
        assert!(node.store.authority().get(&Serial::of(&entry().certificate)).is_some());
    });
}

/// Shows that a certificate which an administrator made for a person since their last login is
/// theirs at the next one, and waits no longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_takes_over_what_was_changed() {
    let node = Node::village().await;
    let authority = node.store.authority();
    let mut body = authority.get(&node.operator.serial).unwrap().body().clone();
    body.name = "王会计".to_owned();
    let changed = Certificate::issue(&body, &node.author.key);
    let refused = node.store.add_certificates(std::slice::from_ref(&changed)).unwrap();
    assert_eq!(refused, Vec::<String>::new());
    pending::put(&node.store, &body.subject, &changed).unwrap();
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("wang");
        assert!(plain.get("/account").text.contains("王会计 · 村级操作员"));
        let entry = node.administration.operators.entry("wang").unwrap().unwrap();
        assert_eq!(entry.certificate, changed);
        assert_eq!(pending::of(&node.store, &body.subject).unwrap(), None);
    });
}

/// Shows that a store which cannot say what waits for a person is a fault to who asks, and no
/// reason to keep the person out.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_keeps_nobody_out() {
    let node = Node::village().await;
    let subject = node.store.authority().get(&node.operator.serial).unwrap().body().subject;
    let drop_table = |connection: &rusqlite::Connection| {
        connection.execute_batch("DROP TABLE pending_certificate")
    };
    node.store.write_reference(drop_table).unwrap();
    assert!(pending::of(&node.store, &subject).is_err(), "no table is not an empty one");
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("wang");
        assert!(plain.get("/account").text.contains("王书记"));
    });
}

/// Shows that who logs in at one node of a machine stays logged in at another: browsers tell hosts
/// apart, and not ports.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_one_machine_keep_their_sessions_apart() {
    let browser = Chromium::start().await;
    let (village, town) = (Node::village().await, Node::town().await);
    browser.log_in(&village.url, "wang").await;
    browser.log_in(&town.url, "li").await;
    let mut reached = Vec::new();
    for page in [format!("{}/today", village.url), format!("{}/queue", town.url)] {
        browser.open(&page).await;
        reached.push(browser.path().await);
    }
    browser.end().await;
    assert_eq!(reached, ["/today", "/queue"]);
}

/// The node dismisses a person.
fn revoke(node: &Node, serial: Serial) {
    let body = RevocationBody {
        own: Standing { serial, through_seq: 0, tags: Vec::new() },
        successor: None,
        descendants: Vec::new(),
        reason: "离职".to_owned(),
        issuer: Some(node.author.serial),
    };
    let refused = node.store.add_revocations(&[body.sign(&node.author.key)]).unwrap();
    assert_eq!(refused, Vec::<String>::new());
}
