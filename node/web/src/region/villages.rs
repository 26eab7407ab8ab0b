//! The villages of a region, with their last contact.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use cunlian_governance::ticket::query as tickets;
use cunlian_governance::{divisions, query};
use cunlian_host::status::{LinkState, PeerStatus};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{AuthorKind, Certificate, CertificateBody};
use cunlian_protocol::region::Depth;

use super::coverage::coverage_within;
use crate::frame::component::{Notice, PeerBadge, last_success};
use crate::frame::failure::Failure;
use crate::frame::figure::told;
use crate::frame::layout::{Page, html};
use crate::frame::place::villages_of;
use crate::frame::reading::ask;
use crate::frame::text::Text;
use crate::frame::visit::Staff;
use crate::state::WebState;

#[derive(Template)]
#[template(path = "region/villages.html")]
struct VillagesPage {
    texts: Text,
    page: Page,
    coverage: Notice,
    rows: Vec<VillageView>,
}

struct VillageView {
    name: String,
    code: String,
    link: PeerBadge,
    last: String,
    pending: String,
    records: String,
    open: u64,
}

pub(super) async fn villages(
    State(state): State<WebState>,
    staff: Staff,
) -> Result<Response, Failure> {
    let (texts, now_ms, regions) = (staff.visit.texts, state.now_ms(), state.regions());
    let (status, reader) = (state.status(), staff.reader(&state));
    let (figures, terminals) = ask(&state, move |store| {
        let figures = store.read(|connection| {
            let listed = regions.iter().flat_map(|region| villages_of(connection, region));
            let divisions: Vec<_> = listed.collect();
            let mut here = Vec::new();
            for region in &regions {
                here.extend(query::region::villages(connection, &reader, *region)?);
            }
            let mut open: BTreeMap<AddressCode, u64> = BTreeMap::new();
            for region in &regions {
                for (address, count) in tickets::open_by_address(connection, &reader, *region)? {
                    let today = divisions::successor(connection, &address);
                    *open.entry(today.unwrap_or(address)).or_default() += count;
                }
            }
            Ok((coverage_within(connection, &regions)?, divisions, here, open))
        })?;
        Ok::<_, Failure>((figures, terminals(&store.authority())))
    })
    .await?;
    let (coverage, divisions, here, open) = figures;
    let peer_of = |code: &AddressCode| -> Option<&PeerStatus> {
        let at = |peer: &&PeerStatus| peer.region.is_some_and(|region| region == *code);
        status.peers.iter().find(at)
    };
    let rows = divisions
        .into_iter()
        .map(|division| {
            let peer = peer_of(&division.code);
            let here = here.iter().find(|village| village.address == division.code);
            VillageView {
                link: match peer {
                    Some(peer) => PeerBadge::of(texts, peer.state),
                    None if terminals.contains(&division.code) => {
                        PeerBadge::of(texts, LinkState::Down)
                    }
                    None => PeerBadge::kept_here(texts),
                },
                last: peer.map_or_else(String::new, |peer| last_success(texts, peer, now_ms)),
                pending: peer.map_or_else(String::new, |peer| peer.pending_changes.to_string()),
                records: told(texts, here.map(|village| village.told).unwrap_or_default()),
                open: open.get(&division.code).copied().unwrap_or(0),
                code: division.code.as_str().to_owned(),
                name: division.name,
            }
        })
        .collect();
    let page = Page::staff(&state, &staff, texts.t("villages-title"));
    let coverage = coverage.notice(texts, now_ms);
    Ok(html(&VillagesPage { texts, page, coverage, rows }))
}

/// Addresses that have a node of their own, connected or not.
fn terminals(authority: &Authority) -> BTreeSet<AddressCode> {
    let nodes = authority.certificates().map(Certificate::body);
    let nodes = nodes.filter(|body| body.kind == AuthorKind::Node);
    let own = |body: &CertificateBody| {
        let grant = body.grants.iter().find(|grant| grant.region.depth == Depth::Subtree)?;
        Some(grant.region.prefix)
    };
    nodes.filter_map(own).collect()
}
