//! The kinds of data of tickets (工单).

use cunlian_crdt::projector::TableSet;
use cunlian_protocol::category::Category;

use crate::capability::{Attachments, Capability, Kind, Sensitivity};

/// Tickets, with who reported them and their photos.
#[derive(Debug, Clone, Copy)]
pub struct Tickets;

impl Capability for Tickets {
    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    fn tables(&self) -> &'static [&'static dyn TableSet] {
        &[&super::projection::Tickets]
    }
}

const KINDS: [Kind; 3] = [
    Kind {
        first: Category::TICKET,
        last: Category::TICKET,
        name: "ticket",
        zh: "工单",
        en: "cases",
        sensitivity: Sensitivity::Open,
        attachments: Attachments::None,
    },
    Kind {
        first: Category::TICKET_CONTACT,
        last: Category::TICKET_CONTACT,
        name: "ticket.contact",
        zh: "工单联系人",
        en: "contacts of cases",
        sensitivity: Sensitivity::Closed,
        attachments: Attachments::None,
    },
    Kind {
        first: Category::TICKET_PHOTO,
        last: Category::TICKET_PHOTO,
        name: "ticket.photo",
        zh: "工单照片",
        en: "photos of cases",
        sensitivity: Sensitivity::Open,
        attachments: Attachments::Photos,
    },
];
