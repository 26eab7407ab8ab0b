//! One try with a password: locks, the check itself, and what is made up for at a login.
//!
//! It takes its time on purpose and runs away from the threads that answer requests.

use std::net::IpAddr;

use cunlian_host::admin::pending;
use cunlian_host::metrics::LoginFailure;
use cunlian_host::operator::{Issuer, OperatorError, Origin, Unlocked};
use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::id::Serial;
use cunlian_protocol::signing::public_key;
use rand::Rng as _;

use super::Refused;
use crate::frame::failure::Failure;
use crate::frame::known::validity;
use crate::state::WebState;

/// What one browser tries about one name.
pub(crate) struct Attempt {
    pub(crate) state: WebState,
    pub(crate) name: String,
    pub(crate) device: Option<String>,
    /// Where it comes from; `None` for the machine itself.
    pub(crate) network: Option<IpAddr>,
    pub(crate) now_ms: i64,
}

impl Attempt {
    /// Refuses while the name is locked for this browser.
    pub(crate) fn check_lock(&self) -> Result<(), Refused> {
        let locked = |wait_ms| {
            self.count(LoginFailure::Locked);
            Refused::Locked { wait_ms }
        };
        let attempts = self.state.0.config.operators.attempts();
        if let Some(wait_ms) = attempts.wait_ms(&self.name, self.origin(), self.now_ms) {
            return Err(locked(wait_ms));
        }
        // Holds without a disk to write on, too.
        self.state.0.login_per_name.take(self.counted(), self.now_ms).map_err(locked)?;
        if self.is_known() {
            return Ok(());
        }
        let strangers = &self.state.0.login_of_strangers;
        strangers.take(self.short_name(), self.now_ms).map_err(locked)
    }

    /// Whether nobody else's tries count for this one: the machine itself, and a browser that has
    /// logged in to the name before.
    pub(super) fn is_known(&self) -> bool {
        let attempts = self.state.0.config.operators.attempts();
        self.network.is_none() || attempts.knows(&self.name, self.origin())
    }

    fn origin(&self) -> Origin<'_> {
        Origin { device: self.device.as_deref(), network: self.network }
    }

    fn short_name(&self) -> String {
        self.name.chars().take(40).collect()
    }

    /// The name, and who tries it, as they are counted in memory.
    fn counted(&self) -> (String, String) {
        let who = match (&self.device, self.network) {
            (Some(device), _) if self.is_known() => device.clone(),
            (_, Some(network)) => network.to_string(),
            (_, None) => String::new(),
        };
        (self.short_name(), who)
    }

    /// Counts a wrong password.
    pub(crate) fn fail(&self) -> Refused {
        self.count(LoginFailure::Wrong);
        let attempts = self.state.0.config.operators.attempts();
        match attempts.fail(&self.name, self.origin(), self.now_ms) {
            Ok(Some(wait_ms)) => {
                tracing::warn!(network = ?self.network, "a login name was locked");
                Refused::Locked { wait_ms }
            }
            Ok(None) => Refused::Wrong,
            Err(error) => {
                tracing::warn!(%error, "a failed login could not be written down");
                Refused::Wrong
            }
        }
    }

    /// Takes note of a right password.
    pub(crate) fn succeed(&self) {
        self.state.0.login_per_name.forget(&self.counted());
        let attempts = self.state.0.config.operators.attempts();
        if let Err(error) = attempts.succeed(&self.name, self.origin(), self.now_ms) {
            tracing::warn!(%error, "a login could not be written down");
        }
    }

    pub(super) fn log_in(&self, password: &str) -> Result<Unlocked, Refused> {
        let failed = |reason: String| Refused::Failed(Failure::Internal(reason));
        self.check_lock()?;
        let operators = &self.state.0.config.operators;
        let mut unlocked = match operators.unlock(&self.name, password, rand::rng().next_u64()) {
            Ok(unlocked) => unlocked,
            Err(OperatorError::Refused) => return Err(self.fail()),
            Err(error) => return Err(failed(error.to_string())),
        };
        self.renew(&mut unlocked, password);
        // A change is taken only from an author whose certificate the store knows.
        let store = self.state.store();
        let refused = store
            .add_certificates(std::slice::from_ref(&unlocked.certificate))
            .map_err(|fault| failed(fault.to_string()))?;
        if let Some(reason) = refused.into_iter().next() {
            return Err(failed(reason));
        }
        if let Some(end) = validity(&self.state, &unlocked.author.serial, self.now_ms) {
            self.count(LoginFailure::Locked);
            return Err(Refused::Ended(end));
        }
        self.succeed();
        Ok(unlocked)
    }

    /// Takes over what an administrator changed, and certifies the person again where that is
    /// due. What hinders it hinders no login: the certificate there is is judged next.
    fn renew(&self, unlocked: &mut Unlocked, password: &str) {
        let operators = &self.state.0.config.operators;
        let (node, store) = (&self.state.0.config.node, self.state.store());
        let authority = store.authority();
        let mut rng = rand::rng();
        if let Some(waiting) = self.waiting(&authority, unlocked) {
            match operators.take_over(&authority, unlocked, waiting, password, &mut rng) {
                Ok(_) => {
                    if let Err(fault) = pending::forget(store, &waiting.body().subject) {
                        tracing::warn!(%fault, "a certificate that was taken over still waits");
                    }
                }
                Err(error) => tracing::warn!(%error, operator = unlocked.name, "not taken over"),
            }
        }
        let Some(certificate) = authority.get(&node.serial) else { return };
        let issuer = Issuer { certificate, key: &node.key };
        let now_ms = self.now_ms;
        let renewed =
            operators.renew_if_due(&issuer, &authority, unlocked, password, now_ms, &mut rng);
        match renewed {
            Ok(true) => tracing::info!(operator = unlocked.name, "certified again"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, operator = unlocked.name, "not certified again"),
        }
    }

    /// The certificate an administrator has made for the person since the last login.
    fn waiting<'a>(
        &self,
        authority: &'a Authority,
        unlocked: &Unlocked,
    ) -> Option<&'a Certificate> {
        let subject = public_key(&unlocked.author.key);
        let pending = pending::of(self.state.store(), &subject).unwrap_or_else(|fault| {
            tracing::warn!(%fault, "what waits for a person cannot be read");
            None
        });
        let pending = pending.and_then(|bytes| authority.get(&Serial::of(&bytes)));
        let successor = || {
            let revocations = authority.revocations_of(&unlocked.author.serial);
            let successors = revocations.iter().filter_map(|it| it.body().successor);
            successors.filter_map(|serial| authority.get(&serial)).next_back()
        };
        pending.or_else(successor)
    }

    fn count(&self, failure: LoginFailure) {
        self.state.0.config.metrics.login_failed(failure);
    }
}
