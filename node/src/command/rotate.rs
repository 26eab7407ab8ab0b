//! `cunlian rotate`, `cunlian renew`: new keys, and the founder's next certificate.

use clap::Args;
use cunlian_host::admin::Request;
use cunlian_host::admin::rotation::RotationAction;
use cunlian_host::control::ask;

use super::membership::failure;
use super::{DataDir, print_json};
use crate::failure::Outcome;

/// Arguments of `rotate`.
#[derive(Debug, Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    data: DataDir,
    /// Change the root key of the federation, at the node that founded it, with root.key there
    #[arg(long)]
    root: bool,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Arguments of `renew`.
#[derive(Debug, Args)]
pub(super) struct Renew {
    #[command(flatten)]
    data: DataDir,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Rotate {
    pub(super) fn run(self) -> Outcome {
        let action = if self.root { RotationAction::RootKey } else { RotationAction::NodeKey };
        let done = ask(&self.data.data_dir, &Request::Rotate { action }).map_err(failure)?;
        if self.json {
            return print_json(&done);
        }
        let of = |key: &str| done.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
        println!("new key: {}", of("key"));
        match (done.get("done").and_then(serde_json::Value::as_bool), of("old_file")) {
            (Some(true), "") => println!("in use; nodes below learn of it when they connect"),
            (Some(true), old) => {
                println!("in use; nodes below learn of it when they connect");
                println!("the old root key is in {old}: destroy it, and take root.key off line");
            }
            _ => println!("the node above certifies it when this node runs and reaches it"),
        }
        Ok(())
    }
}

impl Renew {
    pub(super) fn run(self) -> Outcome {
        let action = RotationAction::Certificate;
        let done = ask(&self.data.data_dir, &Request::Rotate { action }).map_err(failure)?;
        if self.json {
            return print_json(&done);
        }
        let end_ms = done.get("not_after_ms").and_then(serde_json::Value::as_i64);
        println!("certified until {}", cunlian_web::clock::full(end_ms.unwrap_or_default()));
        println!("take root.key off line again");
        Ok(())
    }
}
