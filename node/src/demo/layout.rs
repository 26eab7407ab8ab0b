//! Which nodes the demo has: 高青县 370322, two of its towns, seven of their villages.
//!
//! The codes are real (National Bureau of Statistics, see `deploy/demo/README.md`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cunlian_governance::divisions::spoken_name;
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Tier;

/// Codes and names of the county, as `code,level,name,parent`.
pub const DIVISIONS: &str = include_str!("../../../deploy/demo/divisions-370322.csv");
/// The county.
const COUNTY: &str = "370322";
/// 高城镇, whose whole library is in the demo.
const TOWN: &str = "370322102";
/// 青城镇, the neighbour.
const NEIGHBOUR: &str = "370322101";
/// Villages with a terminal; the first is the village of the story.
const TERMINALS: [&str; 7] = [
    cunlian_governance::generator::STORY_VILLAGE,
    "370322102200",
    "370322102211",
    "370322102289",
    "370322102303",
    "370322101255",
    "370322101275",
];

/// One node of the demo.
#[derive(Debug, Clone)]
pub struct Node {
    /// Position in [`Layout::nodes`].
    pub index: usize,
    /// Position of its parent.
    pub parent: Option<usize>,
    /// Tier.
    pub tier: Tier,
    /// Address it stands for.
    pub region: AddressCode,
    /// Name, such as 苑兴村.
    pub name: String,
    /// Data directory.
    pub dir: PathBuf,
    /// UDP address.
    pub listen: SocketAddr,
    /// TCP address of the pages.
    pub http: SocketAddr,
}

/// All nodes, parents before children.
#[derive(Debug, Clone)]
pub struct Layout {
    /// County, towns, villages.
    pub nodes: Vec<Node>,
    /// All villages of the two towns, with names.
    pub villages: Vec<(AddressCode, String)>,
}

/// The embedded codes cannot be laid out; a fault of this program.
#[derive(Debug, thiserror::Error)]
#[error("the demo's division codes: {0}")]
pub struct LayoutError(String);

/// Port of the node with this index.
fn address(base: u16, index: usize) -> Result<SocketAddr, LayoutError> {
    let port = u16::try_from(index).ok().and_then(|index| base.checked_add(index));
    let port = port.ok_or_else(|| LayoutError(format!("no port left above {base}")))?;
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

impl Layout {
    /// Lays the nodes out under `dir`, with UDP and HTTP ports counted up from two bases.
    pub fn new(dir: &Path, udp_base: u16, http_base: u16) -> Result<Self, LayoutError> {
        let names = names()?;
        let name_of = |code: &AddressCode| {
            let found = names.iter().find(|(known, _)| known == code).map(|(_, name)| name);
            found
                .map(|name| spoken_name(name))
                .ok_or_else(|| LayoutError(format!("{code} has no name")))
        };
        let codes = [COUNTY, TOWN, NEIGHBOUR].into_iter().chain(TERMINALS);
        let mut nodes: Vec<Node> = Vec::new();
        for (index, code) in codes.enumerate() {
            let region =
                AddressCode::parse(code).map_err(|error| LayoutError(error.to_string()))?;
            let tier = match index {
                0 => Tier::County,
                1 | 2 => Tier::Town,
                _ => Tier::Village,
            };
            let parent = nodes.iter().rposition(|node| {
                node.region != region && node.region.contains(&region) && node.tier < tier
            });
            nodes.push(Node {
                index,
                parent,
                tier,
                region,
                name: name_of(&region)?,
                dir: dir.join(code),
                listen: address(udp_base, index)?,
                http: address(http_base, index)?,
            });
        }
        let towns: Vec<AddressCode> =
            nodes.iter().filter(|n| n.tier == Tier::Town).map(|n| n.region).collect();
        let village = cunlian_protocol::address::Level::Village;
        let villages = names
            .into_iter()
            .filter(|(code, _)| code.level() == village && towns.iter().any(|t| t.contains(code)))
            .map(|(code, name)| (code, spoken_name(&name)))
            .collect();
        Ok(Self { nodes, villages })
    }

    /// The county.
    pub fn county(&self) -> &Node {
        self.nodes.first().expect("a layout has a county")
    }

    /// 高城镇.
    pub fn town(&self) -> &Node {
        self.nodes.get(1).expect("a layout has a town")
    }

    /// Village nodes of 高城镇, the one of the story first.
    pub fn terminals(&self) -> impl Iterator<Item = &Node> {
        let town = self.town().index;
        self.nodes.iter().filter(move |n| n.tier == Tier::Village && n.parent == Some(town))
    }

    /// Villages below a town.
    pub fn villages_of<'a>(&'a self, town: &'a Node) -> impl Iterator<Item = AddressCode> + 'a {
        self.villages.iter().map(|(code, _)| *code).filter(|code| town.region.contains(code))
    }

    /// The node whose store first takes the data of a village: its terminal, or else its town.
    pub fn keeper(&self, village: &AddressCode) -> Option<&Node> {
        self.nodes.iter().rfind(|node| node.region.contains(village))
    }

    /// The parent of a node.
    pub fn parent(&self, node: &Node) -> Option<&Node> {
        node.parent.and_then(|parent| self.nodes.get(parent))
    }

    /// The node with this name or code.
    pub fn find(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name || node.region.as_str() == name)
    }
}

fn names() -> Result<Vec<(AddressCode, String)>, LayoutError> {
    let row = |line: &str| {
        let mut cells = line.split(',');
        let code = AddressCode::parse(cells.next()?).ok()?;
        let name = cells.nth(1)?;
        Some((code, name.to_owned()))
    };
    let rows = DIVISIONS.lines().skip(1).map(str::trim).filter(|line| !line.is_empty());
    rows.map(|line| row(line).ok_or_else(|| LayoutError(format!("not a row: {line}")))).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that the demo has the nodes it promises, each under the right parent.
    #[test]
    fn seven_villages_under_two_towns() {
        let layout = Layout::new(Path::new("x"), 7400, 8400).unwrap();
        assert_eq!(layout.nodes.len(), 10);
        assert_eq!(layout.terminals().count(), 5);
        assert_eq!(layout.villages_of(layout.town()).count(), 42);
        let story = layout.find("苑兴村").unwrap();
        assert_eq!(layout.parent(story).unwrap().name, "高城镇");
        assert_eq!(layout.keeper(&story.region).unwrap().index, story.index);
    }
}
