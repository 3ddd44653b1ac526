//! Tantivy as its examples use it: one index of one schema, stored JSON, the default merge policy, hits sorted by a fast
//! field, facets counted by its collector.

use std::ops::Bound;
use std::path::Path;
use std::time::Instant;

use tantivy::collector::{FacetCollector, TopDocs};
use tantivy::query::{AllQuery, BooleanQuery, Query, QueryParser, RangeQuery};
use tantivy::schema::{
    DateOptions, DateTimePrecision, FacetOptions, Field, STORED, Schema, TEXT, TantivyDocument, Value,
};
use tantivy::{DateTime, Index, IndexReader, IndexWriter, Order, Term, doc};

use crate::contender::{Columns, Contender, Load, Question, ROWS, Rows, Workload};

/// What the writer's threads may use together.
const WRITER_BYTES: usize = 256 << 20;
/// Names of the facet fields.
const FACETS: [&str; 3] = ["actor", "action", "target_type"];

pub struct PlainTantivy {
    reader: IndexReader,
    parser: QueryParser,
    time: Field,
    json: Field,
}

impl PlainTantivy {
    pub fn load(dir: &Path, work: &Workload) -> (PlainTantivy, Load) {
        let mut schema = Schema::builder();
        let text = schema.add_text_field("text", TEXT);
        let [actor, action, target_type] = FACETS.map(|name| schema.add_facet_field(name, FacetOptions::default()));
        let ms = DateOptions::default().set_indexed().set_fast().set_precision(DateTimePrecision::Milliseconds);
        let time = schema.add_date_field("time", ms);
        let json = schema.add_text_field("json", STORED);
        let index = Index::create_in_dir(dir, schema.build()).expect("an index");
        let facet = |value: &str| tantivy::schema::Facet::from_path([value]);

        let began = Instant::now();
        let mut writer: IndexWriter = index.writer(WRITER_BYTES).expect("a writer");
        for line in work.lines() {
            let event = Columns::of(&line);
            let document = doc!(
                text => event.text,
                actor => facet(&event.actor),
                action => facet(&event.action),
                target_type => facet(&event.target_type),
                time => DateTime::from_timestamp_millis(event.time_ms),
                json => line,
            );
            writer.add_document(document).expect("a document is taken");
        }
        writer.commit().expect("a commit");
        let reader = index.reader().expect("a reader");
        let searchable = began.elapsed();
        writer.wait_merging_threads().expect("merges end");
        reader.reload().expect("the merged segments open");
        let at_rest = began.elapsed();

        let mut parser = QueryParser::for_index(&index, vec![text]);
        parser.set_conjunction_by_default();
        (PlainTantivy { reader, parser, time, json }, Load { searchable, at_rest })
    }

    fn query(&self, question: &Question) -> Box<dyn Query> {
        let words: Box<dyn Query> = match question.words.is_empty() {
            true => Box::new(AllQuery),
            false => self.parser.parse_query(&question.text()).expect("the query can be read"),
        };
        let Some(range) = &question.time_ms else {
            return words;
        };
        let term = |ms: u64| Term::from_field_date(self.time, DateTime::from_timestamp_millis(ms as i64));
        let range = RangeQuery::new(Bound::Included(term(range.start)), Bound::Excluded(term(range.end)));
        Box::new(BooleanQuery::intersection(vec![words, Box::new(range)]))
    }
}

impl Contender for PlainTantivy {
    fn page(&self, question: &Question) -> Rows {
        let searcher = self.reader.searcher();
        let newest = TopDocs::with_limit(ROWS).order_by_fast_field::<DateTime>("time", Order::Desc);
        let mut rows = Rows::default();
        for (_, address) in searcher.search(&*self.query(question), &newest).expect("hits") {
            let document: TantivyDocument = searcher.doc(address).expect("a stored document");
            let json = document.get_first(self.json).expect("it has its JSON");
            rows.push(json.as_str().expect("text"));
        }
        rows
    }

    fn facets(&self, question: &Question) -> [Vec<(String, u64)>; 3] {
        let [actor, action, target_type] = FACETS.map(|name| {
            let mut collector = FacetCollector::for_field(name);
            collector.add_facet("/");
            collector
        });
        let counted = self.reader.searcher().search(&*self.query(question), &(actor, action, target_type));
        let (actors, actions, target_types) = counted.expect("counts");
        [actors, actions, target_types]
            .map(|counts| counts.get("/").map(|(facet, count)| (facet.to_path().join("/"), count)).collect())
    }
}
