//! Tests of commands and fold: stories of one ticket.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use cunlian_crdt::document::{DocumentView, Edit, Erasure, Operation, Write, Writer};
use cunlian_protocol::address::AddressCode;

use super::*;

const MORNING_MS: i64 = 1_783_641_600_000;

/// Villagers' node, dispatcher and secretary, told apart by their serials.
const VILLAGE: Serial = Serial([1; 16]);
const DISPATCHER: Serial = Serial([2; 16]);
const LEADER: Serial = Serial([4; 16]);
const STRANGER: Serial = Serial([9; 16]);

/// Only the dispatcher may assign, and the stranger may do nothing.
struct Office;

impl Judge for Office {
    fn may(&self, writer: &Writer, verb: Verb, _home: &Home) -> Result<(), String> {
        let refused = writer.author == STRANGER
            || (right(verb) == Rights::ASSIGN && writer.author != DISPATCHER)
            || (right(verb) == Rights::SIGN_OFF && writer.author != LEADER);
        if refused { Err(format!("may not {}", verb.as_str())) } else { Ok(()) }
    }

    fn name_of(&self, author: &Serial) -> String {
        format!("office {}", author.as_bytes().first().unwrap())
    }
}

/// One document and the minute that is next.
struct Story {
    view: DocumentView,
}

impl Story {
    fn new() -> (Self, Receipt) {
        let village = AddressCode::parse("370322102310").unwrap();
        let new = NewTicket {
            village,
            channel: Channel::Plate,
            title: String::new(),
            text: "翻建老房需要哪些手续？电话13800138000".to_owned(),
            kind: Some(Kind::Policy),
            photos: Vec::new(),
            name: "苑大明".to_owned(),
            phone: "138 0013 8000".to_owned(),
            source: "plate".to_owned(),
        };
        let (receipt, writes) = report(&new, DocumentId([3; 16]), MORNING_MS).unwrap();
        let [base, contact] = writes.as_slice() else { panic!("two documents: {writes:?}") };
        let body = body(base);
        assert!(!body.contains("13800138000") && !body.contains("苑大明"), "{body}");
        assert_eq!(contact.home.category, Category::TICKET_CONTACT);
        let view = DocumentView {
            home: base.home,
            fields: std::collections::BTreeMap::new(),
            operations: Vec::new(),
            changes: 0,
            waiting: 0,
            tainted: Vec::new(),
            erased: None,
        };
        let mut story = Self { view };
        story.append(VILLAGE, &body);
        (story, receipt)
    }

    fn append(&mut self, author: Serial, body: &str) {
        let minute = i64::try_from(self.view.operations.len()).unwrap();
        let mut change = [0; 32];
        *change.first_mut().unwrap() = u8::try_from(minute).unwrap();
        self.view.operations.push(Operation {
            body: body.to_owned(),
            writer: Writer {
                author,
                seq: 1,
                recorded_at_ms: MORNING_MS + minute * 60_000,
                change: ChangeId(change),
                source: String::new(),
                task: String::new(),
                tainted: false,
            },
            reverted_by: None,
        });
    }

    fn act(&mut self, author: Serial, action: &Action) {
        let write = self.ticket().act(action, "test").unwrap();
        self.append(author, &body(&write));
    }

    fn ticket(&self) -> Ticket {
        fold_with(&self.view, &Office)
    }

    fn outcomes(&self) -> Vec<&'static str> {
        self.ticket().trace.iter().map(|step| step.outcome.as_str()).collect()
    }
}

fn body(write: &Write) -> String {
    match write.edits.as_slice() {
        [Edit::Append { body }] => body.clone(),
        edits => panic!("one action: {edits:?}"),
    }
}

fn secretary() -> Action {
    let address = AddressCode::parse("370322102310").unwrap();
    Action::Assign { to: Assignee { name: "苑兴村村支书".to_owned(), address } }
}

fn feedback() -> Action {
    Action::Feedback { text: "先到村委申请，再报镇批准".to_owned(), photos: Vec::new() }
}

