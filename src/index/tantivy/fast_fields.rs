//! The columns of a span's documents, as Tantivy's own writer would write them, byte for byte: but that also puts each of their
//! terms into its table of terms, which nobody reads here (`inverted`).

use std::net::Ipv6Addr;

use ::tantivy::columnar::{ColumnType, ColumnarWriter};
use ::tantivy::directory::TerminatingWrite;
use ::tantivy::index::{Segment, SegmentComponent};
use ::tantivy::schema::{Facet, Field, FieldEntry, FieldType, Schema};
use ::tantivy::{DateTime, DocId, TantivyError};

/// The file that is written here.
pub const FILE: SegmentComponent = SegmentComponent::FastFields;

/// The columns of such documents: each is there, whether a document has a value in it or not.
pub fn columns(schema: &Schema) -> Vec<(String, ColumnType)> {
    let fields = schema.fields().map(|(_, entry)| entry).filter(|entry| entry.is_fast());
    fields.map(|entry| (entry.name().to_owned(), column_type(entry))).collect()
}

fn column_type(entry: &FieldEntry) -> ColumnType {
    match entry.field_type() {
        FieldType::Str(_) | FieldType::Facet(_) => ColumnType::Str,
        FieldType::Date(_) => ColumnType::DateTime,
        FieldType::U64(_) => ColumnType::U64,
        FieldType::IpAddr(_) => ColumnType::IpAddr,
        other => unreachable!("the schema has no column of {other:?}"),
    }
}

/// A value of each document in each of some fields.
pub struct FastFields {
    writer: ColumnarWriter,
    /// Of each field of the schema, if it has a column.
    names: Vec<Option<String>>,
    /// How many documents have ended.
    docs: DocId,
}

impl FastFields {
    /// Of documents with this schema.
    pub fn new(schema: &Schema) -> FastFields {
        let mut writer = ColumnarWriter::default();
        let column = |(_, entry): (Field, &FieldEntry)| {
            let is_facet = matches!(entry.field_type(), FieldType::Facet(_));
            entry.is_fast().then(|| {
                // One without a value is there as well.
                writer.record_column_type(entry.name(), column_type(entry), is_facet);
                entry.name().to_owned()
            })
        };
        let names = schema.fields().map(column).collect();
        FastFields { writer, names, docs: 0 }
    }

    /// What comes now is of the next document.
    pub fn end_document(&mut self) {
        self.docs += 1;
    }

    /// A value that everything in the field is told apart by.
    pub fn add_term(&mut self, field: Field, term: &str) {
        if let Some(name) = &self.names[field.field_id() as usize] {
            self.writer.record_str(self.docs, name, term);
        }
    }

    /// A path.
    pub fn add_facet(&mut self, field: Field, path: &Facet) {
        self.add_term(field, path.encoded_str());
    }

    /// An address.
    pub fn add_ip(&mut self, field: Field, address: Ipv6Addr) {
        if let Some(name) = &self.names[field.field_id() as usize] {
            self.writer.record_ip_addr(self.docs, name, address);
        }
    }

    /// An instant.
    pub fn add_date(&mut self, field: Field, ms: i64) {
        if let Some(name) = &self.names[field.field_id() as usize] {
            self.writer.record_datetime(self.docs, name, DateTime::from_timestamp_millis(ms));
        }
    }

    /// A number.
    pub fn add_number(&mut self, field: Field, number: u64) {
        if let Some(name) = &self.names[field.field_id() as usize] {
            self.writer.record_numerical(self.docs, name, number);
        }
    }

    /// Writes [`FILE`] of the segment, which is not there yet. `places` says for each document, in the order in which they
    /// came, where it stands in the segment.
    ///
    /// # Errors
    /// What the directory says.
    pub fn write(mut self, segment: &Segment, places: &[DocId]) -> Result<(), TantivyError> {
        let mut into = segment.open_write(FILE)?;
        self.writer.serialize(self.docs, Some(places), &mut into)?;
        Ok(into.terminate()?)
    }
}
