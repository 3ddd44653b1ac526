//! `index-schema/v4.toml` as a Tantivy schema, and an entry as one of its documents.
//!
//! Which values an event has for a field is said once, in `query::values`; here they only become terms.
//! No document store: rows come from the log.

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use ::tantivy::schema::{
    DateOptions, DateTimePrecision, FacetOptions, Field, IndexRecordOption, IpAddrOptions, NumericOptions, Schema,
    TextFieldIndexing, TextOptions,
};
use ::tantivy::schema::{Facet, SchemaBuilder};
use ::tantivy::tokenizer::{Token, TokenStream, Tokenizer, TokenizerManager};
use ::tantivy::{DateTime, IndexSettings, IndexSortByField, TantivyDocument};
use serde::Deserialize;

use crate::event::{Entry, Event, PartKind};
use crate::index::source::{SealedPart, ToIndex};
use crate::index::tantivy::terms;
use crate::index::{FacetValue, facet_value};
use crate::query::FacetField;
use crate::query::values::{self, Member, ValueField};
use crate::text;

const FILE: &str = include_str!("../../../index-schema/v4.toml");
const WORDS: &str = "annals";
const RAW: &str = "raw";

/// Bytes of a document's terms are held in memory until its span is written; this bounds one value.
const TERM_BYTES_MAX: usize = 60_000;

