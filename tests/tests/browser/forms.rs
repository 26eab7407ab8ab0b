//! Forms that are sent twice, go stale, or come back with what is wrong.

use std::sync::atomic::Ordering;

use cunlian_host::admin::people::{NewPerson, Password};

use super::fixture::{Node, PASSWORD};
use super::plain::{Answer, Plain, fill};

const PHOTO: &[u8] = include_bytes!("photo.jpg");
const OTHER: &str = "这张表已经提交过一次；这次填的内容不同，已另存为一条";

fn count(node: &Node, sql: &'static str) -> u32 {
    node.store.read(|connection| connection.query_row(sql, [], |row| row.get(0))).unwrap()
}

/// Shows that a report typed after Back is a report of its own, told as such, that each is one
/// however often it is sent, and that another photo is other content.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_report_in_the_same_form_is_kept() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        let action = "/p/370322102310/report";
        let mut fields = fill(&plain.get(action).text, action, &[("text", "路灯坏了")]);
        let first = plain.upload(action, &fields, None);
        assert!(first.text.contains("已收到，谢谢您"), "{}", first.text);
        let again = plain.upload(action, &fields, None);
        assert_eq!(again.path, first.path);
        fields.insert("text".to_owned(), "水管漏了".to_owned());
        let second = plain.upload(action, &fields, None);
        assert_ne!(second.path, first.path);
        assert!(second.text.contains("水管漏了") && second.text.contains(OTHER));
        assert_eq!(plain.upload(action, &fields, None).path, second.path);
        let with_photo = plain.upload(action, &fields, Some(PHOTO));
        assert!(with_photo.path != second.path && with_photo.text.contains(OTHER));
        assert_eq!(plain.upload(action, &fields, Some(PHOTO)).path, with_photo.path);
    });
    assert_eq!(count(&node, "SELECT count(*) FROM ticket"), 3);
}

/// Shows the same for a person who is registered and for a ticket taken down by a clerk.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_person_in_the_same_form_is_kept() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("wang");
        let action = "/records/new/population";
        let mut fields = fill(&plain.get(action).text, action, &[("name", "张甲"), ("sex", "男")]);
        let first = plain.send(action, &fields);
        assert!(first.text.contains("已保存在本机"), "{}", first.text);
        assert_eq!(plain.send(action, &fields).path, first.path);
        fields.insert("name".to_owned(), "李乙".to_owned());
        let second = plain.send(action, &fields);
        assert!(second.path != first.path && second.text.contains(OTHER), "{}", second.text);
        assert!(plain.get("/records?q=李乙").text.contains("李乙</"));

        let action = "/tickets/new";
        let typed = [("channel", "walk_in"), ("text", "来访甲")];
        let mut fields = fill(&plain.get(action).text, action, &typed);
        let first = plain.send(action, &fields);
        assert_eq!(plain.send(action, &fields).path, first.path);
        fields.insert("text".to_owned(), "来访乙".to_owned());
        let second = plain.send(action, &fields);
        assert!(second.path != first.path && second.text.contains(OTHER), "{}", second.text);
        assert!(second.text.contains("来访乙"));
    });
    assert_eq!(count(&node, "SELECT count(*) FROM ticket"), 2);
}

impl Node {
    /// A second person at the same place.
    fn colleague(&self) {
        let person = NewPerson {
            name: "zhang".to_owned(),
            display_name: "张会计".to_owned(),
            role: "village_operator".to_owned(),
            password: Some(Password::new(PASSWORD.to_owned())),
            ..NewPerson::default()
        };
        self.administration.operator_add(&person).unwrap();
    }
}

/// Sends the login that stands on a page, with what is hidden in it.
fn log_in_on(plain: &Plain, page: &Answer, name: &str, password: &str) -> Answer {
    plain.send("/login", &fill(&page.text, "/login", &[("name", name), ("password", password)]))
}

