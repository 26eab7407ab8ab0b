//! The kinds of data of tickets (工单).

use cunlian_crdt::projector::{Rollup, TableSet};
use cunlian_crdt::store::{Fault, Store};
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;

use super::whole;
use crate::capability::sample::Spot;
use crate::capability::{Attachments, Capability, Kind, Sensitivity, Subject, Whole};
use crate::generator::{Generator, Scene};

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

    fn rollups(&self) -> &'static [&'static dyn Rollup] {
        &[&super::rollup::Months]
    }

    fn whole(&self, store: &Store, home: &Home) -> Result<Option<Whole>, Fault> {
        whole::whole(store, home)
    }

    fn subject(&self, store: &Store, home: &Home) -> Result<Option<Subject>, Fault> {
        whole::subject(store, home)
    }

    fn sample(&self, seed: u64, spot: &Spot) -> Vec<Scene> {
        let tickets = Generator::new(seed).tickets(spot.village, spot.count, spot.now_ms);
        tickets.into_iter().flat_map(|ticket| ticket.scenes).collect()
    }
}

const KINDS: [Kind; 3] = [
    Kind {
        first: Category::TICKET,
        last: Category::TICKET,
        name: "ticket",
        zh: "工单",
        en: "tickets",
        sensitivity: Sensitivity::Open,
        attachments: Attachments::None,
    },
    Kind {
        first: Category::TICKET_CONTACT,
        last: Category::TICKET_CONTACT,
        name: "ticket.contact",
        zh: "工单联系人",
        en: "contacts of tickets",
        sensitivity: Sensitivity::Closed,
        attachments: Attachments::None,
    },
    Kind {
        first: Category::TICKET_PHOTO,
        last: Category::TICKET_PHOTO,
        name: "ticket.photo",
        zh: "工单照片",
        en: "photos of tickets",
        sensitivity: Sensitivity::Open,
        attachments: Attachments::Photos,
    },
];
