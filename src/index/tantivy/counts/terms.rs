//! The values of a facet in one piece, by ordinal.

use ::tantivy::TantivyError;
use ::tantivy::columnar::StrColumn;

use crate::index::{EngineError, FacetValue};
use crate::query::FacetField;

/// Terms in their order, which is that of their ordinals.
pub struct Terms {
    text: String,
    /// Where each ends in `text`.
    ends: Vec<usize>,
}

impl Terms {
    /// All of a column.
    pub fn all(column: &StrColumn) -> Result<Terms, EngineError> {
        let mut terms = Terms { text: String::new(), ends: Vec::with_capacity(column.num_terms()) };
        let mut stream = column.dictionary().stream().map_err(TantivyError::from)?;
        while stream.advance() {
            terms.push(stream.key())?;
        }
        match terms.ends.len() == column.num_terms() {
            true => Ok(terms),
            false => Err(damaged()),
        }
    }

    /// Those of some ordinals, which rise; they are numbered anew from 0.
    pub fn some(column: &StrColumn, ordinals: impl Iterator<Item = u32>) -> Result<Terms, EngineError> {
        let ordinals: Vec<u64> = ordinals.map(u64::from).collect();
        let mut terms = Terms { text: String::new(), ends: Vec::with_capacity(ordinals.len()) };
        let mut pushed = Ok(());
        // In one walk through the dictionary: looking each up would read its block from the beginning every time.
        let found = column.dictionary().sorted_ords_to_term_cb(&ordinals, |term| {
            if pushed.is_ok() {
                pushed = terms.push(term);
            }
        });
        pushed?;
        match found.map_err(TantivyError::from)? {
            true => Ok(terms),
            false => Err(damaged()),
        }
    }

    /// The term of an ordinal below `len`.
    pub fn get(&self, ordinal: u32) -> &str {
        let index = ordinal as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start..self.ends[index]]
    }

    /// The ordinal of a term.
    pub fn find(&self, term: &str) -> Option<u32> {
        let (mut low, mut high) = (0, self.ends.len() as u32);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).cmp(term) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    fn push(&mut self, term: &[u8]) -> Result<(), EngineError> {
        self.text.push_str(std::str::from_utf8(term).map_err(|_| damaged())?);
        self.ends.push(self.text.len());
        Ok(())
    }
}

/// A facet is indexed as its levels joined by NUL, which no value contains.
pub fn value_of(field: FacetField, term: &str) -> FacetValue {
    let (parent, value) = match field {
        FacetField::Actor | FacetField::Action => term.split_once('\0').unwrap_or(("", term)),
        FacetField::TargetType | FacetField::Tenant | FacetField::Outcome | FacetField::Source => ("", term),
    };
    FacetValue { parent: parent.to_owned(), value: value.to_owned() }
}

/// The term of a value.
pub fn term_of(field: FacetField, value: &FacetValue) -> String {
    match field {
        FacetField::Actor | FacetField::Action => format!("{}\0{}", value.parent, value.value),
        FacetField::TargetType | FacetField::Tenant | FacetField::Outcome | FacetField::Source => value.value.clone(),
    }
}

fn damaged() -> EngineError {
    TantivyError::InternalError("a facet's column does not fit its dictionary".into()).into()
}
