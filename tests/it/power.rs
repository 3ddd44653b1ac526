//! Power cuts on a real file system: an ext4 on a loop device is shut down under a server that takes events (`FS_IOC_SHUTDOWN`,
//! nothing that is not on the device is written any more), mounted again, and everything that was acked is there.
//!
//! The control shows that the test could see a loss: the same with a library in front of the C one whose `fdatasync` and `fsync`
//! do nothing. It must lose something. Root and loop devices are needed, a C compiler and Python (for the one system call).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;

use annals::durable::OsDisk;
use annals::log::{self, Options};
use annals::verify::{Growth, Nothing, Replay};
use serde_json::json;

use crate::data::skipped;
use crate::world::{self, World};

const WRITERS: u64 = 4;
/// `EXT4_IOC_SHUTDOWN` without flushing the journal.
const SHUT_DOWN: &str = "import fcntl, os, struct, sys\n\
                         fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";
const NO_SYNC: &str =
    "int fdatasync(int fd) { return fd < 0 ? -1 : 0; }\nint fsync(int fd) { return fd < 0 ? -1 : 0; }\n";

/// An ext4 in a file.
struct LoopDisk {
    room: tempfile::TempDir,
}

fn run(command: &mut Command) -> Result<(), String> {
    let what = format!("{:?}", command.get_program());
    let output = command.output().map_err(|error| format!("{what}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

impl LoopDisk {
    fn make() -> Result<LoopDisk, String> {
        let room = tempfile::tempdir().map_err(|error| error.to_string())?;
        let disk = LoopDisk { room };
        let image = std::fs::File::create(disk.image()).map_err(|error| error.to_string())?;
        image.set_len(256 << 20).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").arg("-q").arg(disk.image()))?;
        std::fs::create_dir(disk.path()).map_err(|error| error.to_string())?;
        disk.mount()?;
        Ok(disk)
    }

    fn image(&self) -> PathBuf {
        self.room.path().join("image")
    }

    fn path(&self) -> PathBuf {
        self.room.path().join("disk")
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.path()))
    }

    fn unmount(&self) -> Result<(), String> {
        run(Command::new("umount").arg(self.path()))
    }

    /// The power goes.
    fn cut(&self) -> Result<(), String> {
        run(Command::new("python3").args(["-c", SHUT_DOWN]).arg(self.path()))
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // Lazily: a server that is just being killed may still have files open. It may be unmounted already.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

/// A library whose syncs do nothing.
fn no_sync(room: &Path) -> Result<PathBuf, String> {
    let (source, library) = (room.join("no_sync.c"), room.join("no_sync.so"));
    std::fs::write(&source, NO_SYNC).map_err(|error| error.to_string())?;
    run(Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source))?;
    Ok(library)
}

/// Lets clients append until so many requests were acked, cuts the power, and answers the ids that were acked before, with their seq.
///
/// The server goes on for a moment after this cut, which none does after a real one. ext4 may then answer a sync with success
/// although it could not enter in its journal, already shut, where the bytes lie: an ack after the cut began says nothing.
fn append_until_cut(world: &mut World, disk: &LoopDisk, round: u64, acks: usize) -> Result<Vec<(u64, String)>, String> {
    let (ack, acked) = mpsc::channel();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (url, ack) = (world.url().to_owned(), ack.clone());
            std::thread::spawn(move || {
                let agent = world::new_agent();
                for batch in 0.. {
                    let lines: String = (0..20)
                        .map(|n| {
                            let id = format!("p{round}-{writer}-{batch}-{n}");
                            format!("{}\n", json!({"id": id, "actor": "system", "action": "power.cut", "detail": {"n": "x".repeat(200)}}))
                        })
                        .collect();
                    let headers = [("content-type", "application/x-ndjson")];
                    match world::try_send(&agent, &url, "", &headers, lines.as_bytes()) {
                        Ok(answer) if answer.status == 201 => {
                            let ids = answer.receipts().into_iter().map(|receipt| (receipt.seq, receipt.id)).collect::<Vec<_>>();
                            if ack.send(ids).is_err() {
                                return;
                            }
                        }
                        // The disk is gone, and with it the server.
                        Ok(_) | Err(_) => return,
                    }
                }
            })
        })
        .collect();
    drop(ack);
    let mut ids: Vec<(u64, String)> = acked.iter().take(acks).flatten().collect();
    ids.extend(acked.try_iter().flatten());
    let cut = disk.cut();
    world.kill();
    drop(acked);
    writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
    cut?;
    disk.unmount()?;
    disk.mount()?;
    Ok(ids)
}

