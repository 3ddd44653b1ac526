//! Tree and tenants together: what gives an event its leaf and its number, and what recovery holds the log against.
//!
//! Everything here can be computed from the log again. It is synced before a new segment begins, so that a start only
//! has to read the last one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tracing::info;

use crate::durable::Disk;
use crate::log::{Commit, FrameType, Start, VisitError, Visitor};
use crate::seq::Seq;
use crate::tree::tenants::Numbers;
use crate::tree::{Frontier, Hash, Leaf, Tenants, Tiles, commit, tenant_tag};
use crate::verify::{Chain, EventFault, leaf_of};

/// Recovery says how far it is after this many events.
const PROGRESS_EVENTS: u64 = 1_000_000;

/// The tree as it grows.
pub struct Trunk {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    frontier: Frontier,
    tiles: Tiles,
    tenants: Tenants,
    /// Leaves that are in the frontier but could not be written to the tiles yet.
    unwritten: Vec<Hash>,
    batch: Batch,
    chain: Chain,
    /// Where recovery began. Until it is over nothing is written: if the log turns out to be corrupt, the hashes on disk
    /// are what a repair holds its frames against.
    recovered_from: Option<Seq>,
}

/// Leaves that are not durable yet.
#[derive(Default)]
struct Batch {
    frontier: Frontier,
    leaves: Vec<Hash>,
    numbers: Numbers,
}

impl Trunk {
    /// Opens the files in `dir`; what they hold is trusted only after recovery.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf) -> io::Result<Trunk> {
        disk.create_dir(&dir)?;
        let tiles = Tiles::open(disk.clone(), &dir)?;
        let tenants = Tenants::load(&*disk, &dir)?.unwrap_or_default();
        Ok(Trunk {
            disk,
            dir,
            frontier: Frontier::new(),
            tiles,
            tenants,
            unwritten: Vec::new(),
            batch: Batch::default(),
            chain: Chain::default(),
            recovered_from: Some(Seq::ZERO),
        })
    }

    /// `received` of the newest event that recovery saw, ms.
    pub fn last_received_ms(&self) -> u64 {
        self.chain.last_received_ms()
    }

    /// Recovery is over and the log is sound: the files are brought to where the log is.
    pub fn settle(&mut self) -> io::Result<()> {
        if let Some(from) = self.recovered_from.take() {
            self.tiles.truncate(from.0)?;
        }
        self.write_tiles()
    }

    /// Begins a batch; what a former one left is dropped.
    pub fn begin(&mut self) {
        self.batch = Batch { frontier: self.frontier.clone(), ..Batch::default() };
    }

    /// Adds an event to the batch; answers its number among its tenant's and its leaf hash.
    pub fn push(&mut self, kind: u8, received_ms: u64, tenant: &str, salt: &[u8; 16], body: &[u8]) -> (u64, Hash) {
        let tag = tenant_tag(tenant);
        let tenant_seq = self.tenants.next(&mut self.batch.numbers, tag);
        let leaf = Leaf { kind, received_ms, tenant_tag: tag, tenant_seq, commit: commit(salt, body) };
        let hash = leaf.hash();
        self.add(hash);
        (tenant_seq, hash)
    }

    /// The root with the batch.
    pub fn root(&self) -> Hash {
        self.batch.frontier.root()
    }

    /// The root without the batch.
    pub fn kept_root(&self) -> Hash {
        self.frontier.root()
    }

    /// The batch is durable.
    ///
    /// # Errors
    /// When the tiles cannot be written. They are written again with the next batch; nothing is lost meanwhile.
    pub fn keep(&mut self) -> io::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.frontier = batch.frontier;
        self.tenants.accept(batch.numbers);
        self.unwritten.extend(batch.leaves);
        self.write_tiles()
    }

    /// Makes the tiles durable on the way out. The tenants stay as they were when the segment began: that is where the
    /// next start reads from.
    pub fn sync_tiles(&mut self) -> io::Result<()> {
        self.write_tiles()?;
        self.tiles.sync()
    }

    /// Makes tiles and tenants durable up to the last kept batch, before a new segment begins there.
    pub fn sync(&mut self) -> io::Result<()> {
        self.write_tiles()?;
        self.tiles.sync()?;
        self.tenants.save(&*self.disk, &self.dir)
    }

    fn add(&mut self, hash: Hash) {
        self.batch.frontier.push(hash);
        self.batch.leaves.push(hash);
    }

    fn write_tiles(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() || self.recovered_from.is_some() {
            return Ok(());
        }
        let size = self.tiles.size();
        if let Err(error) = self.tiles.append(&self.unwritten) {
            self.tiles.truncate(size)?;
            return Err(error);
        }
        self.unwritten.clear();
        Ok(())
    }

    fn try_start(&mut self, first_seq: Seq, root: &[u8; 32]) -> io::Result<Start> {
        self.unwritten.clear();
        self.chain = Chain::default();
        let frontier = match first_seq {
            Seq::ZERO => {
                self.tenants = Tenants::new();
                Some(Frontier::new())
            }
            _ => self.tiles.frontier_at(first_seq.0)?,
        };
        let Some(frontier) = frontier.filter(|frontier| frontier.root() == *root && self.tenants.size() == first_seq)
        else {
            info!("tree/ does not fit the log and is computed again from its beginning");
            return Ok(Start::FromTheBeginning);
        };
        self.recovered_from = Some(first_seq);
        self.frontier = frontier;
        self.begin();
        Ok(Start::Here)
    }
}

