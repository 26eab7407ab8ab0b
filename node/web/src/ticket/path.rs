//! Where the page of a ticket stands.

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::Category;
use cunlian_protocol::change::Home;

use crate::frame::failure::Failure;

/// The home of the ticket in a path.
pub(crate) fn ticket_home(address: &str, document: &str) -> Result<Home, Failure> {
    let address = AddressCode::parse(address).map_err(|_| Failure::NotFound)?;
    let document = document.parse().map_err(|_| Failure::NotFound)?;
    Ok(Home { category: Category::TICKET, address, document })
}

/// The path of a ticket's page.
pub(crate) fn ticket_href(home: &Home) -> String {
    format!("/tickets/{}/{}", home.address, home.document)
}