/// Shows the main story: report, accept, assign, handle, feed back, rate; each step with its
/// handler, and the receipt the villager got.
#[test]
fn a_ticket_goes_through_all_steps() {
    let (mut story, receipt) = Story::new();
    story.act(DISPATCHER, &Action::Accept { kind: Kind::Policy });
    story.act(DISPATCHER, &secretary());
    story.act(VILLAGE, &Action::Handle { text: "明天上午到村委来".to_owned() });
    story.act(VILLAGE, &feedback());
    story.act(VILLAGE, &Action::Rate { stars: 5, text: String::new() });
    let ticket = story.ticket();
    assert_eq!(ticket.state, State::Closed);
    assert_eq!(ticket.receipt, Some(receipt));
    assert_eq!(ticket.title, "翻建老房需要哪些手续？电话138****8000");
    assert_eq!(ticket.reporter, Some(ticket.contact_home().document));
    assert_eq!(ticket.accepted_ms, Some(MORNING_MS + 60_000));
    assert_eq!(ticket.replied_ms, Some(MORNING_MS + 180_000));
    assert_eq!(ticket.completed_ms, Some(MORNING_MS + 240_000));
    assert_eq!(story.outcomes(), ["taken"; 6]);
    let handlers: Vec<_> = ticket.trace.iter().map(|step| step.handler.as_str()).collect();
    assert_eq!(handlers, ["office 1", "office 2", "office 2", "office 1", "office 1", "office 1"]);
}

/// Shows that who lacks the right changes nothing, and that the trace says so.
#[test]
fn actions_without_right_are_shown_and_ignored() {
    let (mut story, _) = Story::new();
    story.append(STRANGER, &Action::Accept { kind: Kind::Other }.encode());
    assert_eq!(story.ticket().state, State::Reported);
    story.act(DISPATCHER, &Action::Accept { kind: Kind::Policy });
    story.append(VILLAGE, &secretary().encode());
    let ticket = story.ticket();
    assert_eq!((ticket.state, ticket.assignee.clone()), (State::Accepted, None));
    assert_eq!(story.outcomes(), ["taken", "no_right", "taken", "no_right"]);
    assert_eq!(ticket.trace.last().unwrap().outcome.reason(), "may not assign");
}

/// Shows that of two acceptances made at the same time on both sides of a cut line, the first in
/// the document's order is taken at every node and the other stays visible.
#[test]
fn concurrent_acceptances_give_one() {
    let (mut story, _) = Story::new();
    story.append(DISPATCHER, &Action::Accept { kind: Kind::Policy }.encode());
    story.append(VILLAGE, &Action::Accept { kind: Kind::Emergency }.encode());
    let ticket = story.ticket();
    assert_eq!((ticket.state, ticket.kind), (State::Accepted, Some(Kind::Policy)));
    let last = ticket.trace.last().unwrap();
    assert_eq!(last.outcome, Outcome::NotNow(State::Accepted));
}

