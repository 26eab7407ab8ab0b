//! Administration as an administrator meets it: inviting, people, certificates off line, asking
//! why, and a clear no to everybody else. What happens when somebody goes is in `dismissal`.

use std::collections::BTreeMap;
use std::process::Command;

use cunlian_crdt::document::{Edit, Write};
use cunlian_governance::library::catalogue::{Catalogue, Part};
use cunlian_governance::library::{Fields, Origin, Place, record};
use cunlian_governance::ticket::{self, Action, Channel, NewTicket};
use cunlian_host::admin::Request;
use cunlian_host::admin::issuing::{IssuedFile, RequestFile};
use cunlian_host::admin::people::{NewPerson, Password, PeopleAction};
use cunlian_host::clock::now_ms;
use cunlian_host::config::Config;
use cunlian_host::keystore::{Keystore, NODE_KEY};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::change::Home;
use cunlian_protocol::enrolment::Token;
use cunlian_protocol::id::DocumentId;
use cunlian_protocol::signing::public_key;
use tempfile::TempDir;

use super::chromium::Chromium;
use super::fixture::{Node, PASSWORD};
use super::plain::{Plain, between, fill};

/// Every page of administration.
pub const PAGES: [&str; 6] = [
    "/admin",
    "/admin/invitations",
    "/admin/issue",
    "/admin/people",
    "/admin/nodes",
    "/admin/why?who=li&verb=read&address=370322102",
];

/// What each form of administration is sent to.
const ACTS: [&str; 11] = [
    "/admin/invitations",
    "/admin/invitations/0011223344556677/cancel",
    "/admin/issue/confirm",
    "/admin/issue/download",
    "/admin/people",
    "/admin/people/li/reset",
    "/admin/people/li/unlock",
    "/admin/people/li/remove",
    "/admin/nodes/00112233/release",
    "/admin/revoke",
    "/admin/review/00112233",
];

fn code(text: &str) -> AddressCode {
    AddressCode::parse(text).unwrap()
}

/// Adds a person with the password that everybody here has.
pub fn add(node: &Node, name: &str, display_name: &str, role: &str) {
    let person = NewPerson {
        name: name.to_owned(),
        display_name: display_name.to_owned(),
        role: role.to_owned(),
        password: Some(Password::new(PASSWORD.to_owned())),
        ..NewPerson::default()
    };
    let action = PeopleAction::Add(person);
    node.administration.perform(&Request::People { action }).unwrap();
}

/// The town with an administrator.
pub async fn town() -> Node {
    let node = Node::town().await;
    add(&node, "chen", "陈管理", "administrator");
    node
}

pub fn ticket(node: &Node, title: &str, document: u8) -> Home {
    let new = NewTicket {
        village: code("370322102310"),
        channel: Channel::WalkIn,
        title: title.to_owned(),
        text: "村口路灯不亮了".to_owned(),
        kind: None,
        photos: Vec::new(),
        name: String::new(),
        phone: String::new(),
        source: "terminal".to_owned(),
    };
    let (_, writes) = ticket::report(&new, DocumentId([document; 16]), now_ms()).unwrap();
    let home = writes[0].home;
    node.write(writes, now_ms());
    home
}

pub fn person(node: &Node, name: &str) -> Place {
    let place = Place { address: code("370322102310"), record: DocumentId([5; 16]) };
    let fields: Fields = [("name", name), ("sex", "男"), ("phone", "13800138000")]
        .map(|(key, text)| (key.to_owned(), text.to_owned()))
        .into();
    let catalogue = Catalogue::built_in();
    let origin = Origin::default();
    let writes = record::register(&catalogue, "population", place, &fields, &origin).unwrap();
    node.write(writes, now_ms());
    place
}

