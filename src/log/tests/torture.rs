//! Damage of every kind at every place, and the verdict of FORMAT.md each time: what was acknowledged is there or its loss is
//! told, and nothing that was not written is ever handed out.
//!
//! A slice of each runs by default; `ANNALS_SOAK` runs all of it.

use super::*;
use crate::durable::DiskFile;

/// Every which case runs by default. Odd, so that a slice meets every bit of a byte.
fn stride(default: usize) -> usize {
    if soak::is_on() { 1 } else { default }
}

/// A log in memory that fills 64 KiB, and where its batches begin.
struct Story {
    world: World,
    file: Arc<dyn DiskFile>,
    bytes: Vec<u8>,
    /// Where each batch ends, and how many events there are by then.
    ends: Vec<(u64, usize)>,
}

impl Story {
    /// Appends batches until the file has so many bytes. HEAD speaks of the first `published` batches.
    fn new(bytes: u64, published: usize) -> Story {
        let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::new(1));
        let mut world = World::on(disk, Path::new("/data"));
        world.options = Options { segment_bytes_max: 1 << 20, segment_events_max: 1 << 20, ..small() };
        world.open();
        let mut ends = Vec::new();
        for i in 0.. {
            if ends.len() == published {
                world.publish();
            }
            let next = batch(5, 180, i as u8);
            let more: u64 = next.iter().map(|payload| framed_bytes(payload.len())).sum::<u64>() + framed_bytes(80);
            let end = world.opened().reader.segments()[0].bytes;
            if end + more > bytes {
                break;
            }
            world.append(&next).unwrap();
            ends.push((end + more, world.model.len()));
        }
        let path = world.active_file();
        world.opened = None;
        let file = world.disk.open(&path).unwrap();
        let mut whole = vec![0; file.len().unwrap() as usize];
        crate::durable::read_exact(&*file, &mut whole, 0).unwrap();
        Story { world, file, bytes: whole, ends }
    }

    /// Where the last `n` batches begin.
    fn last(&self, n: usize) -> u64 {
        self.ends[self.ends.len() - 1 - n].0
    }

    fn put(&self, bytes: &[u8]) {
        self.file.truncate(0).unwrap();
        crate::durable::write_all(&*self.file, bytes, 0).unwrap();
        // Or the disk in memory would keep each of them, to forget it in a crash.
        self.file.sync_data().unwrap();
    }

    /// Opens what `bytes` say without changing it.
    fn verdict(&mut self, bytes: &[u8]) -> Result<Opened, OpenError> {
        self.put(bytes);
        self.world.options.read_only = true;
        self.world.try_open().map(|(opened, _)| opened)
    }

    /// Whatever was handed out was written, in order.
    fn check_records(&self, opened: &Opened) {
        let size = opened.report.size.0 as usize;
        assert!(size <= self.world.model.len(), "{size} events of {}", self.world.model.len());
        for (i, record) in opened.reader.range(Seq::ZERO, Seq(u64::MAX)).enumerate() {
            // A payload that rotted is an error; what comes out is right.
            if let Ok(record) = record {
                assert!(record.payload == self.world.model[i], "event {i} is another one");
            }
        }
    }

    /// Events below this that are missing must have been told as corruption; above it a torn tail may have them.
    fn check_told(&self, opened: &Opened, safe: usize, what: &str) {
        let size = opened.report.size.0 as usize;
        let is_told = opened.read_only.is_some();
        assert!(size >= safe || is_told, "{what}: {size} of {safe} events and nothing is said");
        self.check_records(opened);
    }
}

/// A flip in the last batch may look like a torn tail, if HEAD does not speak of it. Any other is corruption.
#[test]
fn no_flipped_bit_of_the_log_loses_an_event_silently() {
    for published in [0, usize::MAX] {
        let mut story = Story::new(64 << 10, published);
        if published == usize::MAX {
            // HEAD speaks of everything.
            story = Story::new(64 << 10, story.ends.len());
        }
        let whole = story.bytes.clone();
        let events = story.world.model.len();
        let (last_begins, data_ends) = (story.last(1), story.ends.last().unwrap().0);
        let before_last = story.ends[story.ends.len() - 2].1;
        for bit in (0..(64 << 10) * 8).step_by(stride(1_009)) {
            let at = (bit / 8) as u64;
            let mut bytes = whole.clone();
            if at as usize >= bytes.len() {
                break;
            }
            bytes[at as usize] ^= 1 << (bit % 8);
            let what = format!("bit {} of byte {at}", bit % 8);
            let opened = match story.verdict(&bytes) {
                Ok(opened) => opened,
                // Not even the first segment's header is whole: the loudest verdict of all.
                Err(OpenError::Corrupt(_)) => {
                    assert!(at < 4096, "{what}");
                    continue;
                }
                Err(error) => panic!("{what}: {error}"),
            };
            story.check_told(&opened, if published == 0 { before_last } else { events }, &what);
            if at < last_begins {
                assert!(opened.read_only.is_some(), "{what}: nothing is said");
            } else if at < data_ends {
                assert!(opened.read_only.is_some() || opened.report.torn.is_some(), "{what}: nothing is said");
                assert_eq!(opened.read_only.is_some(), published != 0, "{what}");
            } else {
                // In the room that is reserved: nothing is lost, and what stands there is told.
                assert_eq!(opened.report.size.0 as usize, events, "{what}");
                assert!(opened.report.torn.is_some(), "{what}: nothing is said");
            }
        }
    }
}

