//! `/metrics`: figures for those who watch nodes, not for the network.
//!
//! Answered to this machine, and to whoever has the token in the file `metrics.token` of the data
//! directory (`Authorization: Bearer …`, at least 32 characters). For everybody else the page does
//! not exist. A request that came through a proxy is not from this machine, whatever its address.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use cunlian_crdt::store::{Alarms, Store};
use cunlian_host::metrics::{self, Metrics, StoreFigures};

use crate::frame::failure::Failure;
use crate::frame::visit::{Visit, is_from_here};
use crate::state::WebState;

pub(super) async fn figures(
    State(state): State<WebState>,
    visit: Visit,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let metrics = state.0.config.metrics.clone();
    if !is_from_here(visit.client, &headers) && !has_token(&metrics, &headers) {
        return Err(Failure::NotFound);
    }
    let store = state.store().clone();
    let counted = tokio::task::spawn_blocking(move || store_figures(&store)).await;
    let text = metrics.text(&state.status(), counted.unwrap_or_default());
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

fn has_token(metrics: &Metrics, headers: &HeaderMap) -> bool {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|value| value.strip_prefix("Bearer "));
    token.is_some_and(|token| metrics.opens(token))
}

/// What an administrator should know of. A store that cannot be read is seen by its health; it does
/// not take the other figures away.
fn store_figures(store: &Store) -> StoreFigures {
    let Alarms { quarantined, equivocations } = store.alarms().unwrap_or_default();
    StoreFigures { quarantined, equivocations }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    /// Shows that only requests made on the machine itself count as such.
    #[test]
    fn a_proxy_is_not_this_machine() {
        let (here, there) = ("127.0.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        let plain = HeaderMap::new();
        assert!(is_from_here(here, &plain) && is_from_here("::1".parse().unwrap(), &plain));
        assert!(is_from_here("::ffff:127.0.0.1".parse().unwrap(), &plain));
        assert!(!is_from_here(there, &plain));
        for name in ["forwarded", "via", "x-forwarded-for"] {
            let mut headers = HeaderMap::new();
            headers.insert(name, "1.1 gate".parse().unwrap());
            assert!(!is_from_here(here, &headers), "{name}");
        }
    }
}
