//! Verifies a data directory: every byte of the log, HEAD, the kept checkpoints, the key file and the tree's files.
//!
//! A server may be writing meanwhile. HEAD and the lengths of the tree's files are read before the log, so that whatever
//! they speak of is in it; a batch or slot that is half written is looked at again.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

use super::{Given, SMALL_FILE_MAX};
use crate::cli::progress::Progress;
use crate::durable::{Disk, DiskFile, OsDisk, read_exact, read_small};
use crate::event::{Event, SubjectTypes};
use crate::keyring::kek::Kek;
use crate::keyring::{self, KeyState, Keyring, Outside, States};
use crate::log::{self, Head, OpenError, Opened, Options, Payload, Slot, inspect_slots, latest};
use crate::privacy::Vault;
use crate::seq::Seq;
use crate::store::KEK_FILE;
use crate::store::signing::read_replaced;
use crate::tree::files::{NOTES, PUBLIC_KEY, REPLACED_KEYS};
use crate::tree::tiles::{HASH_BYTES, TILE_HASHES};
use crate::tree::{Hash, Tenants, VerifierKey, empty_root};
use crate::verify::sealed::{Opener, State};
use crate::verify::{Finding, Growth, HeldNote, Place, Replay, Report, Stored, StoredError};

/// Two slots are 8 KiB; a longer file is read this far and found wrong.
const HEAD_BYTES_MAX: u64 = 16 << 10;
/// Something half written is looked at again this often, so long after each other: a write takes milliseconds.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);
/// More levels than a log can have.
const LEVELS_MAX: u32 = 8;

/// Reads and checks everything.
pub fn verify(dir: &Path, given: &Given) -> anyhow::Result<Report> {
    let disk = OsDisk::shared();
    if !disk.exists(&dir.join("log"))? && !disk.exists(&dir.join("HEAD"))? {
        bail!("it holds no log");
    }
    let (mut before, mut looks) = (None, 0);
    loop {
        looks += 1;
        let (mut report, unsettled) = match look(&disk, dir, given) {
            // A server sealed a segment between our seeing its name and opening it.
            Err(error) if looks < LOOKS && is_gone(&error) => {
                thread::sleep(PAUSE);
                continue;
            }
            looked => looked?,
        };
        let Some(unsettled) = unsettled else {
            return Ok(report);
        };
        if before.as_ref() == Some(&unsettled) {
            report.findings.push(unsettled);
            return Ok(report);
        }
        if before.is_some() {
            report.remarks.push("a server was writing behind the last of these events".into());
            return Ok(report);
        }
        before = Some(unsettled);
        thread::sleep(PAUSE);
    }
}

fn is_gone(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<OpenError>() {
        Some(OpenError::Io { source, .. }) => source.kind() == ErrorKind::NotFound,
        Some(OpenError::Visitor(_) | OpenError::NoLog { .. } | OpenError::Corrupt(_)) | None => false,
    }
}

const TORN: &str = "half a batch lies behind the last whole one: a crash left it, which the next start would cut and keep, or \
                    bytes were altered";