/// The notes in the journal of administrators, oldest first.
pub fn noted(node: &Node) -> Vec<String> {
    let home = Home {
        category: cunlian_protocol::category::Category::JOURNAL,
        address: code("370322102"),
        document: DocumentId(*b"administrators\0\0"),
    };
    let view = node.store.view(&home).unwrap();
    let operations = view.map(|view| view.operations).unwrap_or_default();
    let what = |body: &str| between(body, "\"what\":\"", "\"").to_owned();
    operations.iter().map(|operation| what(&operation.body)).collect()
}

/// Shows that an administrator invites a village from the list, that the code on the sheet is the
/// token and is shown this once, and that it can be taken back.
#[tokio::test(flavor = "multi_thread")]
async fn a_village_is_invited() {
    let node = town().await;
    let browser = Chromium::start().await;
    browser.log_in(&node.url, "chen").await;
    browser.click(".nav a[href='/admin']").await;
    browser.click("main a[href='/admin/invitations']").await;
    browser.choose("#code", "370322102310").await;
    browser.type_in("#addresses", "10.1.2.3:7320").await;
    browser.click("main form.form button").await;
    browser.wait_for_text("苑兴村 装机单").await;
    let line = browser.text(".token").await;
    let token: Token = line.strip_prefix("cunlian join ").unwrap().trim().parse().unwrap();
    assert_eq!(token.addresses, ["10.1.2.3:7320"]);
    assert_eq!(token.parent, public_key(&node.author.key));
    assert_eq!(scanned(&browser).await, token.to_string());
    assert_eq!(noted(&node), ["invite"]);

    browser.open(&format!("{}/admin/invitations", node.url)).await;
    browser.wait_for_text("未使用").await;
    let page = browser.text("main").await;
    assert!(page.contains("苑兴村") && !page.contains("CUNLIAN"), "{page}");
    browser.click("form[action$='/cancel'] button").await;
    browser.wait_for_text("已取消").await;
    assert_eq!(noted(&node), ["invite", "cancel_invitation"]);
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.end().await;
}

/// The text of the code on the sheet as the browser draws it, the whole page at once.
async fn scanned(browser: &Chromium) -> String {
    browser.client.set_window_size(1280, 1600).await.unwrap();
    let picture = tempfile::Builder::new().suffix(".png").tempfile().unwrap();
    std::fs::write(picture.path(), browser.client.screenshot().await.unwrap()).unwrap();
    let read = Command::new("zbarimg").args(["--quiet", "--raw"]).arg(picture.path()).output();
    let read = read.expect("zbarimg is installed (Debian package zbar-tools)");
    String::from_utf8(read.stdout).unwrap().trim().to_owned()
}

/// Shows, without scripts, that a person is added with a one-time password that is shown this
/// once, logs in with it, is reset, and that what people get wrong is said in their words.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_added_and_reset() {
    let node = town().await;
    tokio::task::block_in_place(|| {
        let (admin, liu) = (Plain::new(&node.url), Plain::new(&node.url));
        admin.log_in("chen");
        let add = |name: &str, region: &str| {
            let fields = [
                ("name", name),
                ("display_name", "刘网格"),
                ("role", "grid_worker"),
                ("region", region),
            ];
            admin.submit("/admin/people", "/admin/people", &fields)
        };
        for (name, region, words) in [
            ("刘", "", "只能用小写字母"),
            ("li", "", "已经有人用了"),
            ("liu", "37032210231", "不是完整的区划编码"),
            ("liu", "370322104201", "不在本机管辖范围之内"),
        ] {
            let answer = add(name, region);
            assert!(answer.text.contains(words), "{name} {region}: {}", answer.text);
            assert!(answer.text.contains("value=\"刘网格\""), "what was typed stays");
        }
        let added = add("liu", "370322102310");
        let password = between(&added.text, "<p class=\"secret\">", "<").to_owned();
        assert!(added.text.contains("刘网格") && added.text.contains("首次登录须改密码"));
        assert!(!admin.get("/admin/people").text.contains(&password));
        let log_in = |password: &str| {
            liu.submit("/login", "/login", &[("name", "liu"), ("password", password)])
        };
        assert_eq!(log_in(&password).path, "/account", "a one-time password must be changed");

        let reset = admin.submit("/admin/people", "/admin/people/liu/reset", &[]);
        let second = between(&reset.text, "<p class=\"secret\">", "<").to_owned();
        assert_ne!(second, password);
        assert!(liu.get("/queue").path.starts_with("/login"), "the session has ended");
        assert_eq!(log_in(&password).status, 401);
        assert_eq!(log_in(&second).path, "/account");
    });
    assert_eq!(noted(&node), ["add_operator", "reset_operator"]);
}