/// Shows that what was typed is kept when the session ends in the middle of it: through a wrong
/// password and the login, named with who would sign it, and saved only then and once.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_keeps_what_was_typed() {
    let node = Node::village().await;
    node.colleague();
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("wang");
        let action = "/records/new/population";
        let typed = [("name", "赵小雨"), ("sex", "女"), ("phone", "13800138000")];
        let fields = fill(&plain.get(action).text, action, &typed);
        node.ahead_ms.store(3 * 3_600_000, Ordering::Relaxed);
        let page = plain.send(action, &fields);
        assert_eq!(page.status, 401);
        assert!(page.text.contains("两小时没有操作"), "{}", page.text);
        assert!(page.text.contains("您填的内容还在"), "{}", page.text);
        let page = log_in_on(&plain, &page, "zhang", "wrong-password");
        assert_eq!(page.status, 401);
        let page = log_in_on(&plain, &page, "zhang", PASSWORD);
        assert!(page.text.contains("以 张会计 的名义"), "{}", page.text);
        assert!(page.text.contains("13800138000</li>"), "{}", page.text);
        assert_eq!(count(&node, "SELECT count(*) FROM record"), 0, "nothing without a click");
        let fields = fill(&page.text, action, &[]);
        let saved = plain.send(action, &fields);
        assert!(saved.text.contains("已保存在本机") && saved.text.contains("赵小雨"));
        assert!(saved.text.contains("张会计"), "who clicked has signed: {}", saved.text);
        assert_eq!(plain.send(action, &fields).path, saved.path);
        assert_eq!(count(&node, "SELECT count(*) FROM record WHERE part = 0"), 1);
    });
}

/// Shows that a form opened before another login keeps its content too, that one of another site
/// does not, and that a login sends nothing to other sites.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_an_earlier_login_is_kept_and_a_foreign_one_is_not() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("wang");
        let action = "/tickets/new";
        let typed = [("channel", "walk_in"), ("text", "来访的话")];
        let fields = fill(&plain.get(action).text, action, &typed);
        let out = fill(&plain.get("/today").text, "/logout", &[]);
        assert_eq!(plain.send("/logout", &out).path, "/login");
        plain.log_in("wang");
        let page = plain.send(action, &fields);
        assert!(page.status == 403 && page.text.contains("来访的话</li>"), "{}", page.text);
        let foreign = plain.send_from("https://example.org", action, &fields);
        assert!(foreign.status == 403 && !foreign.text.contains("来访的话"), "{}", foreign.text);
        let saved = plain.send(action, &fill(&page.text, action, &[]));
        assert!(saved.path.starts_with("/tickets/370322102310/"), "{}", saved.path);

        let stranger = Plain::new(&node.url);
        let mut login = fill(&stranger.get("/login").text, "/login", &[]);
        login.extend([
            ("name".to_owned(), "wang".to_owned()),
            ("password".to_owned(), PASSWORD.to_owned()),
            ("kept.action".to_owned(), "//example.org/collect".to_owned()),
        ]);
        let page = stranger.send("/login", &login);
        assert!(page.path == "/today" && !page.text.contains("example.org"), "{}", page.path);
    });
    assert_eq!(count(&node, "SELECT count(*) FROM ticket"), 1);
}

/// Shows that who saves over what a colleague changed in the meantime is asked, with the
/// colleague's text, that saving again puts theirs in its place, and that other fields of the same
/// record are saved without a question.
#[tokio::test(flavor = "multi_thread")]
async fn saving_over_a_changed_value_asks() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("wang");
        let action = "/records/new/population";
        let typed = [("name", "曾国强"), ("sex", "男"), ("phone", "13800138000")];
        let made = plain.submit(action, action, &typed);
        let record = made.path.split('?').next().unwrap().to_owned();
        let edit = format!("{record}/edit");
        let form = plain.get(&edit).text;
        let with = |fields: &[(&str, &str)]| fill(&form, &edit, fields);
        let first = plain.send(&edit, &with(&[("phone", "13800130001")]));
        assert!(first.text.contains("已保存在本机"), "{}", first.text);
        let other = plain.send(&edit, &with(&[("household", "H7")]));
        assert!(other.text.contains("已保存在本机"), "another field is free: {}", other.text);
        let asked = plain.send(&edit, &with(&[("phone", "13800130002")]));
        assert_eq!(asked.status, 409);
        assert!(asked.text.contains("别人刚改成了“13800130001”"), "{}", asked.text);
        assert!(asked.text.contains("href=\"#field-phone\""), "{}", asked.text);
        assert!(plain.get(&record).text.contains("13800130001"), "not saved yet");
        let meant = fill(&asked.text, &edit, &[]);
        assert_eq!(meant["phone"], "13800130002");
        let saved = plain.send(&edit, &meant);
        assert!(saved.text.contains("已保存在本机"), "{}", saved.text);
        let now = plain.get(&record).text;
        assert!(now.contains("13800130002") && now.contains("H7"), "{now}");
    });
}