/// Looks once. What is wrong behind HEAD may be a batch that a server is writing: that is answered apart, and is a finding if it
/// is there again at the same place.
fn look(disk: &Arc<dyn Disk>, dir: &Path, given: &Given) -> anyhow::Result<(Report, Option<Finding>)> {
    let unmet = given.anchor.unmet().map(str::to_owned).into_iter().collect();
    let mut report = Report { unmet, ..Report::default() };
    let slots = read_head(disk, dir, &mut report)?;
    let key = read_key(disk, dir, given, &slots, &mut report)?;
    let mut notes = notes_of_slots(&slots, key.as_ref(), &mut report);
    notes.extend(kept_notes(disk, dir, key.as_ref(), &mut report)?);
    for note in given.held_notes(key.as_ref()) {
        match note {
            Ok(note) => notes.push(note),
            Err(finding) => report.findings.push(finding),
        }
    }
    report.key = key.as_ref().map(ToString::to_string);
    report.origin = latest(&slots).map(|head| head.origin().to_owned());
    if let (Some(key), Some(origin)) = (&key, &report.origin)
        && origin != key.name()
    {
        let why = format!("its checkpoint is of {origin}, the key is that of {}", key.name());
        report.found(Place::Named("HEAD".into()), why);
    }

    let mut files = TreeFiles::open(disk, &dir.join("tree"), &mut report)?;
    let tenants = read_tenants(disk, dir, &mut report)?;
    let mut progress = Progress::new("events verified");
    let mut say = |events| progress.at(events);
    let mut growth = Growth::new(notes.iter().map(|note| note.checkpoint.size), &mut files);
    if let Some(tenants) = tenants {
        growth.expect_tenants(tenants);
    }
    let keys = read_keys(disk, dir, given, &mut report)?;
    let opens = |payload: &Payload<'_>, mut event: Event| {
        let opened = keys.vault.as_ref().map(|vault| vault.open(&mut event, payload.salt, payload.parts));
        // A keyring that cannot be read is told of below.
        opened.and_then(Result::ok).unwrap_or_default()
    };
    let opener: Option<&Opener<'_>> = keys.vault.is_some().then_some(&opens);
    let mut replay = Replay::new(growth, &mut say).opening(opener);
    let options = Options { read_only: true, ..Options::default() };
    let opened = log::open(disk.clone(), dir, &options, &mut replay);
    let (growth, sealed, cut) = replay.into_parts();
    let opened = match opened {
        Ok(opened) => opened,
        Err(OpenError::Corrupt(corrupt)) => {
            report.found(place(&corrupt), corrupt.why);
            return Ok((report, None));
        }
        Err(OpenError::NoLog { .. }) => {
            report.found(Place::Named("log".into()), "there is no log, but HEAD is there");
            return Ok((report, None));
        }
        Err(error @ (OpenError::Io { .. } | OpenError::Visitor(_))) => return Err(error.into()),
    };

    let size = opened.report.size.0;
    (report.size, report.root, report.tenants) = (size, Some(opened.report.root), growth.tenants());
    report.tree_hashes = growth.compared();
    let published = latest(&slots).map_or(Seq::ZERO, |head| head.size);
    let (mut is_whole, mut unsettled) = (true, None);
    if let Some(torn) = &opened.report.torn {
        let place = Place::Segment { segment: torn.segment, offset: torn.offset, seq: opened.report.size };
        unsettled = Some(Finding { place, why: TORN.into() });
    }
    if let Some(corrupt) = &opened.read_only {
        let finding = Finding { place: place(corrupt), why: corrupt.why.clone() };
        match corrupt.seq >= published {
            true => unsettled = Some(finding),
            false => {
                is_whole = false;
                report.findings.push(finding);
            }
        }
    }
    for note in notes {
        // What lies behind damage was not seen; the damage is the finding.
        if note.checkpoint.size > size && !is_whole {
            continue;
        }
        match note.against(size, growth.root_at(note.checkpoint.size), report.origin.as_deref()) {
            Some(finding) => report.findings.push(finding),
            None => report.notes.push((note.name, note.checkpoint.size)),
        }
    }
    // Of what lies behind damage nothing is known.
    let state = |key, is_erased| keys.state(key, is_erased);
    let state: Option<&State<'_>> = (keys.outside.is_some() && is_whole).then_some(&state);
    let (counts, found) = sealed.finish(state);
    report.findings.extend(found);
    if counts.keys > 0 && keys.outside.is_none() {
        report.remarks.push("the keyring is not here: whether what is sealed can be read was not looked at".into());
    } else if counts.keys > 0 && keys.vault.is_none() {
        report.remarks.push("without the key-encryption key nothing that is sealed was opened (--kek-file)".into());
    }
    report.sealed = counts;
    let (cut_out, found) = cut.finish();
    report.cut_out = cut_out;
    if is_whole {
        report.findings.extend(found);
        // Nothing of the log is altered or lost: that it is there is another matter.
        report.unmet.extend(cut.uncut().into_iter().map(|(of, by)| {
            format!("the content of entry {of} is there, although entry {by} says that it was cut out: `annals excise` cuts it out again")
        }));
        report.findings.extend(growth.findings());
        drop(growth);
        files.compare_lengths(size, published.0, &mut report);
    }
    look_around(disk, dir, &opened, &slots, &mut report)?;
    progress.finish(size);
    Ok((report, unsettled))
}

/// The keys of what is sealed, as far as they are at hand.
struct Keys {
    outside: Option<Outside>,
    /// What had become of the keys before the log was read: whatever was destroyed by then, its entry is there.
    before: Option<States>,
    vault: Option<Vault>,
}

