//! Text inside of addresses of pages.

use cunlian_host::keystore::hex;

/// Percent-encodes all but unreserved characters (RFC 3986 §2.3).
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex(&[byte]).to_ascii_uppercase());
        }
    }
    encoded
}

/// A path on this node, or nothing: nobody is sent elsewhere by a link to the login page. Browsers
/// take out tabs and line breaks, and take a backslash for a slash, so what is not known to be
/// plain is refused (WHATWG URL, section 4.4): letters and digits of any script, and what stands
/// in queries.
pub(crate) fn local(path: &str) -> &str {
    const MARKS: &str = "/._-~%?&=+:,;@!$'()*#";
    let plain = |c: char| c.is_alphanumeric() || MARKS.contains(c);
    let is_path = path.starts_with('/') && !path.starts_with("//") && path.len() <= 500;
    // No page has an empty segment, or one that leads up; a slash that is written otherwise may
    // become one on the way.
    let bare = path.split(['?', '#']).next().unwrap_or_default();
    let leads_astray = bare.contains("//") || bare.contains("/.");
    let names_a_host = path.to_ascii_lowercase().starts_with("/%2f");
    if is_path && !leads_astray && !names_a_host && path.chars().all(plain) { path } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that a login link leads nowhere but to this node.
    #[test]
    fn only_local_paths_are_followed() {
        assert_eq!(local("/records?q=张"), "/records?q=张");
        let ticket = "/tickets/370322102310/0a?saved=accept#trace";
        assert_eq!(local(ticket), ticket);
        let elsewhere = [
            "https://example.org/",
            "//example.org",
            "/\\example.org",
            "records",
            "/\t/example.org",
            "\t//example.org",
            "/\n/example.org",
            "/\u{a0}/example.org",
            "/ /example.org",
            "/%2f/example.org",
            "/%2Fexample.org",
            "/..//example.org",
            "/.//example.org",
            "",
        ];
        for elsewhere in elsewhere {
            assert_eq!(local(elsewhere), "", "{elsewhere:?}");
        }
    }
}
