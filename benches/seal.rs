//! Question: how small does sealing make the log, how long does it take, and what does reading from it cost?
//! Data: one segment of 600-byte events, sealed at some levels of zstd on one thread, leaves hashed; single reads of it at
//! random.
//! Target: sealing keeps up with 40,000 events/s. What a whole directory takes asks `disk`.

mod common;

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use annals::durable::OsDisk;
use annals::event::validate;
use annals::index::source::leaf_hash_of;
use annals::log::{FrameType, Framed, Opened, Options, Parts, Payload, Reader, Trusting, open};
use annals::seq::Seq;

const SEGMENT_EVENTS: u64 = 100_000;
const LEVELS: [i32; 5] = [1, 3, 6, 9, 12];
const READS: u64 = 20_000;

fn main() {
    let sent: Vec<String> = annals::demo::volume(SEGMENT_EVENTS, 1, common::now_ms(), 1).collect();
    let json_bytes: usize = sent.iter().map(|event| event.len() + 1).sum();
    let intake = common::intake();
    let body = |event: &String| validate(event, &intake).expect("a generated event is good").body;
    let events: Vec<String> = sent.iter().map(body).collect();
    drop(sent);
    for level in LEVELS {
        one_segment(level, &events, json_bytes);
    }
}

fn one_segment(level: i32, events: &[String], json_bytes: usize) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut opened = open_log(dir.path(), level);
    append(&mut opened, events);
    let before = opened.reader.segments()[0].bytes;
    let in_log = read_at_random(&opened.reader);
    let sealer = opened.sealer.as_ref().expect("the log is sound");
    let began = Instant::now();
    let mut hash = |seq: Seq, _: FrameType, payload: &[u8]| {
        black_box(leaf_hash_of(seq, payload).expect("the events are ours"));
        Ok(())
    };
    sealer.seal(Seq::ZERO, &AtomicBool::new(false), &mut hash).expect("it is sealed");
    let took = began.elapsed();
    let after = opened.reader.segments()[0].bytes;
    let sealed = read_at_random(&opened.reader);
    let began = Instant::now();
    let n = opened.reader.range(Seq::ZERO, Seq(SEGMENT_EVENTS)).filter(Result::is_ok).count();
    let scanned = began.elapsed();
    println!(
        "seal at level {level}: {:.3} of the .log, {:.3} of the JSON, {:.0} events/s on one thread; \
         one read at random {sealed:.1} us (of the .log {in_log:.1}), a range {:.0} events/s",
        after as f64 / before as f64,
        after as f64 / json_bytes as f64,
        SEGMENT_EVENTS as f64 / took.as_secs_f64(),
        n as f64 / scanned.as_secs_f64(),
    );
}

/// Microseconds for one record of a segment, most of them in blocks that nobody asked for lately.
fn read_at_random(reader: &Reader) -> f64 {
    let began = Instant::now();
    let mut seq = 1;
    for _ in 0..READS {
        seq = (seq * 48_271) % 2_147_483_647;
        black_box(reader.read(Seq(seq % SEGMENT_EVENTS)).expect("it is there"));
    }
    began.elapsed().as_secs_f64() * 1e6 / READS as f64
}

fn open_log(dir: &Path, seal_level: i32) -> Opened {
    let options = Options { seal_level, segment_bytes_max: 1 << 30, ..Options::default() };
    open(OsDisk::shared(), dir, &options, &mut Trusting).expect("an empty directory opens")
}

fn append(opened: &mut Opened, events: &[String]) {
    let writer = opened.writer.as_mut().expect("the log is new");
    let mut seq = 0;
    for batch in events.chunks(common::BATCH) {
        let payloads: Vec<Vec<u8>> = batch
            .iter()
            .map(|event| {
                seq += 1;
                // What an event really has: a random salt does not compress.
                let salt: [u8; 16] = rand::random();
                let payload = Payload {
                    kind: 1,
                    received_ms: 1_795_000_000_000,
                    tenant_seq: seq,
                    salt,
                    body: event.as_bytes(),
                    parts: Parts::NONE,
                };
                let mut bytes = Vec::with_capacity(payload.encoded_bytes());
                payload.encode(&mut bytes);
                bytes
            })
            .collect();
        let framed: Vec<Framed<'_>> = payloads.iter().map(|payload| Framed { flags: 0, payload }).collect();
        writer.append(&framed, &[seq as u8; 32], seq, 0).expect("there is room");
    }
    writer.roll(&[seq as u8; 32]).expect("there is room");
}
