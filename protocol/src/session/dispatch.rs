//! Which part of a session a message of the peer, or an answer of the store, is for.
//!
//! Nothing is decided here but whether a message belongs where it came: in this phase, to this role.

use super::{
    Effect, Fault, FaultCode, Message, Outcome, Phase, Purpose, Role, Session, StoreReply,
};
use crate::wire::Frame;

impl Session {
    pub(super) fn on_frame(&mut self, frame: Frame) -> Outcome {
        let message = match (self.phase, frame) {
            (Phase::Open, Frame::Batch { batch, changes }) => return self.on_batch(batch, changes),
            (_, Frame::Batch { .. }) => {
                return Err(Fault::new(FaultCode::Unexpected, "changes before hello"));
            }
            (_, Frame::Message(message)) => message,
        };
        self.check_since(&message)?;
        match (self.phase, self.role, message) {
            (_, _, Message::Goodbye { code, reason }) => {
                self.phase = Phase::Closed;
                let reason = String::from_utf8_lossy(&reason.0).into_owned();
                let code = FaultCode::from_number(code);
                self.effects
                    .push(Effect::Close { code, reason: format!("the peer says: {reason}") });
                Ok(())
            }
            (_, _, Message::Speaks(versions)) => {
                self.on_speaks(&versions.0);
                Ok(())
            }
            (Phase::Greeting, Role::Listener, Message::Hello(hello)) => self.on_hello(&hello),
            (Phase::Greeting, Role::Dialler { .. }, Message::Welcome(hello)) => {
                self.on_welcome(&hello)
            }
            (Phase::Open, role, message) => self.on_open_message(role, message),
            (_, _, message) => Err(misplaced(&message)),
        }
    }

    fn on_open_message(&mut self, role: Role, message: Message) -> Outcome {
        match (role, message) {
            (Role::Listener, Message::Root { number, digest }) => self.on_root(number, digest),
            (Role::Listener, Message::Query(items)) => return self.on_query(items.0),
            (Role::Listener, Message::Want { number, items }) => {
                return self.on_want(number, items.0);
            }
            (Role::Listener, Message::AskHeld(questions)) => return self.on_ask_held(questions),
            (Role::Dialler { .. }, Message::Holding { answers, receipt }) => {
                return self.on_holding(answers.0, receipt.0);
            }
            (_, Message::AskAgain) => self.on_ask_again(),
            (Role::Dialler { .. }, Message::Equal) => return self.on_equal(),
            (Role::Dialler { .. }, Message::Tops(tops)) => return self.on_tops(tops),
            (Role::Dialler { .. }, Message::Answer(items)) => return self.on_answer(items.0),
            (Role::Dialler { .. }, Message::Delivered { number }) => {
                return self.on_delivered(number);
            }
            (_, Message::Announce { changes, .. }) => self.incoming.announced(changes),
            (_, Message::Certificates(list)) => self.on_certificates(list.0),
            (_, Message::Revocations(list)) => self.on_revocations(list.0),
            (_, Message::Remark(words)) => self.on_remark(&words.0),
            (_, Message::Ack { batch, refused, postponed, until, receipt }) => {
                return self.on_ack(batch, refused.0, (postponed.0, &until.0), receipt.0);
            }
            (_, Message::Held(held)) => self.on_held(held.0),
            (_, Message::Blob(message)) => return self.on_blob(message),
            (_, Message::KnownRevocations(known)) => self.on_known_revocations(&known.0),
            (Role::Listener, Message::Renew { request }) => return self.on_renew(&request.0),
            (Role::Dialler { .. }, Message::Issued(chain)) => self.on_issued(chain.0),
            (Role::Dialler { .. }, Message::NotIssued { reason }) => self.on_not_issued(&reason.0),
            (_, message) => return Err(misplaced(&message)),
        }
        Ok(())
    }

    pub(super) fn on_stored(&mut self, purpose: Purpose, reply: StoreReply) -> Outcome {
        match purpose {
            Purpose::Compare(purpose) => self.on_compared(purpose, reply),
            Purpose::Answer(purpose) => self.on_answer_found(purpose, reply),
            Purpose::Read(reading) => self.on_read(reading, reply),
            Purpose::Ingest { batch, changes, bytes } => {
                self.on_ingested(batch, (changes, bytes), reply);
            }
            Purpose::Blob(purpose) => self.on_blob_stored(purpose, reply),
            Purpose::Durability(purpose) => self.on_durability(purpose, reply),
            Purpose::Admit => return self.on_admitted(&reply),
            Purpose::AdmitBelow => self.on_admitted_below(&reply),
            Purpose::Handover => self.on_handover(reply),
            Purpose::Renewal(renewal) => self.effects.push(Effect::Renew(renewal)),
            Purpose::TakingOver(chain) => return self.take_over(chain),
            Purpose::Note => {
                if let StoreReply::Certificates { refused }
                | StoreReply::Revocations { refused }
                | StoreReply::Successions { refused } = reply
                {
                    self.effects.extend(refused.into_iter().map(Effect::Notice));
                }
            }
        }
        Ok(())
    }
}

fn misplaced(message: &Message) -> Fault {
    let text = format!("message {} does not belong here", name(message));
    Fault::new(FaultCode::Unexpected, text)
}

fn name(message: &Message) -> &'static str {
    match message {
        Message::Hello(_) => "Hello",
        Message::Welcome(_) => "Welcome",
        Message::Goodbye { .. } => "Goodbye",
        Message::Root { .. } => "Root",
        Message::Equal => "Equal",
        Message::Tops(_) => "Tops",
        Message::Query(_) => "Query",
        Message::Answer(_) => "Answer",
        Message::Want { .. } => "Want",
        Message::Delivered { .. } => "Delivered",
        Message::Announce { .. } => "Announce",
        Message::Certificates(_) => "Certificates",
        Message::Revocations(_) => "Revocations",
        Message::Ack { .. } => "Ack",
        Message::AskHeld(_) => "AskHeld",
        Message::Held(_) => "Held",
        Message::Holding { .. } => "Holding",
        Message::AskAgain => "AskAgain",
        Message::KnownRevocations(_) => "KnownRevocations",
        Message::Renew { .. } => "Renew",
        Message::Issued(_) => "Issued",
        Message::NotIssued { .. } => "NotIssued",
        Message::Blob(_) => "Blob",
        Message::Speaks(_) => "Speaks",
        Message::Remark(_) => "Remark",
    }
}
