//! The story of 苑兴村: a villager asks what rebuilding a house needs, two other families have the
//! same question, the town accepts and dispatches to the village secretary, who answers.

use std::time::{Duration, Instant};

use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;
use serde_json::{Value, json};

use super::client::{Acknowledged, Client, home_of};
use super::fleet::Fleet;
use super::layout::Node;
use crate::failure::Failure;

const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const QUESTIONS: [&str; 3] = [
    "家里老房子想翻建，需要准备什么材料，去哪里办手续？",
    "我家也想翻建房屋，要带哪些材料？",
    "翻建老房子需要什么手续和材料，麻烦告知。",
];
const ANSWER: &str =
    "翻建房屋请带户口簿、身份证、宅基地证和邻居签字的四邻意见书到村委会，我们帮您报镇自然资源所。";

/// Plays the story; gives what was acknowledged.
pub fn play(fleet: &Fleet) -> Result<Vec<Acknowledged>, Failure> {
    let layout = fleet.layout();
    let village = layout.terminals().next().ok_or_else(|| Failure::new("no village"))?;
    let clerk = Client::log_in(village, "secretary")?;
    let dispatcher = Client::log_in(layout.town(), "dispatcher")?;
    let mut done = Vec::new();
    let mut first = None;
    for question in QUESTIONS {
        let reported = clerk.report(village.region.as_str(), "walk_in", question)?;
        first.get_or_insert(reported.home);
        done.push(reported);
    }
    let Some(home) = first else { return Ok(done) };
    await_ticket(&dispatcher, &home, "reported")?;
    done.push(dispatcher.step(&home, &json!({"op": "accept", "kind": "policy"}))?);
    done.push(dispatcher.step(&home, &assign(village))?);
    await_ticket(&clerk, &home, "assigned")?;
    done.push(clerk.step(&home, &json!({"op": "handle", "text": "已联系本人，正在整理材料清单"}))?);
    done.push(clerk.step(&home, &json!({"op": "feedback", "text": ANSWER}))?);
    Ok(done)
}

/// The town accepts and assigns tickets that wait, as many as it finds, at most `most`.
pub fn dispatch_open(fleet: &Fleet, most: usize) -> Result<Vec<Acknowledged>, Failure> {
    let layout = fleet.layout();
    let dispatcher = Client::log_in(layout.town(), "dispatcher")?;
    let mut done = Vec::new();
    for ticket in dispatcher.tickets("reported")?.into_iter().take(most) {
        let home = home_of(&ticket, Category::TICKET.0)?;
        let Some(keeper) = layout.keeper(&home.address) else { continue };
        done.push(dispatcher.step(&home, &json!({"op": "accept", "kind": "other"}))?);
        done.push(dispatcher.step(&home, &assign(keeper))?);
    }
    Ok(done)
}

fn assign(node: &Node) -> Value {
    json!({"op": "assign", "to": format!("{} {}村支书", node.region, node.name)})
}

/// Waits until a node has a ticket in a state: that is how far synchronisation must have come.
fn await_ticket(client: &Client, home: &Home, state: &str) -> Result<(), Failure> {
    let started = Instant::now();
    loop {
        let ticket = client.ticket(home).unwrap_or_default();
        if ticket.get("state").and_then(Value::as_str) == Some(state) {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            return Err(Failure::new(format!("the ticket did not become {state}: {ticket}")));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
