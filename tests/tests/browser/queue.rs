//! The queue: whole pages, counts of what the reader may read, and officers who see what is
//! assigned to their unit.

use cunlian_governance::ticket::{
    Action, Assignee, Channel, Kind, NewTicket, fold, report as reported,
};
use cunlian_host::admin::people::{NewPerson, Password};
use cunlian_host::clock::now_ms;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::change::Home;
use cunlian_protocol::id::DocumentId;
use serde_json::Value;

use super::fixture::{Node, PASSWORD};
use super::plain::Plain;

const UNIT: &str = "高城镇综合执法队";
const OTHER_UNIT: &str = "高城镇水利站";

/// How the queue says that so many tickets wait to be accepted.
fn tile(reported: u32) -> String {
    format!("<span class=\"figure\">{reported}</span><span class=\"label\">待受理")
}

impl Node {
    /// A ticket of `village`; as its text, `about` is unlike that of any other.
    fn report(&self, number: u8, village: &str, channel: Channel, about: &str) -> Home {
        let new = NewTicket {
            village: AddressCode::parse(village).unwrap(),
            channel,
            title: about.to_owned(),
            text: about.to_owned(),
            kind: None,
            photos: Vec::new(),
            name: String::new(),
            phone: String::new(),
            source: "test".to_owned(),
        };
        let (_, writes) = reported(&new, DocumentId([number; 16]), now_ms()).unwrap();
        let home = writes[0].home;
        self.write(writes, now_ms());
        home
    }

    fn act(&self, ticket: &Home, action: &Action) {
        let view = self.store.view(ticket).unwrap().unwrap();
        let write = fold(&view, &self.store.authority()).act(action, "test").unwrap();
        self.write(vec![write], now_ms());
    }

    fn assign(&self, ticket: &Home, unit: &str) {
        self.act(ticket, &Action::Accept { kind: Kind::Other });
        let address = AddressCode::parse("370322102").unwrap();
        self.act(ticket, &Action::Assign { to: Assignee { name: unit.to_owned(), address } });
    }

    fn hire(&self, name: &str, role: &str, region: Option<&str>, unit: Option<&str>) {
        let person = NewPerson {
            name: name.to_owned(),
            display_name: format!("{name}同志"),
            role: role.to_owned(),
            region: region.map(str::to_owned),
            unit: unit.map(str::to_owned),
            password: Some(Password::new(PASSWORD.to_owned())),
            ..NewPerson::default()
        };
        self.administration.operator_add(&person).unwrap();
    }
}

/// The titles of the tickets on a page, in order.
fn titles(page: &str) -> Vec<&str> {
    page.split("<a class=\"item ").skip(1).map(title).collect()
}

fn title(item: &str) -> &str {
    let at = item.find('第').expect("the title of every ticket here has a number");
    item[at..].split('号').next().unwrap()
}

/// Where the link with this `rel` leads.
fn link<'a>(page: &'a str, rel: &str) -> Option<&'a str> {
    let before = page.split(&format!("\" rel=\"{rel}\"")).next().filter(|it| *it != page)?;
    before.rsplit("href=\"").next()
}

/// Shows that pages of the queue are whole under a filter by channel, follow each other without
/// loss, keep the filter, and count what is there; and that a dispatcher for one village is
/// counted and shown that village alone.
#[tokio::test(flavor = "multi_thread")]
async fn pages_are_whole_and_counts_count_what_may_be_read() {
    let node = Node::town().await;
    for number in 0..130_u8 {
        let village = if number % 2 == 0 { "370322102310" } else { "370322102203" };
        let channel = if number % 13 == 0 { Channel::Hotline } else { Channel::Plate };
        node.report(number + 1, village, channel, &format!("第{number:03}号"));
    }
    node.hire("qian", "dispatcher", Some("370322102203"), None);
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("li");
        let (mut seen, mut sizes, mut path) = (Vec::new(), Vec::new(), "/queue".to_owned());
        loop {
            let page = plain.get(&path).text;
            assert!(page.contains("共 130 件") && page.contains(&tile(130)), "{page}");
            let shown = titles(&page);
            sizes.push(shown.len());
            seen.extend(shown.into_iter().map(str::to_owned));
            match link(&page, "next") {
                Some(next) => path = next.replace("&amp;", "&").replace("&#38;", "&"),
                None => break,
            }
        }
        assert_eq!(sizes, [50, 50, 30]);
        seen.sort_unstable();
        let all: Vec<String> = (0..130).map(|number| format!("第{number:03}")).collect();
        assert_eq!(seen, all);
        let hotline = plain.get("/queue?channel=hotline").text;
        assert_eq!(titles(&hotline).len(), 10, "all ten of the hotline stand on the first page");
        assert!(hotline.contains("共 10 件"), "{hotline}");
        assert!(link(&hotline, "next").is_none());
        let last = plain.get("/queue?from=100").text;
        assert!(link(&last, "next").is_none() && link(&last, "prev").is_some());

        let narrow = Plain::new(&node.url);
        narrow.log_in("qian");
        let page = narrow.get("/queue").text;
        assert!(page.contains("共 65 件") && page.contains(&tile(65)), "{page}");
        assert_eq!(titles(&page).len(), 50);
        let one: Value =
            serde_json::from_str(&narrow.get("/api/v1/tickets?limit=100").text).unwrap();
        let listed = one["tickets"].as_array().unwrap();
        assert_eq!(listed.len(), 65);
        assert!(listed.iter().all(|ticket| ticket["address"] == "370322102203"));
    });
}