/// The file ends, or goes on with zeros or rubbish, at any byte of the last three batches.
#[test]
fn whatever_replaces_the_end_of_the_file_is_a_torn_tail_above_head_and_corruption_below() {
    let batches = Story::new(16 << 10, 0).ends.len();
    for behind in 0..4 {
        let mut story = Story::new(16 << 10, batches - behind);
        let whole = story.bytes.clone();
        let end = story.ends.last().unwrap().0;
        let published = story.ends[batches - 1 - behind];
        for cut in (story.last(3)..end).step_by(stride(7)) {
            let short = whole[..cut as usize].to_vec();
            let mut zeros = short.clone();
            zeros.resize(whole.len(), 0);
            let mut rubbish = short.clone();
            rubbish.extend((cut..whole.len() as u64).map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8 | 1));
            for (kind, bytes) in [("short", short), ("zeros", zeros), ("rubbish", rubbish)] {
                // Zeros in the place of zeros change nothing; a file that ends there is no whole batch.
                let changed = bytes.iter().zip(&whole).position(|(a, b)| a != b).unwrap_or(bytes.len()) as u64;
                let kept = story.ends.iter().rev().find(|(at, _)| *at <= changed).unwrap();
                let (kept_end, kept_events) = *kept;
                let what = format!("{kind} from byte {cut}, HEAD {behind} batches behind");
                let opened = story.verdict(&bytes).unwrap();
                assert_eq!(opened.report.size.0 as usize, kept_events, "{what}");
                assert_eq!(opened.read_only.is_some(), kept_events < published.1, "{what}");
                if opened.read_only.is_none() {
                    let rest = &bytes[(kept_end as usize).min(bytes.len())..];
                    assert_eq!(opened.report.torn.is_some(), rest.iter().any(|b| *b != 0), "{what}");
                }
                story.check_records(&opened);
            }
        }
    }
}

/// A page of 4 KiB, or a sector of 512 bytes, that is zero, rubbish, of another place, or of a former time.
#[test]
fn a_page_that_is_not_what_was_written_is_told() {
    let mut story = Story::new(40 << 10, 3);
    let whole = story.bytes.clone();
    let (last_begins, end) = (story.last(1) as usize, story.ends.last().unwrap().0 as usize);
    for size in [512, 4096] {
        for from in (4096..end).step_by(size).step_by(stride(3)) {
            let to = (from + size).min(whole.len());
            let other = (4096 + (from * 7 + size) % (end - 4096 - size)) / size * size;
            for kind in 0..4 {
                let mut bytes = whole.clone();
                match kind {
                    0 => bytes[from..to].fill(0),
                    1 => bytes[from..to].iter_mut().enumerate().for_each(|(i, b)| *b ^= (i * 31 + 1) as u8),
                    2 => bytes.copy_within(other..other + (to - from), from),
                    _ => {
                        // What a write that never came left there: the state before the last batches.
                        let stale = story.ends[story.ends.len() / 2].0 as usize;
                        let begin = from.max(stale);
                        if begin < to {
                            bytes[begin..to].fill(0);
                        }
                    }
                }
                if bytes == whole {
                    continue;
                }
                let what = format!("kind {kind}, {size} bytes at {from}");
                let opened = story.verdict(&bytes).unwrap();
                let first_changed = bytes.iter().zip(&whole).position(|(a, b)| a != b).unwrap();
                let kept = story.ends.iter().rev().find(|(at, _)| *at as usize <= first_changed);
                let kept = kept.map_or(0, |(_, events)| *events);
                if first_changed < end {
                    assert_eq!(opened.report.size.0 as usize, kept, "{what}");
                }
                // Where it reaches to the end, nothing is left that proves a later batch: then it is a torn tail.
                if first_changed < last_begins && to >= end {
                    assert!(opened.read_only.is_some() || opened.report.torn.is_some(), "{what}: nothing is said");
                } else if first_changed < last_begins {
                    assert!(opened.read_only.is_some(), "{what}: nothing is said");
                }
                story.check_records(&opened);
            }
        }
    }
}
