//! `cunlian erase`: the contents of a document go, at every node.
//!
//! The password is read from standard input: without echo at a terminal, one line otherwise.

use clap::Args;
use cunlian_host::admin::Request;
use cunlian_host::admin::erasure::{Erased, ErasureRequest};

use super::membership::asked;
use super::operator::secret;
use super::{DataDir, print_json};
use crate::failure::Outcome;

/// Arguments of `erase`.
#[derive(Debug, Args)]
pub(super) struct Erase {
    #[command(flatten)]
    data: DataDir,
    /// Address code of the document, such as 37032210231000100012
    address: String,
    /// Its category, such as ticket or library/population/base
    category: String,
    /// Its id, 32 hexadecimal digits
    document: String,
    /// Why, for everybody who finds it gone; must not repeat what is erased
    #[arg(long)]
    reason: String,
    /// Login of the person who erases; the password comes from standard input
    #[arg(long = "as", value_name = "LOGIN")]
    login: String,
    /// Erase all parts of the record that the document is one of, copies left by moves included; of
    /// a ticket contact and photos too
    #[arg(long)]
    person: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Erase {
    pub(super) fn run(self) -> Outcome {
        let password = secret(&format!("password of {}: ", self.login))?;
        let wish = ErasureRequest {
            address: self.address,
            category: self.category,
            document: self.document,
            person: self.person,
            reason: self.reason,
            login: self.login,
            password,
        };
        let answer = asked(&self.data.data_dir, &Request::Erase(wish))?;
        if self.json {
            return print_json(&answer);
        }
        let erased: Erased = serde_json::from_value(answer)?;
        for document in &erased.documents {
            println!("erased: {} {} {}", document.category, document.address, document.document);
        }
        if !erased.not_here.is_empty() {
            println!("nothing here of: {}", erased.not_here.join(", "));
            eprintln!("hint: another node may hold these; have them erased there");
        }
        if erased.mask_left {
            eprintln!("hint: its mask stands in the base; somebody who may write there removes it");
        }
        if !erased.compacted {
            eprintln!("hint: the last traces leave the files when the node is next started");
        }
        eprintln!("hint: other nodes erase it as soon as they hear of it; backups with their next");
        Ok(())
    }
}