impl Keys {
    /// What became of a key, as far as it must agree with the log: a server may destroy and make keys meanwhile.
    fn state(&self, key: u64, is_erased: bool) -> KeyState {
        let (Some(outside), Some(before)) = (&self.outside, &self.before) else { return KeyState::Missing };
        match (before.of(key), is_erased) {
            (KeyState::Destroyed, _) => KeyState::Destroyed,
            (KeyState::Alive, false) => KeyState::Alive,
            // Made since; if it was destroyed since as well, the entry of that is behind what was read.
            (KeyState::Missing, false) => match outside.state(key) {
                KeyState::Alive | KeyState::Destroyed => KeyState::Alive,
                KeyState::Missing => KeyState::Missing,
            },
            // Its erasure may be entered, and be about to overwrite it.
            (KeyState::Alive | KeyState::Missing, true) => {
                let mut looks = 1;
                while outside.state(key) == KeyState::Alive && looks < LOOKS {
                    thread::sleep(PAUSE);
                    looks += 1;
                }
                outside.state(key)
            }
        }
    }
}

fn read_keys(disk: &Arc<dyn Disk>, dir: &Path, given: &Given, report: &mut Report) -> anyhow::Result<Keys> {
    let outside = match Outside::open(&**disk, dir) {
        Ok(outside) => outside,
        Err(error) => {
            report.found(Place::Named(keyring::FILE.into()), error.to_string());
            None
        }
    };
    let before = match outside.as_ref().map(Outside::states).transpose() {
        Ok(before) => before,
        Err(error) => return Err(error).context("cannot read the keyring"),
    };
    let Some(Outside { log_id, .. }) = outside else { return Ok(Keys { outside, before, vault: None }) };
    let path = given.kek_file.clone().unwrap_or_else(|| dir.join(KEK_FILE));
    let is_needed = given.kek_file.is_some();
    if !is_needed && !disk.exists(&path)? {
        return Ok(Keys { outside, before, vault: None });
    }
    let opened = Kek::read(&**disk, &path, &log_id)
        .map_err(anyhow::Error::from)
        .and_then(|kek| Keyring::open_to_look(&**disk, dir, log_id, kek).map_err(Into::into));
    match opened {
        Ok(keyring) => Ok(Keys { outside, before, vault: Some(Vault::new(keyring, SubjectTypes::default())) }),
        Err(error) if is_needed => Err(error),
        Err(error) => {
            report.remarks.push(format!("nothing that is sealed was opened: {error:#}"));
            Ok(Keys { outside, before, vault: None })
        }
    }
}

fn place(corrupt: &log::Corrupt) -> Place {
    Place::Segment { segment: corrupt.segment, offset: corrupt.offset, seq: corrupt.seq }
}

/// Both slots; a damaged one only if it stays so, since a publisher may be writing it.
fn read_head(disk: &Arc<dyn Disk>, dir: &Path, report: &mut Report) -> anyhow::Result<[Slot; 2]> {
    let path = dir.join("HEAD");
    let mut looks = 0;
    let slots = loop {
        looks += 1;
        let bytes = match read_small(&**disk, &path, HEAD_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                report.found(Place::Named("HEAD".into()), "it is missing");
                return Ok([Slot::Empty, Slot::Empty]);
            }
            Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                report.found(Place::Named("HEAD".into()), error.to_string());
                return Ok([Slot::Empty, Slot::Empty]);
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let slots = inspect_slots(&bytes);
        if looks == LOOKS || !slots.iter().any(|slot| matches!(slot, Slot::Damaged { .. })) {
            break slots;
        }
        thread::sleep(PAUSE);
    };
    let is_new = held(&slots).all(|(_, head)| head.size == Seq::ZERO);
    for (slot, name) in slots.iter().zip(SLOT_NAMES) {
        match slot {
            Slot::Held(_) => {}
            Slot::Damaged { why } => report.found(Place::Named(name.into()), *why),
            Slot::Empty if is_new && name == SLOT_NAMES[1] => {}
            Slot::Empty => report.found(Place::Named(name.into()), "it is empty, although checkpoints were published"),
        }
    }
    Ok(slots)
}

const SLOT_NAMES: [&str; 2] = ["HEAD slot 0", "HEAD slot 1"];

fn held(slots: &[Slot; 2]) -> impl Iterator<Item = (&'static str, &Head)> {
    SLOT_NAMES.into_iter().zip(slots).filter_map(|(name, slot)| match slot {
        Slot::Held(head) => Some((name, head)),
        Slot::Empty | Slot::Damaged { .. } => None,
    })
}

