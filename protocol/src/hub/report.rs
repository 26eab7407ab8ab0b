//! Where things stand with every peer, for status and pages.

use std::collections::BTreeSet;

use super::{ConnectionId, Hub, Target, TargetId};
use crate::certificate::Certificate;
use crate::id::{PublicKey, Serial};
use crate::session::{Report, Session};
use crate::wire::FaultCode;

/// Where things stand with one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerReport {
    /// The dialled target, when this node dials the peer.
    pub target: Option<TargetId>,
    /// Its certificate, once known, by an earlier connection or because it certified this node.
    pub peer: Option<Serial>,
    /// Name in the certificate, once known.
    pub name: Option<String>,
    /// Whether a session is open.
    pub connected: bool,
    /// Why not, or what went wrong last.
    pub problem: Option<String>,
    /// Whether one of both refused the other, so that trying again will not help by itself.
    pub refused: bool,
    /// When the next attempt is made, milliseconds since 1970-01-01 UTC; `None` while one is.
    pub next_dial_ms: Option<i64>,
    /// Figures of the session, or of the last one.
    pub session: Option<Report>,
}

/// What remains of a peer when its connection is gone.
pub(super) struct Past {
    pub(super) report: Report,
    pub(super) problem: Option<String>,
}

impl Hub {
    /// Where things stand with every peer dialled, connected, or known from before.
    pub fn reports(&self) -> Vec<PeerReport> {
        let mut shown = BTreeSet::new();
        let mut reports: Vec<PeerReport> = (0..self.targets.len())
            .map(|at| self.target_report(TargetId(at), &mut shown))
            .collect();
        for session in self.sessions.values().filter(|session| !session.is_dialler()) {
            let Some(peer) = session.peer() else { continue };
            shown.insert(peer.body().subject);
            reports.push(PeerReport {
                target: None,
                peer: Some(peer.serial()),
                name: Some(peer.body().name.clone()),
                connected: true,
                problem: None,
                refused: false,
                next_dial_ms: None,
                session: Some(self.total(session)),
            });
        }
        let gone = self.past.iter().filter(|(key, _)| !shown.contains(key));
        reports.extend(gone.map(|(_, past)| PeerReport {
            target: None,
            peer: past.report.peer,
            name: past.report.peer.map(|serial| self.authority.name(&serial)),
            connected: false,
            problem: past.problem.clone(),
            refused: past.report.skew.is_some(),
            next_dial_ms: None,
            session: Some(past.report.clone()),
        }));
        reports
    }

    fn target_report(&self, target: TargetId, shown: &mut BTreeSet<PublicKey>) -> PeerReport {
        let entry = self.targets.get(target.0);
        let connection = entry.and_then(|entry| entry.connection);
        let session = connection.and_then(|connection| self.sessions.get(&connection));
        // Of several certificates for the key that is dialled the latest names the peer.
        let by_key = |key: PublicKey| {
            let of_key = self.authority.certificates().filter(|c| c.body().subject == key);
            of_key.max_by_key(|certificate| certificate.body().issued_at_ms)
        };
        let certificate = session.and_then(Session::peer).or_else(|| by_key(entry?.key));
        let key = certificate.map(|certificate| certificate.body().subject);
        shown.extend(key);
        let past = key.and_then(|key| self.past.get(&key));
        let open = session.is_some_and(|session| session.peer().is_some());
        PeerReport {
            target: Some(target),
            peer: certificate.map(Certificate::serial),
            name: certificate.map(|certificate| certificate.body().name.clone()),
            connected: open,
            problem: (!open).then(|| self.target_problems.get(&target).cloned()).flatten(),
            refused: !open && self.refused.contains(&target),
            next_dial_ms: entry
                .and_then(Target::due_ms)
                .map(|at_ms| at_ms.saturating_add(self.clock_offset_ms)),
            session: session
                .filter(|_| open || past.is_none())
                .map(|session| self.total(session))
                .or_else(|| past.map(|past| past.report.clone())),
        }
    }

    /// Remembers of a peer with which there is no common version which versions it speaks. Only
    /// who proved to be certified, or is dialled, is remembered.
    pub(super) fn note_skew(&mut self, connection: ConnectionId, code: FaultCode, reason: &str) {
        let Some(session) = self.sessions.get(&connection) else { return };
        let mut report = session.report();
        if code != FaultCode::Version || report.skew.is_none() {
            return;
        }
        let away = session.turned_away();
        let target = self.target_of(connection).and_then(|target| self.targets.get(target.0));
        let key = away.map(|away| away.body().subject).or(target.map(|target| target.key));
        let Some(key) = key else { return };
        report.peer = away.map(Certificate::serial).or(report.peer);
        if let Some(past) = self.past.get(&key) {
            report.peer = report.peer.or(past.report.peer);
            report.relation = report.relation.or(past.report.relation);
            report = report.after(&past.report);
        }
        self.past.insert(key, Past { report, problem: Some(reason.to_owned()) });
    }

    /// Figures of a session, with what passed over earlier connections to the same peer.
    pub(super) fn total(&self, session: &Session) -> Report {
        let past = session.peer().and_then(|peer| self.past.get(&peer.body().subject));
        let report = session.report();
        match past {
            Some(past) => report.after(&past.report),
            None => report,
        }
    }
}