/// Shows that the summary of what is wrong leads to the fields, and that the first of them has the
/// focus.
#[tokio::test(flavor = "multi_thread")]
async fn a_summary_leads_to_the_fields() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("wang");
        let action = "/records/new/population";
        let wrong = [("name", "张三"), ("sex", "男"), ("id_number", "11010519491231002Y")];
        let page = plain.submit(action, action, &wrong).text;
        assert!(page.contains("<a href=\"#field-id_number\">身份证号："), "{page}");
        let focused: Vec<&str> = page.split('<').filter(|tag| tag.contains(" autofocus")).collect();
        assert!(focused.len() == 1 && focused[0].contains("field-id_number"), "{focused:?}");
    });
}

/// Shows that a villager whose photo is too large keeps the text and is told, that one whose phone
/// is mistyped is told to choose the photo again, and that neither meets a page of staff.
#[tokio::test(flavor = "multi_thread")]
async fn a_villager_keeps_the_text_and_is_told_about_the_photo() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        let action = "/p/370322102310/report";
        let fields = fill(&plain.get(action).text, action, &[("text", "路灯坏了三天")]);
        let large = vec![0xff; 20 << 20];
        let page = plain.upload(action, &fields, Some(&large));
        assert_eq!(page.status, 422);
        assert!(page.text.contains("照片太大") && page.text.contains(">路灯坏了三天</textarea>"));
        let mistyped = fill(&page.text, action, &[("text", "路灯坏了三天"), ("phone", "138")]);
        let page = plain.upload(action, &mistyped, Some(PHOTO));
        assert!(page.status == 422 && page.text.contains("请重新选一次照片"), "{}", page.text);
        let mut stale = fields.clone();
        stale.insert("token".to_owned(), "0".repeat(64));
        let page = plain.upload(action, &stale, Some(PHOTO));
        assert!(page.text.contains("您填的内容还在") && page.text.contains("路灯坏了三天"));
        assert_eq!(count(&node, "SELECT count(*) FROM ticket"), 0);
        let again = fill(&page.text, action, &[("text", "路灯坏了三天")]);
        assert!(plain.upload(action, &again, Some(PHOTO)).text.contains("已收到，谢谢您"));
    });
}

/// Shows that a plate of another place, a village that is in no register and a number that has not
/// come yet lead a villager on, in their own words and without a login.
#[tokio::test(flavor = "multi_thread")]
async fn a_villager_meets_no_dead_end() {
    let node = Node::village().await;
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        for elsewhere in ["/p/370322102999", "/p/110101001001/report", "/p/370322102203", "/p/x"] {
            let page = plain.get(elsewhere);
            assert_eq!(page.status, 404, "{elsewhere}");
            assert!(page.text.contains("这块门牌不归这里管"), "{elsewhere}: {}", page.text);
            assert!(
                page.text.contains("href=\"tel:6310000\"") && page.text.contains("href=\"/t\"")
            );
            assert!(!page.text.contains("right to") && !page.text.contains("href=\"/login"));
        }
        let page = plain.get("/t/261129-FDVYX65");
        assert_eq!(page.status, 404);
        assert!(page.text.contains("这里还查不到这个编号"), "{}", page.text);
        assert!(page.text.contains("value=\"261129-FDVYX65\""), "it can be corrected");
    });
}
