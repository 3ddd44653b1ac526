//! Annals without its HTTP: the store, and the two calls that `GET /v1/events` and `GET /v1/facets` make.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use annals::clock;
use annals::durable::os::OsDisk;
use annals::event::{Catalogue, Kind, validate};
use annals::index::tantivy::counts::CountLimits;
use annals::index::tantivy::span::SpanLimits;
use annals::index::{Engine, Order, Within};
use annals::query::{Env, FacetField, Query, parse};
use annals::store::{Answers, Append, PageLimit, Privacy, Settings, Store};

use crate::contender::{BATCH, Contender, Load, Question, ROWS, Rows, Workload};

/// Batches under way at a time: enough that the writer never waits for us.
const UNDER_WAY_MAX: usize = 8;

pub struct Ours {
    store: Store,
}

impl Ours {
    pub fn load(dir: &Path, work: &Workload) -> (Ours, Load) {
        let settings = Settings {
            dir: dir.to_owned(),
            free_bytes_min: Some(0),
            accept_clock: false,
            read_only: false,
            spans: SpanLimits::default(),
            counts: CountLimits::default(),
            log: annals::log::Options::default(),
            origin: None,
            accept_new_key: false,
            last_note: None,
            scrub: annals::store::scrubber::ScrubSettings { period: None, bytes_per_s: 1 << 30 },
            reserve_bytes: 0,
            privacy: Privacy::default(),
        };
        let catalogue = Arc::new(Catalogue::builtin().clone());
        let store = Store::open(OsDisk::shared(), settings, catalogue).expect("an empty directory opens");
        let began = Instant::now();
        append(&store, work);
        let durable = store.marks().durable;
        while store.view().searchable() < durable {
            thread::sleep(Duration::from_millis(1));
        }
        let searchable = began.elapsed();
        // The last run that is no span's worth stays in memory, as it would in a server.
        while store.spans_progress().1 > 0 || store.spans_unmerged() > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let at_rest = began.elapsed();
        (Ours { store }, Load { searchable, at_rest })
    }

    fn query(&self, question: &Question) -> Query {
        let mut text = question.text();
        if let Some(range) = &question.time_ms {
            let time = |ms: u64| clock::rfc3339_ms(ms as i64);
            text.push_str(&format!(" time:>={} time:<{}", time(range.start), time(range.end)));
        }
        let env = Env { now_ms: clock::now_ms(), catalogue: self.store.catalogue() };
        parse(&text, &env).expect("the query can be read")
    }
}

fn append(store: &Store, work: &Workload) {
    let mut lines = work.lines().peekable();
    let mut under_way = VecDeque::new();
    while lines.peek().is_some() {
        let intake = store.intake(None);
        let drafts = lines.by_ref().take(BATCH).map(|line| validate(&line, &intake).expect("a generated event"));
        let append = Append { drafts: drafts.collect(), skip_conflicts: false, kind: Kind::Event };
        under_way.push_back(store.append(append).expect("the queue has room"));
        if under_way.len() > UNDER_WAY_MAX {
            under_way.pop_front().expect("it has members").blocking_recv().expect("the writer runs").expect("stored");
        }
    }
    for answer in under_way {
        answer.blocking_recv().expect("the writer runs").expect("stored");
    }
}

impl Contender for Ours {
    fn page(&self, question: &Question) -> Rows {
        let query = self.query(question);
        let view = self.store.view();
        let answers = Answers { engine: &*view, source: self.store.source(), catalogue: self.store.catalogue() };
        let within = Within::below(view.searchable());
        let page = answers.page(&query, Order::TimeDesc, None, within, PageLimit::rows(ROWS)).expect("a page");
        Rows { text: page.rows, ends: page.row_ends }
    }

    fn facets(&self, question: &Question) -> [Vec<(String, u64)>; 3] {
        let query = self.query(question);
        let view = self.store.view();
        let fields = [FacetField::Actor, FacetField::Action, FacetField::TargetType];
        let counts = view.counts(&query, Within::below(view.searchable()), &fields).expect("counts");
        let facets: Vec<_> = counts
            .facets
            .into_iter()
            .map(|facet| facet.values.into_iter().map(|(value, count)| (value.value, count)).collect())
            .collect();
        facets.try_into().expect("as many facets as fields")
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.store.close();
    }
}