/// Shows that an action of a later version is kept in the trace and does not stop the ticket.
#[test]
fn unknown_actions_do_not_stop_a_ticket() {
    let (mut story, _) = Story::new();
    story.append(DISPATCHER, r#"{"v":7,"op":"consult","with":"everybody"}"#);
    story.act(DISPATCHER, &Action::Accept { kind: Kind::Other });
    assert_eq!(story.ticket().state, State::Accepted);
    assert_eq!(story.outcomes(), ["taken", "unknown", "taken"]);
}

/// Shows that a returned ticket loses its assignee and can be assigned again, and that a
/// rejected one is closed with its reason.
#[test]
fn returned_and_rejected_tickets() {
    let (mut story, _) = Story::new();
    story.act(DISPATCHER, &Action::Accept { kind: Kind::Other });
    story.act(DISPATCHER, &secretary());
    story.act(VILLAGE, &Action::Return { reason: "不归村里管".to_owned() });
    let returned = story.ticket();
    assert_eq!((returned.state, returned.returns), (State::Accepted, 1));
    assert_eq!(returned.assignee, None);
    story.act(DISPATCHER, &Action::Reject { reason: "重复上报".to_owned() });
    let rejected = story.ticket();
    assert_eq!((rejected.state, rejected.result.as_deref()), (State::Rejected, Some("重复上报")));
    assert!(rejected.closed_ms.is_some() && !rejected.state.is_open());
}

/// Shows that commands name exactly what is wrong before anything is written.
#[test]
fn commands_check_words_and_state_first() {
    let (mut story, _) = Story::new();
    let ticket = story.ticket();
    assert_eq!(
        ticket.act(&feedback(), "test"),
        Err(TicketError::NotNow { verb: Verb::Feedback, state: State::Reported })
    );
    let empty = Action::Reject { reason: "  ".to_owned() };
    assert_eq!(ticket.act(&empty, "test"), Err(TicketError::Empty { field: "reason" }));
    story.act(DISPATCHER, &Action::Accept { kind: Kind::Policy });
    story.act(VILLAGE, &feedback());
    let six = Action::Rate { stars: 6, text: String::new() };
    assert_eq!(story.ticket().act(&six, "test"), Err(TicketError::Stars { got: 6 }));
    story.append(VILLAGE, &six.encode());
    assert_eq!(story.ticket().state, State::Answered, "the fold does not take it either");
}

/// Shows that the clock of advice stops with the first answer and that of other matters only
/// with the result.
#[test]
fn clocks_stop_at_their_goal() {
    for (kind, stopped) in [(Kind::Service, true), (Kind::Other, false)] {
        let (mut story, _) = Story::new();
        assert_eq!(story.ticket().clock(Rules::built_in()), None, "not accepted yet");
        story.act(DISPATCHER, &Action::Accept { kind });
        story.act(VILLAGE, &Action::Handle { text: "已安排".to_owned() });
        let clock = story.ticket().clock(Rules::built_in()).unwrap();
        assert_eq!(clock.stopped_ms.is_some(), stopped, "{}", kind.as_str());
    }
}

/// Shows that a report outside of a village or with a wrong phone is refused.
#[test]
fn reports_are_checked() {
    let new = |village: &str, phone: &str| NewTicket {
        village: AddressCode::parse(village).unwrap(),
        channel: Channel::WalkIn,
        title: String::new(),
        text: "路灯不亮".to_owned(),
        kind: None,
        photos: Vec::new(),
        name: String::new(),
        phone: phone.to_owned(),
        source: "terminal".to_owned(),
    };
    let result = report(&new("370322102", ""), DocumentId([1; 16]), 0);
    assert!(matches!(result, Err(TicketError::Address { .. })));
    let result = report(&new("370322102310", "123"), DocumentId([1; 16]), 0);
    assert!(matches!(result, Err(TicketError::Phone(_))));
    let (_, writes) = report(&new("370322102310", ""), DocumentId([1; 16]), 0).unwrap();
    assert_eq!(writes.len(), 1, "an anonymous report has no contact document");
}

/// Shows that a step of a revoked author counts and is marked, that one that was taken back has no
/// effect and stays visible, and that taking it back voids what was signed with it.
#[test]
fn steps_that_were_taken_back_are_shown() {
    let mut story = answered();
    let accept = story.view.operations.get_mut(1).unwrap();
    accept.writer.tainted = true;
    let ticket = story.ticket();
    assert_eq!(ticket.trace.iter().map(|s| s.tainted).collect::<Vec<_>>(), [false, true, false]);
    story.act(LEADER, &ticket.signing(""));
    assert!(story.ticket().sign_off().unwrap().standing.stands());
    story.view.operations.get_mut(2).unwrap().reverted_by = Some(ChangeId([7; 32]));
    let ticket = story.ticket();
    assert_eq!(story.outcomes(), ["taken", "taken", "reverted", "taken"]);
    assert_eq!((ticket.state, ticket.result.as_deref()), (State::Accepted, None));
    assert_eq!(ticket.sign_off().unwrap().standing, SignOffStatus::Void { since: None });
}

/// Shows that of an erased ticket nothing is left but who erased it, when and why, and that nothing
/// can be done with it.
#[test]
fn an_erased_ticket_says_why_and_nothing_else() {
    let mut story = answered();
    story.view.operations.clear();
    story.view.erased = Some(Erasure {
        reason: "本人申请删除".to_owned(),
        by: LEADER,
        at_ms: MORNING_MS + 5,
        change: ChangeId([8; 32]),
    });
    let ticket = story.ticket();
    let erased = ticket.erased.as_ref().unwrap();
    let seen = (erased.reason.as_str(), erased.handler.as_str(), erased.at_ms);
    assert_eq!(seen, ("本人申请删除", "office 4", MORNING_MS + 5));
    assert_eq!((ticket.state, ticket.trace.len(), ticket.actions().count()), (State::Erased, 0, 0));
    assert!(!ticket.state.is_open());
}

/// A ticket that has been answered.
fn answered() -> Story {
    let (mut story, _) = Story::new();
    story.act(DISPATCHER, &Action::Accept { kind: Kind::Policy });
    story.act(VILLAGE, &feedback());
    story
}

/// Shows that a sign-off stands through a rating and a note, that a further step voids it with
/// the name of who made it, and that the leader can sign again.
#[test]
fn a_sign_off_stands_until_what_was_signed_changes() {
    let mut story = answered();
    let seen = story.ticket().signing("同意");
    story.act(LEADER, &seen);
    story.act(VILLAGE, &Action::Note { text: "已存档".to_owned() });
    let ticket = story.ticket();
    let sign_off = ticket.sign_off().unwrap();
    assert_eq!((sign_off.handler.as_str(), sign_off.text.as_str()), ("office 4", "同意"));
    assert!(sign_off.standing.stands() && !ticket.allows(Verb::SignOff));
    assert_eq!(ticket.state, State::Answered, "a signature moves nothing");

    // A step made at the same time elsewhere sorts before the result that was signed.
    story.append(VILLAGE, &Action::AskMore { text: "还缺一张照片".to_owned() }.encode());
    let step = story.view.operations.pop().unwrap();
    story.view.operations.insert(2, step);
    let voided = story.ticket();
    let sign_off = voided.sign_off().unwrap();
    assert_eq!((sign_off.standing.stands(), sign_off.voided_by.as_str()), (false, "office 1"));
    assert_eq!(story.outcomes(), ["taken"; 6], "shown, and void");

    assert!(voided.allows(Verb::SignOff));
    assert_eq!(voided.act(&seen, "test"), Err(TicketError::Changed), "what was read is old");
    story.act(LEADER, &voided.signing("已看过补充，同意"));
    assert!(story.ticket().sign_off().unwrap().standing.stands());
    assert_eq!(story.ticket().sign_offs.len(), 2);
}

/// Shows that nobody without the right signs, that what is shown and ignored voids nothing, and
/// that a case without a result cannot be signed.
#[test]
fn a_sign_off_needs_the_right_and_a_result() {
    let mut story = answered();
    let seen = story.ticket().signing("");
    story.append(DISPATCHER, &seen.encode());
    assert_eq!(story.ticket().sign_off(), None);
    story.act(LEADER, &seen);
    story.append(STRANGER, &Action::Return { reason: "不服".to_owned() }.encode());
    story.append(VILLAGE, &Action::Accept { kind: Kind::Other }.encode());
    assert_eq!(
        story.outcomes(),
        ["taken", "taken", "taken", "no_right", "taken", "no_right", "not_now"]
    );
    assert!(story.ticket().sign_off().unwrap().standing.stands());

    let (mut open, _) = Story::new();
    let signing = open.ticket().signing("");
    assert_eq!(
        open.ticket().act(&signing, "test"),
        Err(TicketError::NotNow { verb: Verb::SignOff, state: State::Reported })
    );
    open.append(LEADER, &signing.encode());
    assert_eq!((open.outcomes(), open.ticket().sign_off()), (vec!["taken", "not_now"], None));
}
