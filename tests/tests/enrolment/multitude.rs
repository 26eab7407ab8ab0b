//! A whole county joins in one morning.

use std::sync::Arc;
use std::time::Instant;

use cunlian_host::admin::Request;
use cunlian_host::admin::invitation::{BulkInvitationRequest, BulkRow, Invitations, VALID_MS};
use cunlian_host::admin::issuing::LIFETIME_MS;
use cunlian_host::clock::now_ms;
use cunlian_host::keystore::Keystore;
use cunlian_host::network::enrol::joining::{Places, join};
use cunlian_node::service::Service;
use cunlian_protocol::enrolment::Token;
use cunlian_tests::federation::TOWN;
use tokio::sync::Semaphore;

use super::office::Office;
use super::stranger::runtime;

const NODES: usize = 500;
/// New machines at work at the same time.
const AT_ONCE: usize = 16;

/// Shows that five hundred invitations of one list become five hundred nodes, each with a key and
/// a place of its own, at one parent; prints how long it took.
#[test]
fn five_hundred_invitations_become_five_hundred_nodes() {
    let town = Office::found(TOWN, "高城镇");
    let rows = (0..NODES).map(|number| BulkRow {
        line: number as u64 + 2,
        code: format!("{TOWN}{number:03}"),
        name: Some(format!("第{number}村")),
        valid_ms: None,
    });
    let (valid_ms, lifetime_ms) = (VALID_MS, LIFETIME_MS);
    let wish = BulkInvitationRequest {
        rows: rows.collect(),
        valid_ms,
        lifetime_ms,
        addresses: Vec::new(),
    };
    let machines = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let keys = runtime().block_on(async {
        let service = Service::start(&town.path).await.unwrap();
        let path = town.path.clone();
        let asked = tokio::task::spawn_blocking(move || {
            cunlian_host::control::ask(&path, &Request::InviteBulk(wish))
        });
        let outcome: Invitations = serde_json::from_value(asked.await.unwrap().unwrap()).unwrap();
        assert_eq!((outcome.invited.len(), outcome.rejected.len()), (NODES, 0));
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut joining = tokio::task::JoinSet::new();
        for invited in outcome.invited {
            let dir = machines.path().join(invited.region.as_str());
            let places = Arc::clone(&places);
            joining.spawn(async move {
                let _place = places.acquire().await.unwrap();
                let token: Token = invited.token.parse().unwrap();
                let joined = join(&dir, &token, Places::default(), now_ms()).await.unwrap();
                assert_eq!((joined.name, joined.region), (invited.name, invited.region));
                Keystore::new(&dir).identity().unwrap().certificate.body().subject
            });
        }
        let keys = joining.join_all().await;
        service.stop().await;
        keys
    });
    let seconds = started.elapsed().as_secs_f64();
    println!("{NODES} invitations to {NODES} nodes in {seconds:.1} s");
    let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), NODES);
    assert!(town.list().iter().all(|entry| entry["state"] == "used"));
}
