//! `annals keyring`: what the keys of those who can be erased come to, a copy of them, and another key around them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::durable::{self, Disk, OsDisk};
use crate::keyring::kek::Kek;
use crate::keyring::{self, KeyState, Keyring, Outside};
use crate::store::KEK_FILE;

/// Bytes of a keyring's file, at most: all keys there may be.
const FILE_BYTES_MAX: u64 = (keyring::KEYS_MAX + 1) * keyring::SLOT_BYTES as u64;

/// What to do with the keyring of a data directory.
#[derive(Args)]
pub struct KeyringArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Count the keys, and those that were destroyed
    Status(Status),
    /// Copy the keyring, also while a server runs; no backup of the data has it
    Backup(Backup),
    /// Wrap all keys with a new key-encryption key (while no server runs)
    Rotate(Rotate),
}

#[derive(Args)]
struct Status {
    /// The data directory
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Backup {
    /// The data directory
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// The file to write; it must not be there
    #[arg(long)]
    to: PathBuf,
    /// Encrypt it to this recipient with the program `age`, which has to be installed
    #[arg(long)]
    recipient: Option<String>,
}

#[derive(Args)]
struct Rotate {
    /// The data directory
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// The file with the key-encryption key now; default kek in the data directory
    #[arg(long)]
    kek_file: Option<PathBuf>,
    /// The file with the new one; made if it is not there
    #[arg(long)]
    to: PathBuf,
}

impl KeyringArgs {
    /// Does it.
    pub fn run(self) -> anyhow::Result<()> {
        match self.verb {
            Verb::Status(args) => args.run(),
            Verb::Backup(args) => args.run(),
            Verb::Rotate(args) => args.run(),
        }
    }
}

/// The file of a directory's keyring.
fn read(disk: &dyn Disk, data: &Path) -> anyhow::Result<Vec<u8>> {
    let path = data.join(keyring::FILE);
    durable::read_small(disk, &path, FILE_BYTES_MAX).with_context(|| format!("cannot read {}", path.display()))
}

fn outside(disk: &dyn Disk, data: &Path) -> anyhow::Result<Outside> {
    let outside = Outside::open(disk, data)?;
    outside.with_context(|| format!("{} has no keyring: nothing was ever sealed there", data.display()))
}

impl Status {
    fn run(self) -> anyhow::Result<()> {
        let disk = OsDisk::shared();
        let outside = outside(&*disk, &self.data)?;
        let slots = read(&*disk, &self.data)?.len() as u64 / keyring::SLOT_BYTES as u64;
        let (mut alive, mut destroyed, mut missing) = (0_u64, 0_u64, 0_u64);
        for number in 1..slots {
            *match outside.state(number) {
                KeyState::Alive => &mut alive,
                KeyState::Destroyed => &mut destroyed,
                KeyState::Missing => &mut missing,
            } += 1;
        }
        let generation = outside.generation;
        match self.json {
            true => println!(
                "{}",
                json!({"keys": alive, "destroyed": destroyed, "unreadable": missing, "generation": generation})
            ),
            false => println!(
                "{alive} keys, {destroyed} destroyed, {missing} slots without a key that can be read; generation {generation}"
            ),
        }
        Ok(())
    }
}

impl Backup {
    fn run(self) -> anyhow::Result<()> {
        let disk = OsDisk::shared();
        outside(&*disk, &self.data)?;
        if disk.exists(&self.to)? {
            bail!("{} is there already", self.to.display());
        }
        let bytes = read(&*disk, &self.data)?;
        match &self.recipient {
            None => self.write(&disk, &bytes)?,
            Some(recipient) => encrypt(recipient, &self.to, &bytes)?,
        }
        eprintln!(
            "{} slots of keys are in {}. They open with the key-encryption key, which is not in it; keys that are destroyed later are \
             destroyed again when a server opens this copy with the log.",
            bytes.len() / keyring::SLOT_BYTES - 1,
            self.to.display()
        );
        Ok(())
    }

    fn write(&self, disk: &Arc<dyn Disk>, bytes: &[u8]) -> anyhow::Result<()> {
        let (dir, name) = place(&self.to)?;
        durable::replace_secret(&**disk, dir, name, bytes)
            .with_context(|| format!("cannot write {}", self.to.display()))
    }
}

/// Directory and name of a file to be written.
fn place(path: &Path) -> anyhow::Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{} is no name of a file", path.display()))?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((dir, name))
}

fn encrypt(recipient: &str, to: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut age = Command::new("age");
    age.args(["--encrypt", "--recipient", recipient, "--output"]).arg(to).stdin(Stdio::piped());
    let mut child = age.spawn().context("the program age cannot be run")?;
    let written = child.stdin.take().context("age takes no input")?.write_all(bytes);
    let status = child.wait().context("age was lost")?;
    if !status.success() {
        bail!("age ended with {status}");
    }
    written.context("age did not take all of it")
}

impl Rotate {
    fn run(self) -> anyhow::Result<()> {
        let disk = OsDisk::shared();
        let _lock = disk.lock(&self.data.join("LOCK"))?;
        let log_id = outside(&*disk, &self.data)?.log_id;
        let old = self.kek_file.unwrap_or_else(|| self.data.join(KEK_FILE));
        if disk.exists(&self.to)?
            && Keyring::open_to_look(&*disk, &self.data, log_id, Kek::read(&*disk, &self.to, &log_id)?).is_ok()
        {
            println!("all keys are wrapped with the key in {} already", self.to.display());
            return Ok(());
        }
        let keyring = Keyring::open(&*disk, &self.data, log_id, Kek::read(&*disk, &old, &log_id)?)?;
        if !disk.exists(&self.to)? {
            let (dir, name) = place(&self.to)?;
            Kek::make(&*disk, dir, name).with_context(|| format!("cannot write {}", self.to.display()))?;
        }
        let wrapped = keyring.rewrap(&*disk, &self.data, &Kek::read(&*disk, &self.to, &log_id)?)?;
        println!("{wrapped} keys are wrapped with the key in {}", self.to.display());
        eprintln!("set kek_file to it, or put it in the place of {}, before the server starts", old.display());
        Ok(())
    }
}