#[derive(Deserialize)]
struct SchemaFile {
    version: u32,
    field: Vec<FieldLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldLine {
    name: String,
    #[serde(rename = "type")]
    kind: FieldKind,
    #[serde(default)]
    fast: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum FieldKind {
    Facet,
    Raw,
    Text,
    DateMs,
    U64,
    Ip,
}

/// The compiled-in schema with a handle for every field.
pub struct IndexSchema {
    /// The version that spans carry; a span of another version is rebuilt.
    pub version: u32,
    /// As Tantivy sees it.
    pub schema: Schema,
    /// Handles.
    pub fields: Fields,
}

/// A handle for every field of `v4.toml`.
#[expect(missing_docs, reason = "each is named and explained in index-schema/v4.toml")]
pub struct Fields {
    pub actor: Field,
    pub action: Field,
    pub target_type: Field,
    pub tenant: Field,
    pub actor_id: Field,
    pub target: Field,
    pub on_behalf_of: Field,
    pub id: Field,
    pub outcome: Field,
    pub source: Field,
    pub email: Field,
    pub actor_name: Field,
    pub target_name: Field,
    pub request_id: Field,
    pub session_id: Field,
    pub user_agent: Field,
    pub ip_raw: Field,
    pub ip: Field,
    pub time: Field,
    pub seq: Field,
    pub change: Field,
    pub text: Field,
    pub detail: Field,
    pub has: Field,
    pub key: Field,
    pub sealed_target_name: Field,
    pub sealed_change: Field,
    pub sealed_text: Field,
    pub sealed_detail: Field,
    pub sealed_has: Field,
    pub sealed_email: Field,
    pub sealed_actor_name: Field,
    pub sealed_user_agent: Field,
    pub sealed_ip_raw: Field,
    pub sealed_ip: Field,
    pub sealed_who_text: Field,
    pub sealed_who_has: Field,
}

impl Fields {
    /// Where the same values are if they are sealed, and in which part.
    pub fn twins(&self, field: Field) -> impl Iterator<Item = (PartKind, Field)> {
        let twins = [
            (self.target_name, PartKind::Content, self.sealed_target_name),
            (self.change, PartKind::Content, self.sealed_change),
            (self.text, PartKind::Content, self.sealed_text),
            (self.detail, PartKind::Content, self.sealed_detail),
            (self.has, PartKind::Content, self.sealed_has),
            (self.email, PartKind::Who, self.sealed_email),
            (self.actor_name, PartKind::Who, self.sealed_actor_name),
            (self.user_agent, PartKind::Who, self.sealed_user_agent),
            (self.ip_raw, PartKind::Who, self.sealed_ip_raw),
            (self.ip, PartKind::Who, self.sealed_ip),
            (self.text, PartKind::Who, self.sealed_who_text),
            (self.has, PartKind::Who, self.sealed_who_has),
        ];
        twins.into_iter().filter_map(move |(of, part, twin)| (of == field).then_some((part, twin)))
    }
}

/// The schema; the same for every span and the hot index.
pub fn current() -> &'static IndexSchema {
    static SCHEMA: LazyLock<IndexSchema> = LazyLock::new(load);
    &SCHEMA
}

/// Newest first in every index: document order is answer order.
pub fn settings() -> IndexSettings {
    IndexSettings {
        sort_by_field: Some(IndexSortByField { field: "time".into(), order: ::tantivy::Order::Desc }),
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    }
}

/// Documents stand in the order in which they are written: newest first, by whoever writes them, and of one time the highest seq first.
pub fn settings_in_given_order() -> IndexSettings {
    IndexSettings { sort_by_field: None, ..settings() }
}

/// The tokenizers that the schema names.
pub fn tokenizers() -> TokenizerManager {
    let manager = TokenizerManager::default();
    manager.register(WORDS, Words::default());
    manager
}

fn load() -> IndexSchema {
    let file: SchemaFile = toml::from_str(FILE).expect("index-schema/v4.toml is compiled in and read by the tests");
    let mut builder = Schema::builder();
    for line in &file.field {
        add(&mut builder, line);
    }
    let schema = builder.build();
    let field = |name: &str| schema.get_field(name).expect("every field used here is named in index-schema/v4.toml");
    let fields = Fields {
        actor: field("actor"),
        action: field("action"),
        target_type: field("target_type"),
        tenant: field("tenant"),
        actor_id: field("actor_id"),
        target: field("target"),
        on_behalf_of: field("on_behalf_of"),
        id: field("id"),
        outcome: field("outcome"),
        source: field("source"),
        email: field("email"),
        actor_name: field("actor_name"),
        target_name: field("target_name"),
        request_id: field("request_id"),
        session_id: field("session_id"),
        user_agent: field("user_agent"),
        ip_raw: field("ip_raw"),
        ip: field("ip"),
        time: field("time"),
        seq: field("seq"),
        change: field("change"),
        text: field("text"),
        detail: field("detail"),
        has: field("has"),
        key: field("key"),
        sealed_target_name: field("sealed_target_name"),
        sealed_change: field("sealed_change"),
        sealed_text: field("sealed_text"),
        sealed_detail: field("sealed_detail"),
        sealed_has: field("sealed_has"),
        sealed_email: field("sealed_email"),
        sealed_actor_name: field("sealed_actor_name"),
        sealed_user_agent: field("sealed_user_agent"),
        sealed_ip_raw: field("sealed_ip_raw"),
        sealed_ip: field("sealed_ip"),
        sealed_who_text: field("sealed_who_text"),
        sealed_who_has: field("sealed_who_has"),
    };
    IndexSchema { version: file.version, schema, fields }
}

fn add(builder: &mut SchemaBuilder, line: &FieldLine) {
    let indexing = |tokenizer, option| {
        let indexing =
            TextFieldIndexing::default().set_tokenizer(tokenizer).set_index_option(option).set_fieldnorms(false);
        TextOptions::default().set_indexing_options(indexing)
    };
    match line.kind {
        FieldKind::Facet => builder.add_facet_field(&line.name, FacetOptions::default()),
        FieldKind::Raw if line.fast => {
            builder.add_text_field(&line.name, indexing(RAW, IndexRecordOption::Basic).set_fast(RAW))
        }
        FieldKind::Raw => builder.add_text_field(&line.name, indexing(RAW, IndexRecordOption::Basic)),
        FieldKind::Text => {
            builder.add_text_field(&line.name, indexing(WORDS, IndexRecordOption::WithFreqsAndPositions))
        }
        FieldKind::DateMs => builder.add_date_field(
            &line.name,
            DateOptions::default().set_fast().set_precision(DateTimePrecision::Milliseconds),
        ),
        FieldKind::U64 => builder.add_u64_field(&line.name, NumericOptions::default().set_fast()),
        FieldKind::Ip => builder.add_ip_addr_field(&line.name, IpAddrOptions::default().set_fast()),
    };
}

/// What an entry is taken apart into.
pub trait Document {
    /// A path, found by each of its levels.
    fn facet(&mut self, field: Field, path: Facet);
    /// A value that is one term.
    fn term(&mut self, field: Field, term: &str);
    /// A text that is found by its words.
    fn words(&mut self, field: Field, text: &str);
    /// An address.
    fn ip(&mut self, field: Field, address: Ipv6Addr);
    /// An instant.
    fn date(&mut self, field: Field, ms: i64);
    /// A number.
    fn number(&mut self, field: Field, number: u64);
}

/// All of it as Tantivy takes documents.
impl Document for TantivyDocument {
    fn facet(&mut self, field: Field, path: Facet) {
        self.add_facet(field, path);
    }

