//! The form of a record, made from its class in the catalogue.

use std::collections::BTreeMap;

use cunlian_governance::library::Fields;
use cunlian_governance::library::catalogue::{Class, Field, FieldKind, Part};
use cunlian_governance::library::record::FIELD_CHARACTERS;

use super::record::part_names;
use crate::frame::component::{Choice, FieldInput};
use crate::frame::text::{Text, domain_language};

/// The fields of one part, under its name.
pub(super) struct FormPart {
    pub(super) title: String,
    /// What is said before the first sensitive part; empty before all others.
    pub(super) note: String,
    pub(super) is_base: bool,
    pub(super) fields: Vec<FieldInput>,
}

/// The parts for which `may` holds, with values and problems in their fields.
pub(super) fn parts_of(
    texts: Text,
    class: &Class,
    values: &Fields,
    problems: &BTreeMap<String, String>,
    may: &impl Fn(Part) -> bool,
    focus: bool,
) -> Vec<FormPart> {
    let (mut focus, mut noted) = (focus, false);
    let mut parts = Vec::new();
    for part in class.parts().filter(|part| may(*part)) {
        let fields = class.fields.iter().filter(|field| field.part == part);
        let inputs = fields.map(|field| {
            let mut input = input(texts, field, values.get(&field.key), problems.get(&field.key));
            input.autofocus = std::mem::take(&mut focus);
            input
        });
        parts.push(FormPart {
            title: part.name(domain_language(texts)).to_owned(),
            note: if part == Part::Base || std::mem::replace(&mut noted, true) {
                String::new()
            } else {
                texts.t("part-sensitive")
            },
            is_base: part == Part::Base,
            fields: inputs.collect(),
        });
    }
    parts
}

/// In words, the parts of the class that are not in the form because `may` does not hold.
pub(super) fn not_in_form(
    texts: Text,
    class: &Class,
    may: &impl Fn(Part) -> bool,
) -> Option<String> {
    let hidden: Vec<Part> = class.parts().filter(|part| !may(*part)).collect();
    (!hidden.is_empty()).then(|| texts.t1("form-hidden", "parts", part_names(texts, &hidden)))
}

fn input(
    texts: Text,
    field: &Field,
    value: Option<&String>,
    problem: Option<&String>,
) -> FieldInput {
    let language = domain_language(texts);
    let kind = match field.kind {
        FieldKind::Choice => "choice",
        FieldKind::Date => "date",
        FieldKind::Number => "number",
        FieldKind::Phone => "tel",
        FieldKind::IdNumber | FieldKind::CreditCode | FieldKind::Address => "code",
        FieldKind::Text => "text",
    };
    let option = |option: &cunlian_governance::library::catalogue::Choice| Choice {
        value: option.zh.clone(),
        label: match language {
            cunlian_governance::language::Language::Chinese => option.zh.clone(),
            cunlian_governance::language::Language::English => option.en.clone(),
        },
    };
    FieldInput {
        hint: field.help(language).to_owned(),
        value: value.cloned().unwrap_or_default(),
        error: problem.cloned(),
        required: field.required,
        kind,
        options: field.options.iter().map(option).collect(),
        max: FIELD_CHARACTERS,
        ..FieldInput::new(texts, &field.key, field.name(language).to_owned())
    }
}