/// A case and a record to which somebody who will be revoked added something, with which the node
/// went on.
pub fn went_on(node: &Node) -> (Home, Home) {
    let case = ticket(node, "村口路灯不亮", 8);
    let place = person(node, "苑大明");
    let catalogue = Catalogue::built_in();
    let base = catalogue.class("population").unwrap().home(Part::Base, place.address, place.record);
    let put = |field: &str, text: &str| Write {
        home: base,
        edits: vec![Edit::Put { field: field.to_owned(), text: text.to_owned() }],
        source: "terminal".to_owned(),
        task: String::new(),
    };
    let said = |text: &str| Action::Note { text: text.to_owned() }.write(case, "terminal");
    let theirs = vec![put("name", "张冠李戴"), said("村民说不用修了")];
    node.store.write(&node.operator, theirs, now_ms()).unwrap();
    node.write(vec![put("sex", "女"), said("接着办")], now_ms());
    (case, base)
}

/// Nothing that the first person of the node wrote stands any more.
pub fn revoke_all(node: &Node) {
    use cunlian_protocol::revocation::{RevocationBody, Standing};
    let body = RevocationBody {
        own: Standing { serial: node.operator.serial, through_seq: 0, tags: Vec::new() },
        successor: None,
        descendants: Vec::new(),
        reason: "冒名操作".to_owned(),
        issuer: Some(node.author.serial),
    };
    let refused = node.store.add_revocations(&[body.sign(&node.author.key)]).unwrap();
    assert_eq!(refused, Vec::<String>::new());
}

/// Shows that who does not administer is refused in words on every page and at every form of
/// administration, has no entry for it, and that an administrator's form needs its token.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_administers() {
    let node = town().await;
    tokio::task::block_in_place(|| {
        let (stranger, li, chen) =
            (Plain::new(&node.url), Plain::new(&node.url), Plain::new(&node.url));
        li.log_in("li");
        chen.log_in("chen");
        let entry = "href=\"/admin\"";
        assert!(!li.get("/queue").text.contains(entry));
        assert!(chen.get("/queue").text.contains(entry));
        for page in PAGES {
            let refused = li.get(page);
            assert_eq!(refused.status, 403, "{page}");
            assert!(refused.text.contains("只有管理员可以打开这一页"), "{page}");
            assert_eq!(chen.get(page).status, 200, "{page}");
            assert!(stranger.get(page).path.starts_with("/login?next="), "{page}");
        }
        let token = |plain: &Plain| fill(&plain.get("/queue").text, "/logout", &[]);
        for act in ACTS {
            let others = act.starts_with("/admin/review");
            let refused = li.send(act, &token(&li));
            assert!(refused.status == 403 || others, "{act}");
            for forged in [BTreeMap::new(), token(&li)] {
                let refused = chen.send(act, &forged);
                assert_eq!(refused.status, 403, "{act}");
                assert!(refused.text.contains("页面已过期"), "{act}: {}", refused.text);
            }
            let refused = stranger.send(act, &BTreeMap::new());
            assert!(refused.path.starts_with("/login") || refused.status == 403, "{act}");
        }
        let fields = token(&li);
        assert_eq!(li.upload("/admin/issue", &fields, None).status, 403);
        assert_eq!(chen.upload("/admin/issue", &fields, None).status, 403);
    });
    assert_eq!(noted(&node), Vec::<String>::new());
    assert_eq!(node.administration.invitations().unwrap(), []);
}