/// The key given, else the directory's own. The file must hold exactly the key in either case.
fn read_key(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    given: &Given,
    slots: &[Slot; 2],
    report: &mut Report,
) -> anyhow::Result<Option<VerifierKey>> {
    let place = || Place::Named(PUBLIC_KEY.into());
    let path = dir.join(PUBLIC_KEY);
    let own: Option<VerifierKey> = match read_small(&**disk, &path, SMALL_FILE_MAX) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let key = text.strip_suffix('\n').unwrap_or("").parse().ok().filter(|_| bytes == text.as_bytes());
            if key.is_none() {
                report.found(place(), "it holds no key, or not a key alone on one line");
            }
            key
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if latest(slots).is_some_and(Head::is_signed) {
                report.found(place(), "it is missing, but HEAD is signed");
            }
            None
        }
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            report.found(place(), error.to_string());
            None
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    if let (Some(own), Some(key)) = (&own, &given.anchor.key)
        && own != key
    {
        report.found(place(), format!("it holds {own}, not the key that was given"));
    }
    Ok(given.anchor.key.clone().or(own))
}

fn notes_of_slots(slots: &[Slot; 2], key: Option<&VerifierKey>, report: &mut Report) -> Vec<HeldNote> {
    let newest = latest(slots).map(|head| head.size);
    let mut notes = Vec::new();
    for (name, head) in held(slots) {
        match HeldNote::read_or_unsigned(name, &head.checkpoint, key) {
            // What a log is made with: nobody signs it, and it has the log's own name whatever the origin is set to.
            Ok(note) if !note.is_signed && note.checkpoint.size == 0 => {
                if note.checkpoint.root != empty_root() {
                    report.found(Place::Named(name.into()), "it is of no events, but not of the empty tree");
                }
            }
            Ok(note) => {
                if note.is_signed {
                    report.signed_size = report.signed_size.max(Some(note.checkpoint.size));
                }
                notes.push(note);
            }
            Err(finding) => report.findings.push(finding),
        }
    }
    // The other slot may be older than the first signature.
    if report.signed_size != newest.map(|size| size.0) || newest.is_none() {
        report.unmet.push("the newest checkpoint in HEAD is not signed".into());
    }
    notes
}

/// `checkpoints/<size>.note`
fn kept_notes(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    key: Option<&VerifierKey>,
    report: &mut Report,
) -> anyhow::Result<Vec<HeldNote>> {
    let kept = dir.join(NOTES);
    let names = match disk.list(&kept) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.with_context(|| format!("cannot list {}", kept.display()))?,
    };
    let replaced = match read_replaced(&**disk, dir) {
        Ok(keys) => keys,
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            report.found(Place::Named(REPLACED_KEYS.into()), error.to_string());
            Vec::new()
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {REPLACED_KEYS}")),
    };
    let mut notes = Vec::new();
    for file in names.iter().filter(|name| !name.ends_with(".tmp")) {
        let name = format!("{NOTES}/{file}");
        let path = kept.join(file);
        let bytes = match read_small(&**disk, &path, SMALL_FILE_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                report.found(Place::Named(name), error.to_string());
                continue;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        // What is not UTF-8 becomes something that nobody signed.
        let text = String::from_utf8_lossy(&bytes);
        let read = HeldNote::read(&name, &text, key).or_else(|finding| {
            // One of a key that was replaced on purpose, if that is written down. It vouches for nothing, but the log must
            // agree with it.
            let old = replaced.iter().find_map(|old| Some((old, HeldNote::read(&name, &text, Some(old)).ok()?)));
            let (old, note) = old.ok_or(finding)?;
            report.remarks.push(format!("{name} is signed by {}, which was replaced", old));
            Ok(note)
        });
        match read {
            Ok(note) if *file == format!("{}.note", note.checkpoint.size) => notes.push(note),
            Ok(note) => {
                report.found(
                    Place::Named(name),
                    format!("it speaks of {} events, unlike its name", note.checkpoint.size),
                );
            }
            Err(finding) => report.findings.push(finding),
        }
    }
    Ok(notes)
}

fn read_tenants(disk: &Arc<dyn Disk>, dir: &Path, report: &mut Report) -> anyhow::Result<Option<Tenants>> {
    let tree = dir.join("tree");
    let tenants = Tenants::load(&**disk, &tree).context("cannot read tree/tenants")?;
    if tenants.is_none() && disk.exists(&tree.join("tenants"))? {
        report.found(Place::Named("tree/tenants".into()), "its checksum does not match");
    }
    Ok(tenants)
}