/// Shows that an officer sees what is assigned to their unit in every list, page and answer, and
/// nothing of the rest, also not by its address; that a changed unit counts from the next request
/// on; and that a ticket which is handed on leaves their list and they are told.
#[tokio::test(flavor = "multi_thread")]
async fn officers_see_what_is_assigned_to_their_unit() {
    let node = Node::town().await;
    let village = "370322102310";
    let mine = node.report(1, village, Channel::Plate, "第001号 河道里有人挖沙");
    let others = node.report(2, village, Channel::Plate, "第002号 水渠漏水");
    let nobodys = node.report(3, village, Channel::Plate, "第003号 路灯不亮");
    node.assign(&mine, UNIT);
    node.assign(&others, OTHER_UNIT);
    node.hire("zhou", "department_officer", None, Some(UNIT));
    let href = |home: &Home| format!("/tickets/{}/{}", home.address, home.document);
    let api = |home: &Home| format!("/api/v1/tickets/{}/{}", home.address, home.document);
    tokio::task::block_in_place(|| {
        let plain = Plain::new(&node.url);
        plain.log_in("zhou");
        let listed = |path: &str| -> Vec<String> {
            titles(&plain.get(path).text).into_iter().map(str::to_owned).collect()
        };
        assert_eq!(listed("/queue"), ["第001"]);
        assert!(plain.get("/queue?state=all").text.contains("共 1 件"));
        assert!(plain.get("/queue").text.contains(&tile(0)), "the queue counts what they see");
        let tickets: Value = serde_json::from_str(&plain.get("/api/v1/tickets").text).unwrap();
        assert_eq!(tickets["tickets"].as_array().unwrap().len(), 1, "{tickets}");
        assert_eq!(plain.get(&href(&mine)).status, 200);
        for hidden in [&others, &nobodys] {
            assert_eq!(plain.get(&href(hidden)).status, 404);
            assert_eq!(plain.get(&api(hidden)).status, 404);
        }
        let sent = plain.send(
            &format!("{}/handle", href(&others)),
            &super::plain::fill(
                &plain.get(&href(&mine)).text,
                &format!("{}/handle", href(&mine)),
                &[("text", "我看看")],
            ),
        );
        assert_eq!(sent.status, 404, "what cannot be read is not acted on");

        node.administration.operator_unit("zhou", OTHER_UNIT).unwrap();
        assert_eq!(listed("/queue"), ["第002"], "from the next request on");
        assert_eq!(plain.get(&href(&mine)).status, 404);
        node.administration.operator_unit("zhou", "").unwrap();
        assert_eq!(listed("/queue"), [""; 0]);
        node.administration.operator_unit("zhou", UNIT).unwrap();

        let action = format!("{}/return", href(&mine));
        let done = plain.submit(&href(&mine), &action, &[("text", "应由水利部门办理")]);
        assert_eq!((done.status.as_u16(), done.path.as_str()), (200, "/tickets/handed-on"));
        assert!(done.text.contains("已不由您或您的部门办理"), "{}", done.text);
        assert_eq!(listed("/queue"), [""; 0]);
        let refused = node.administration.operator_unit("zhou", "一行\n又一行").unwrap_err();
        assert!(refused.message.contains("line break"), "{}", refused.message);
    });
}