impl Visitor for Trunk {
    fn start(&mut self, first_seq: Seq, root_at_start: &[u8; 32]) -> Result<Start, VisitError> {
        self.try_start(first_seq, root_at_start).map_err(|e| VisitError::Failed(Box::new(e)))
    }

    fn event(&mut self, seq: Seq, frame_type: FrameType, _flags: u8, payload: &[u8]) -> Result<(), VisitError> {
        let corrupt = |why: EventFault| VisitError::Corrupt(format!("event {seq}: {why}"));
        let leaf = leaf_of(frame_type, payload).map_err(corrupt)?;
        let due = self.tenants.next(&mut self.batch.numbers, leaf.tenant_tag);
        self.chain.follow(&leaf, due).map_err(corrupt)?;
        self.add(leaf.hash());
        if seq.0 > 0 && seq.0.is_multiple_of(PROGRESS_EVENTS) {
            info!("read {seq} events of the log");
        }
        Ok(())
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), VisitError> {
        let computed = self.root();
        if computed != commit.root {
            return Err(VisitError::RootMismatch { computed });
        }
        self.keep().map_err(|e| VisitError::Failed(Box::new(e)))?;
        self.begin();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::OsDisk;

    fn grow(trunk: &mut Trunk, events: std::ops::Range<u64>) {
        trunk.begin();
        for n in events {
            trunk.push(1, n, "acme", &[0; 16], &n.to_le_bytes());
        }
        trunk.keep().unwrap();
    }

    #[test]
    fn a_start_after_a_clean_end_reads_only_from_the_last_segment() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Trunk::open(OsDisk::shared(), dir.path().to_owned()).unwrap();
        let mut trunk = open();
        trunk.settle().unwrap();
        grow(&mut trunk, 0..300);
        trunk.sync().unwrap();
        let root = trunk.kept_root();
        grow(&mut trunk, 300..700);
        trunk.sync_tiles().unwrap();
        // A segment began at 300; what followed it is read again.
        assert_eq!(open().start(Seq(300), &root).unwrap(), Start::Here);
        assert_eq!(open().start(Seq(300), &[7; 32]).unwrap(), Start::FromTheBeginning);
    }

    #[test]
    fn recovery_writes_nothing_until_the_log_has_proved_sound() {
        let dir = tempfile::tempdir().unwrap();
        let mut trunk = Trunk::open(OsDisk::shared(), dir.path().to_owned()).unwrap();
        trunk.settle().unwrap();
        grow(&mut trunk, 0..700);
        trunk.sync_tiles().unwrap();
        let before = std::fs::read(dir.path().join("L0")).unwrap();
        let mut again = Trunk::open(OsDisk::shared(), dir.path().to_owned()).unwrap();
        assert_eq!(again.start(Seq::ZERO, &Frontier::new().root()).unwrap(), Start::Here);
        grow(&mut again, 0..5);
        assert_eq!(std::fs::read(dir.path().join("L0")).unwrap(), before);
        again.settle().unwrap();
        assert_eq!(std::fs::read(dir.path().join("L0")).unwrap(), before[..5 * 32]);
    }
}
