//! `/api/v1`: the acts of the pages as JSON, for scripts and other programs; what the calls of all
//! rooms share. Each room tells its own in its `api`.
//!
//! All of it with every type, bound and refusal is in `/api/openapi.json`, which is made of the
//! types of the rooms ([`openapi`]).
//!
//! Every answer of 2xx with `changes` (ids) is durable. Requests other than login and `GET` carry
//! the token of the login in the header `x-cunlian-token`. What is refused is answered with a
//! [`Refusal`](refusal::Refusal), whatever the reason. A `document` (32 hexadecimal digits) chosen
//! by the caller makes a request safe to repeat: a second one answers 200 with no changes.

pub(crate) mod extract;
pub(crate) mod names;
pub(crate) mod openapi;
pub(crate) mod reached;
pub(crate) mod refusal;