/// What lies beside a log that is sound.
fn look_around(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    opened: &Opened,
    slots: &[Slot; 2],
    report: &mut Report,
) -> anyhow::Result<()> {
    let size = opened.report.size;
    if let Some(head) = latest(slots).filter(|head| head.size < size) {
        let n = size.0 - head.size.0;
        report.remarks.push(format!("the last {n} events are newer than the checkpoint in HEAD"));
    }
    if opened.report.headless.is_some() {
        report.found(Place::Named("log".into()), "the newest segment has no whole header and no events");
    }
    if opened.report.after_failed_sync {
        report.remarks.push("log/SYNC-FAILED: the last process stopped because a sync failed".into());
    }
    let quarantine = dir.join("quarantine");
    if quarantine.is_dir() {
        let kept = disk.list(&quarantine).context("cannot list quarantine/")?.len();
        if kept > 0 {
            report.remarks.push(format!(
                "quarantine/ holds {kept} files: tails that were cut after a crash, or damaged files that were mended"
            ));
        }
    }
    Ok(())
}

/// The files `tree/L0`, `tree/L1`, …, as long as they were when they were opened.
struct TreeFiles {
    levels: Vec<TreeFile>,
}

struct TreeFile {
    file: Arc<dyn DiskFile>,
    /// Hashes in it.
    held: u64,
    /// One tile's worth of hashes from `at` on.
    window: Vec<Hash>,
    at: u64,
}

impl TreeFiles {
    /// From the highest level down: what a level holds when it is looked at, the one below holds too.
    fn open(disk: &Arc<dyn Disk>, dir: &Path, report: &mut Report) -> anyhow::Result<TreeFiles> {
        let mut levels = Vec::new();
        for level in (0..LEVELS_MAX).rev() {
            let path = dir.join(format!("L{level}"));
            let file = match disk.open_read(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    if !levels.is_empty() {
                        report.found(Place::Tree { level, index: 0 }, "the file is missing, those above it are there");
                        levels.clear();
                    }
                    continue;
                }
                file => file.with_context(|| format!("cannot read {}", path.display()))?,
            };
            let bytes = file.len().with_context(|| format!("cannot read {}", path.display()))?;
            let held = bytes / HASH_BYTES;
            if bytes % HASH_BYTES != 0 {
                report.found(Place::Tree { level, index: held }, "the file ends inside a hash");
            }
            levels.push(TreeFile { file, held, window: Vec::new(), at: 0 });
        }
        levels.reverse();
        Ok(TreeFiles { levels })
    }

    /// More hashes than events tell of lost events. Fewer than HEAD speaks of are computed again at the next start; what is
    /// newer than HEAD may have come while we read.
    fn compare_lengths(&self, mut size: u64, mut published: u64, report: &mut Report) {
        let is_empty = self.levels.is_empty() && published > 0;
        for (level, file) in (0..).zip(&self.levels) {
            if file.held > size {
                let why = format!("the file holds {} hashes, the log gives {size}", file.held);
                report.found(Place::Tree { level, index: size }, why);
            }
            if file.held < published {
                report.remarks.push(format!(
                    "tree/L{level} holds {} of {published} hashes; the next start computes the others",
                    file.held
                ));
            }
            (size, published) = (size / TILE_HASHES, published / TILE_HASHES);
        }
        if is_empty {
            report.remarks.push("tree/ holds no hashes; the next start computes them".into());
        }
    }
}

impl Stored for TreeFiles {
    fn hash(&mut self, level: u32, index: u64) -> Result<Option<Hash>, StoredError> {
        match self.levels.get_mut(level as usize) {
            Some(file) if index < file.held => Ok(Some(file.hash(index)?)),
            Some(_) | None => Ok(None),
        }
    }
}

impl TreeFile {
    fn hash(&mut self, index: u64) -> std::io::Result<Hash> {
        let end = self.at + self.window.len() as u64;
        if index < self.at || index >= end {
            let n = TILE_HASHES.min(self.held - index);
            self.window.resize(n as usize, [0; 32]);
            read_exact(&*self.file, self.window.as_flattened_mut(), index * HASH_BYTES)?;
            self.at = index;
        }
        Ok(self.window[(index - self.at) as usize])
    }
}