/// The request of a new machine, and its data directory.
fn request(name: &str, region: &str) -> (TempDir, String) {
    let machine = tempfile::tempdir().unwrap();
    Keystore::new(machine.path()).create_key(NODE_KEY, &mut rand::rng()).unwrap();
    Config::default().save(machine.path()).unwrap();
    let (tier, region) = (Tier::Village, code(region));
    let request = RequestFile::new(machine.path(), tier, region, name.to_owned()).unwrap();
    (machine, request.text())
}

/// Shows, without scripts, that a request is looked at before it is granted, as pasted text or as
/// a file; that the new machine takes what is downloaded; and that what is no request, altered or
/// for another town's village is refused in words.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_line_is_certified() {
    let node = town().await;
    let (machine, request_text) = request("苑兴村", "370322102310");
    let (_other, elsewhere) = request("唐北村", "370322104201");
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("chen");
        assert!(plain.get("/admin/invitations").text.contains("href=\"/admin/issue\""));
        let look = |text: &str, file: Option<&[u8]>| {
            let form = plain.get("/admin/issue").text;
            let fields = [("request", text), ("address", "10.1.2.3:7320")];
            plain.upload("/admin/issue", &fill(&form, "/admin/issue", &fields), file)
        };
        let altered = request_text.replace("苑兴村", "良友村");
        for (text, words) in [
            ("", "请选择申请文件，或粘贴申请文字"),
            ("cunlian-request-1 {}", "这不是完整的申请文字"),
            (altered.as_str(), "not signed by the key"),
            (elsewhere.as_str(), "不在本机管辖范围之内"),
        ] {
            let answer = look(text, None);
            assert_eq!(answer.status, 422, "{text}");
            assert!(answer.text.contains(words), "{words}: {}", answer.text);
        }
        let known = node.store.authority().certificates().count();
        let draft = look("", Some(request_text.as_bytes()));
        assert!(draft.text.contains("高城镇 苑兴村 370322102310"), "{}", draft.text);
        assert_eq!(node.store.authority().certificates().count(), known, "only looked at");
        let draft = look(&request_text, None).text;
        let confirm = "/admin/issue/confirm";
        let fields = unescaped(fill(&draft, confirm, &[]));
        let issued = plain.send(confirm, &fields);
        assert!(issued.text.contains("已给“苑兴村”发证"), "{}", issued.text);
        let download = "/admin/issue/download";
        let file = plain.send(download, &unescaped(fill(&issued.text, download, &[]))).text;
        IssuedFile::parse(&file).unwrap().accept(machine.path()).unwrap();
        let identity = Keystore::new(machine.path()).identity().unwrap();
        assert_eq!(identity.certificate.body().name, "苑兴村");
        assert!(plain.get("/admin/nodes").text.contains("高城镇 苑兴村 370322102310"));
        let other = fill(&issued.text, download, &[("issued", "<script>")]);
        assert_eq!(plain.send(download, &other).status, 422, "it gives back nothing else");
    });
    assert_eq!(noted(&node), ["issue"]);
}

/// The fields as a browser reads them from the page.
fn unescaped(fields: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let plain = |text: String| {
        [("&#34;", "\""), ("&#38;", "&"), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">")]
            .iter()
            .fold(text, |text, (entity, sign)| text.replace(entity, sign))
    };
    fields.into_iter().map(|(name, value)| (name, plain(value))).collect()
}

