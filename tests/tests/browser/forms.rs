//! Forms that are sent twice, go stale, or come back with what is wrong.

use super::fixture::Node;
use super::plain::{Plain, fill};

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
