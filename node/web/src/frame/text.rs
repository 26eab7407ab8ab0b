//! Texts of the pages, in the reader's language.
//!
//! What it is: lookup in the Fluent files of `locales/`, embedded in the binary. Chinese is
//! the default and English is complete; a test holds both to the same keys and every template to
//! keys that exist.
//!
//! What it is not: it never sees what people typed. Names, reports and field values are shown as
//! they were written.

use core::fmt::Display;
use std::sync::LazyLock;

use cunlian_governance::language;
use cunlian_governance::refusal::{Argument, Refusal};
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use rust_embed::RustEmbed;
use unic_langid::LanguageIdentifier;

/// The texts, one file for each room and language.
#[derive(RustEmbed)]
#[folder = "locales/"]
struct Locales;

static CHINESE: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| bundle("zh-CN"));
static ENGLISH: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| bundle("en"));

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// Simplified Chinese, `zh-CN`.
    #[default]
    Chinese,
    /// English, `en`.
    English,
}

impl Language {
    /// The BCP 47 tag, as in the `lang` attribute of a page.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Chinese => "zh-CN",
            Self::English => "en",
        }
    }

    /// The language a tag such as `zh`, `zh-Hans-CN` or `en-GB` asks for.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.trim().split(['-', '_']).next().unwrap_or_default();
        match primary.to_ascii_lowercase().as_str() {
            "zh" => Some(Self::Chinese),
            "en" => Some(Self::English),
            _ => None,
        }
    }
}

/// The catalogue's idea of the reader's language.
pub(crate) const fn domain_language(texts: Text) -> language::Language {
    match texts.language {
        Language::Chinese => language::Language::Chinese,
        Language::English => language::Language::English,
    }
}

/// The texts of one language. Cheap to copy: every view has one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Text {
    /// The language of the texts.
    pub language: Language,
}

impl Text {
    /// The texts of `language`.
    pub const fn new(language: Language) -> Self {
        Self { language }
    }

    /// The BCP 47 tag of the language.
    pub const fn tag(&self) -> &'static str {
        self.language.tag()
    }

    /// The text `key`; the key itself in brackets if there is none, so that a gap is seen.
    pub fn t(&self, key: &str) -> String {
        self.format(key, None)
    }

    /// The text `key` with one named value.
    pub fn t1(&self, key: &str, name: &str, value: impl Display) -> String {
        self.with(key, &[(name, &value)])
    }

    /// The text `key` with two named values.
    pub fn t2(
        &self,
        key: &str,
        (first, first_value): (&str, impl Display),
        (second, second_value): (&str, impl Display),
    ) -> String {
        self.with(key, &[(first, &first_value), (second, &second_value)])
    }

    /// The text `key` with any number of named values.
    pub fn with(&self, key: &str, values: &[(&str, &dyn Display)]) -> String {
        let mut args = FluentArgs::new();
        for (name, value) in values {
            args.set((*name).to_owned(), FluentValue::from(value.to_string()));
        }
        self.format(key, Some(&args))
    }

    /// The text for one value of an enumeration: key `prefix-value`.
    pub fn of(&self, prefix: &str, value: &str) -> String {
        self.t(&format!("{prefix}-{value}"))
    }

    /// The text `PREFIX-VALUE` with several named values.
    pub fn of_with(&self, prefix: &str, value: &str, values: &[(&str, &dyn Display)]) -> String {
        self.with(&format!("{prefix}-{value}"), values)
    }

    /// Why something was not done; of several fields, what is wrong with each of them.
    pub fn refusal(&self, refusal: &Refusal) -> String {
        let filled = refusal.arguments.iter().map(|(name, argument)| match argument {
            Argument::Text(text) => (*name, text.clone()),
            Argument::Key(key) => (*name, self.t(key)),
        });
        let filled: Vec<_> = filled.collect();
        let values: Vec<(&str, &dyn Display)> =
            filled.iter().map(|(name, text)| (*name, text as &dyn Display)).collect();
        self.of_with("refusal", refusal.key, &values)
    }

    /// Whether there is a text `key`.
    pub fn has(&self, key: &str) -> bool {
        self.bundle().has_message(key)
    }

    fn bundle(self) -> &'static FluentBundle<FluentResource> {
        match self.language {
            Language::Chinese => &CHINESE,
            Language::English => &ENGLISH,
        }
    }

    fn format(self, key: &str, args: Option<&FluentArgs<'_>>) -> String {
        let bundle = self.bundle();
        let Some(pattern) = bundle.get_message(key).and_then(|message| message.value()) else {
            return format!("[{key}]");
        };
        let mut errors = Vec::new();
        bundle.format_pattern(pattern, args, &mut errors).into_owned()
    }
}

/// The texts of one language, those of all rooms.
fn source(tag: &str) -> String {
    let mut files: Vec<_> = Locales::iter().filter(|path| path.starts_with(tag)).collect();
    files.sort();
    let files = files.iter().filter_map(|path| Locales::get(path));
    files.map(|file| String::from_utf8_lossy(&file.data).into_owned() + "\n").collect()
}

fn bundle(tag: &str) -> FluentBundle<FluentResource> {
    let resource = FluentResource::try_new(source(tag))
        .unwrap_or_else(|(_, errors)| panic!("embedded locale {tag} does not parse: {errors:?}"));
    let language: LanguageIdentifier = tag.parse().expect("the tag is a constant");
    let mut bundle = FluentBundle::new_concurrent(vec![language]);
    // Isolation marks would end up in receipts that people copy into a search box.
    bundle.set_use_isolating(false);
    bundle
        .add_resource(resource)
        .unwrap_or_else(|errors| panic!("embedded locale {tag} repeats a key: {errors:?}"));
    bundle
}

#[cfg(test)]
#[path = "text/tests.rs"]
mod tests;
