//! SQLite as its manual suggests: a table with an index on time, an FTS5 table without content beside it (its smallest
//! form; the JSON is in the table already), write-ahead log, one transaction per 10,000 events.

use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, ToSql, params};

use crate::contender::{Columns, Contender, Load, Question, ROWS, Rows, Workload};

const TRANSACTION_EVENTS: usize = 10_000;
/// Memory like that which the others take from the page cache: the database mapped, and 64 MiB of pages.
const OPEN: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA mmap_size = 4294967296;
    PRAGMA cache_size = -65536;
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
        target_type TEXT NOT NULL, body TEXT NOT NULL
    );
    CREATE INDEX events_time ON events (time);
    CREATE VIRTUAL TABLE events_fts USING fts5 (text, content = '');
";
const INSERT_EVENT: &str =
    "INSERT INTO events (seq, time, actor, action, target_type, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const INSERT_TEXT: &str = "INSERT INTO events_fts (rowid, text) VALUES (?1, ?2)";
/// One b-tree of terms instead of several, and the log written back into the database.
const TIDY: &str = "INSERT INTO events_fts (events_fts) VALUES ('optimize'); PRAGMA wal_checkpoint(TRUNCATE);";
const FACETS: [&str; 3] = ["actor", "action", "target_type"];

pub struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    pub fn load(dir: &Path, work: &Workload) -> (Sqlite, Load) {
        let mut connection = Connection::open(dir.join("events.sqlite")).expect("a database");
        connection.execute_batch(OPEN).expect("tables");
        let began = Instant::now();
        let mut lines = (1i64..).zip(work.lines()).peekable();
        while lines.peek().is_some() {
            let transaction = connection.transaction().expect("a transaction");
            {
                let mut event = transaction.prepare_cached(INSERT_EVENT).expect("a statement");
                let mut text = transaction.prepare_cached(INSERT_TEXT).expect("a statement");
                for (seq, line) in lines.by_ref().take(TRANSACTION_EVENTS) {
                    let columns = Columns::of(&line);
                    let Columns { time_ms, actor, action, target_type, .. } = &columns;
                    event.execute(params![seq, time_ms, actor, action, target_type, line]).expect("a row");
                    text.execute(params![seq, columns.text]).expect("its text");
                }
            }
            transaction.commit().expect("a commit");
        }
        let searchable = began.elapsed();
        connection.execute_batch(TIDY).expect("tidying up");
        (Sqlite { connection }, Load { searchable, at_rest: began.elapsed() })
    }
}

/// What stands between `SELECT` and the order, with the values it takes.
fn matching(question: &Question) -> (String, Vec<Box<dyn ToSql>>) {
    let (mut from, mut conditions, mut values) = ("events AS e".to_owned(), Vec::new(), Vec::<Box<dyn ToSql>>::new());
    if !question.words.is_empty() {
        from = "events_fts JOIN events AS e ON e.seq = events_fts.rowid".to_owned();
        conditions.push("events_fts MATCH ?");
        values.push(Box::new(question.text()));
    }
    if let Some(range) = &question.time_ms {
        conditions.push("e.time >= ? AND e.time < ?");
        values.push(Box::new(range.start as i64));
        values.push(Box::new(range.end as i64));
    }
    if !conditions.is_empty() {
        from = format!("{from} WHERE {}", conditions.join(" AND "));
    }
    (from, values)
}

impl Contender for Sqlite {
    fn page(&self, question: &Question) -> Rows {
        let (matching, values) = matching(question);
        let sql = format!("SELECT e.body FROM {matching} ORDER BY e.time DESC, e.seq DESC LIMIT {ROWS}");
        let mut statement = self.connection.prepare_cached(&sql).expect("a statement");
        let mut found = statement.query(rusqlite::params_from_iter(values)).expect("an answer");
        let mut rows = Rows::default();
        while let Some(row) = found.next().expect("a row") {
            rows.push(row.get_ref(0).expect("a column").as_str().expect("text"));
        }
        rows
    }

    fn facets(&self, question: &Question) -> [Vec<(String, u64)>; 3] {
        FACETS.map(|column| {
            let (matching, values) = matching(question);
            let sql = format!("SELECT e.{column}, count(*) FROM {matching} GROUP BY e.{column}");
            let mut statement = self.connection.prepare_cached(&sql).expect("a statement");
            let counts = statement
                .query_map(rusqlite::params_from_iter(values), |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)));
            counts.expect("an answer").collect::<Result<_, _>>().expect("counts")
        })
    }
}