/// Events that a start would find, if it would go on at all.
fn recovered(dir: &Path) -> Option<u64> {
    let (mut nothing, mut quiet) = (Nothing, |_| {});
    let mut replay = Replay::new(Growth::new([], &mut nothing), &mut quiet);
    let opened =
        log::open(OsDisk::shared(), dir, &Options { read_only: true, ..Options::default() }, &mut replay).ok()?;
    opened.read_only.is_none().then_some(opened.report.size.0)
}

#[test]
fn nothing_acked_is_lost_when_the_power_goes() {
    let disk = match LoopDisk::make() {
        Ok(disk) => disk,
        Err(why) => return skipped(&format!("power cuts: no ext4 can be mounted from a file ({why})")),
    };
    if let Err(why) = run(Command::new("python3").args(["-c", "import fcntl"])) {
        return skipped(&format!("power cuts: {why}"));
    }
    let dir = disk.path().join("data");
    let settings = [("ANNALS_FREE_BYTES_MIN", "0"), ("ANNALS_SEGMENT_EVENTS", "500")];
    let mut world = World::start_at(&dir, &settings);
    let mut acked: Vec<(u64, String)> = Vec::new();
    let rounds = if world::is_soak() { 20 } else { 2 };
    for round in 0..rounds {
        world::tell("power cuts", round, rounds);
        acked.extend(append_until_cut(&mut world, &disk, round, 30 + 7 * round as usize).expect("the disk comes back"));
        world.restart();
        world.settle();
        let there = world.feed(&[], 1_000);
        for (seq, id) in &acked {
            let entry = there.get(*seq as usize);
            assert_eq!(
                entry.map(|entry| &entry["id"]),
                Some(&json!(id)),
                "round {round}: event {seq} of {} is lost",
                acked.len()
            );
        }
        assert!(there.iter().zip(0..).all(|(entry, seq)| entry["seq"] == seq));
    }
    assert!(world.terminate().success());
}

#[test]
fn without_syncs_the_same_cut_loses_what_was_acked() {
    let disk = match LoopDisk::make() {
        Ok(disk) => disk,
        Err(why) => return skipped(&format!("the control of power cuts: no ext4 can be mounted from a file ({why})")),
    };
    let library = match no_sync(disk.room.path()) {
        Ok(library) => library,
        Err(why) => return skipped(&format!("the control of power cuts: {why}")),
    };
    let dir = disk.path().join("data");
    // What exists when it starts is on the disk, so that only events can be lost.
    let mut world = World::start_at(&dir, &[("ANNALS_FREE_BYTES_MIN", "0")]);
    assert!(world.terminate().success());
    std::fs::File::open(&dir).and_then(|dir| dir.sync_all()).expect("synced");
    world.set("LD_PRELOAD", library.to_str().expect("UTF-8"));
    world.restart();
    let acked = append_until_cut(&mut world, &disk, 0, 30).expect("the disk comes back");
    assert!(acked.len() >= 30 * 20);
    let there = recovered(&dir);
    assert!(
        there.is_none_or(|size| size < acked.len() as u64),
        "nothing was lost although nothing was synced: {there:?} events of {} are there, so this test shows nothing",
        acked.len()
    );
    // So that nobody reads past it in the log of the run.
    let _ = writeln!(std::io::stderr(), "without syncs {there:?} of {} acked events are left", acked.len());
}