    fn term(&mut self, field: Field, term: &str) {
        self.add_text(field, term);
    }

    fn words(&mut self, field: Field, text: &str) {
        self.add_text(field, text);
    }

    fn ip(&mut self, field: Field, address: Ipv6Addr) {
        self.add_ip_addr(field, address);
    }

    fn date(&mut self, field: Field, ms: i64) {
        self.add_date(field, DateTime::from_timestamp_millis(ms));
    }

    fn number(&mut self, field: Field, number: u64) {
        self.add_u64(field, number);
    }
}

/// The document of an entry.
pub fn document(entry: &ToIndex, fields: &Fields) -> TantivyDocument {
    let mut doc = TantivyDocument::with_capacity(2048);
    describe(&mut doc, entry, fields);
    doc
}

/// Tells `doc` of an entry: what everybody sees in one set of fields, what is sealed in another.
pub fn describe(doc: &mut impl Document, entry: &ToIndex, fields: &Fields) {
    add_clear(doc, &entry.entry, fields);
    for SealedPart { part, keys, event } in &entry.sealed {
        keys.iter().for_each(|key| add_term(doc, fields.key, &terms::sealed_under(*part, *key)));
        match part {
            PartKind::Content => add_content(doc, event, fields),
            PartKind::Who => add_who(doc, event, fields),
        }
    }
}

/// What entries tell of persons. Nothing else that can be sealed is in `event`.
fn add_content(doc: &mut impl Document, event: &Event, fields: &Fields) {
    values::field_values(ValueField::TargetName, event, &mut |value, _| {
        add_term(doc, fields.sealed_target_name, value)
    });
    // That a field changed is never sealed.
    terms::change_values(event, &mut |term| add_term(doc, fields.sealed_change, term));
    values::personal_texts(event, PartKind::Content, &mut |text| doc.words(fields.sealed_text, text));
    terms::detail_terms(event, &mut |term| add_term(doc, fields.sealed_detail, term));
    add_has(doc, event, fields.sealed_has, &[Member::TargetName, Member::Reason, Member::Detail]);
}

/// Who acted. Nothing else that can be sealed is in `event`.
fn add_who(doc: &mut impl Document, event: &Event, fields: &Fields) {
    for (value_field, field) in [
        (ValueField::Email, fields.sealed_email),
        (ValueField::ActorName, fields.sealed_actor_name),
        (ValueField::UserAgent, fields.sealed_user_agent),
    ] {
        values::field_values(value_field, event, &mut |value, _| add_term(doc, field, value));
    }
    add_ip(doc, event, (fields.sealed_ip_raw, fields.sealed_ip));
    values::personal_texts(event, PartKind::Who, &mut |text| doc.words(fields.sealed_who_text, text));
    let members = [Member::Email, Member::ActorName, Member::UserAgent, Member::Ip];
    add_has(doc, event, fields.sealed_who_has, &members);
}

fn add_has(doc: &mut impl Document, event: &Event, field: Field, members: &[Member]) {
    members.iter().filter(|member| member.is_in(event)).for_each(|member| doc.term(field, member.as_str()));
}

fn add_ip(doc: &mut impl Document, event: &Event, (raw, address): (Field, Field)) {
    if let Some(ip) = values::ip_text(event) {
        doc.term(raw, &ip);
    }
    if let Some(ip) = values::ip_address(event) {
        doc.ip(address, ip);
    }
}

fn add_clear(doc: &mut impl Document, entry: &Entry, fields: &Fields) {
    let event = &entry.event;
    for (facet, field) in [
        (FacetField::Actor, fields.actor),
        (FacetField::Action, fields.action),
        (FacetField::TargetType, fields.target_type),
    ] {
        if let Some(value) = facet_value(facet, entry) {
            doc.facet(field, facet_path(facet, &value));
        }
    }
    doc.term(fields.actor_id, &values::actor(event).1);
    for (value_field, field) in value_fields(fields) {
        values::field_values(value_field, event, &mut |value, _| add_term(doc, field, value));
    }
    add_ip(doc, event, (fields.ip_raw, fields.ip));
    doc.date(fields.time, event.time.ms);
    doc.number(fields.seq, entry.seq.0);
    terms::change_terms(event, &mut |term| add_term(doc, fields.change, term));
    values::text_values(event, &mut |shown| doc.words(fields.text, shown.text));
    terms::detail_terms(event, &mut |term| add_term(doc, fields.detail, term));
    values::has_members(event, &mut |member| doc.term(fields.has, member.as_str()));
}

/// Where the values of each `ValueField` are indexed.
pub fn value_fields(fields: &Fields) -> [(ValueField, Field); 12] {
    [
        (ValueField::Tenant, fields.tenant),
        (ValueField::Target, fields.target),
        (ValueField::OnBehalfOf, fields.on_behalf_of),
        (ValueField::Id, fields.id),
        (ValueField::Outcome, fields.outcome),
        (ValueField::Source, fields.source),
        (ValueField::Email, fields.email),
        (ValueField::ActorName, fields.actor_name),
        (ValueField::TargetName, fields.target_name),
        (ValueField::Request, fields.request_id),
        (ValueField::Session, fields.session_id),
        (ValueField::UserAgent, fields.user_agent),
    ]
}

/// The path under which a facet value is indexed: two levels for actor and action, one for the rest.
pub fn facet_path(facet: FacetField, value: &FacetValue) -> Facet {
    match facet {
        FacetField::Actor | FacetField::Action => Facet::from_path([&value.parent, &value.value]),
        FacetField::TargetType | FacetField::Tenant | FacetField::Outcome | FacetField::Source => {
            Facet::from_path([&value.value])
        }
    }
}

fn add_term(doc: &mut impl Document, field: Field, term: &str) {
    debug_assert!(term.len() <= TERM_BYTES_MAX, "terms are built from values of at most 8,192 bytes");
    doc.term(field, term);
}

/// The tokenizer of `src/text` as Tantivy wants it. One buffer for all tokens of a value.
#[derive(Clone, Default)]
struct Words {
    buffer: String,
    tokens: Vec<(usize, u32)>,
    token: Token,
}

struct WordStream<'a> {
    words: &'a mut Words,
    next: usize,
}

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, value: &'a str) -> WordStream<'a> {
        self.buffer.clear();
        self.tokens.clear();
        let (buffer, tokens) = (&mut self.buffer, &mut self.tokens);
        text::tokens(value, &mut |token| {
            buffer.push_str(token.text);
            tokens.push((buffer.len(), token.position));
        });
        WordStream { words: self, next: 0 }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(&(end, position)) = self.words.tokens.get(self.next) else {
            return false;
        };
        let start = match self.next {
            0 => 0,
            n => self.words.tokens[n - 1].0,
        };
        self.next += 1;
        let token = &mut self.words.token;
        token.text.clear();
        token.text.push_str(&self.words.buffer[start..end]);
        token.position = position as usize;
        token.position_length = 1;
        true
    }

    fn token(&self) -> &Token {
        &self.words.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.words.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_in_schema_loads_and_is_version_4() {
        let schema = current();
        assert_eq!(schema.version, 4);
        assert!(schema.schema.get_field_entry(schema.fields.seq).is_fast());
        assert!(schema.schema.get_field_entry(schema.fields.time).is_fast());
    }
}