/// Shows that a question of permission is answered with one word and the reasons, agreeing with
/// what is decided, also after the certificate was taken back.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_why() {
    let node = town().await;
    let browser = Chromium::start().await;
    browser.log_in(&node.url, "chen").await;
    browser.open(&format!("{}/admin/people", node.url)).await;
    browser.click(&format!("a[href='/admin/why?who={}']", node.operator.serial)).await;
    browser.choose("#category", "library/population/base").await;
    browser.click("main form button").await;
    browser.wait_for_text("✓ 可以").await;
    let page = browser.text(".verdict").await;
    assert!(page.contains("李强，查看“人口·基本信息”，地点：高青县 高城镇 370322102"), "{page}");
    browser.choose("#category", "library/population/health").await;
    browser.click("main form button").await;
    browser.wait_for_text("✗ 不可以").await;
    let page = browser.text(".verdict").await;
    assert!(page.contains("不含这类数据：人口·健康"), "{page}");
    browser.end().await;
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("chen");
        let ask = |rest: &str| plain.get(&format!("/admin/why?who=li&{rest}")).text;
        let away = ask("verb=read&address=370322104201&category=ticket");
        assert!(
            away.contains("不可以") && away.contains("不在 高青县 高城镇 370322102 之内"),
            "{away}"
        );
        let may = ask("verb=assign&address=370322102310&category=");
        assert!(may.contains("可以的数据种类") && may.contains("工单"), "{may}");
        assert!(ask("verb=read&address=33010").contains("不是完整的区划编码"));
        let nobody = plain.get("/admin/why?who=zhang&verb=read&address=370322102").text;
        assert!(nobody.contains("没有找到“zhang”"), "{nobody}");
        revoke_all(&node);
        let revoked = ask("verb=read&address=370322102310&category=ticket");
        assert!(
            revoked.contains("✗ 不可以") && revoked.contains("已被高城镇吊销（冒名操作）"),
            "{revoked}"
        );
    });
}

/// Shows that type, targets, contrast and labels hold on every page of administration, that
/// nothing is wider than a desk's window or a telephone's, and that nothing is logged as an error.
#[tokio::test(flavor = "multi_thread")]
async fn administration_can_be_read_and_touched() {
    let node = town().await;
    let (_, base) = went_on(&node);
    let (_machine, text) = request("良友村", "370322102203");
    node.administration.issue_request(&text, 86_400_000, None).unwrap();
    revoke_all(&node);
    let browser = Chromium::start().await;
    browser.log_in(&node.url, "chen").await;
    let erase = format!("/records/3000/{}/{}/erase", base.address, base.document);
    let mut found = Vec::new();
    for width in [1280, 390] {
        browser.client.set_window_size(width, 900).await.unwrap();
        for path in PAGES.into_iter().chain(["/admin/review", erase.as_str()]) {
            browser.open(&format!("{}{path}", node.url)).await;
            found.extend(faults(&browser, path).await);
        }
        browser.open(&format!("{}/admin/invitations", node.url)).await;
        browser.type_in("#addresses", "10.1.2.3:7320").await;
        browser.click("main form.form button").await;
        browser.wait_for_text("装机单").await;
        found.extend(faults(&browser, "the sheet").await);
        browser.open(&format!("{}/admin/nodes?who=chen", node.url)).await;
        browser.type_in("#reason", "已离岗").await;
        browser.click("form[action='/admin/revoke'] button").await;
        browser.wait_for_text("确认吊销").await;
        found.extend(faults(&browser, "what a revocation would do").await);
        browser.open(&format!("{}/admin/issue", node.url)).await;
        browser.type_in("#request", &text).await;
        browser.click("main form button").await;
        browser.wait_for_text("核对申请").await;
        found.extend(faults(&browser, "a request").await);
        browser.click("main form button").await;
        browser.wait_for_text("已给“良友村”发证").await;
        found.extend(faults(&browser, "what was issued").await);
    }
    browser.end().await;
    assert_eq!(found, Vec::<String>::new());
}

/// What is wrong with the page that is open, a line each.
async fn faults(browser: &Chromium, page: &str) -> Vec<String> {
    let found = browser.script(include_str!("measure.js")).await;
    let found = found.as_array().unwrap().iter().map(|line| format!("{page}: {line}"));
    found.chain(browser.console().await.into_iter().map(|line| format!("{page}: {line}"))).collect()
}
