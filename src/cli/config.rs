//! `annals config`: every setting with its meaning, default and minimum, and what it is now.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, Layer};

/// Which file to read.
#[derive(Args)]
pub struct ConfigArgs {
    /// The settings file
    #[arg(long)]
    config: Option<PathBuf>,
    /// Print what the settings are now, as JSON, and nothing else
    #[arg(long)]
    json: bool,
}

const SETTINGS: &str = "\
Settings of `annals serve`. A flag wins over the environment, that over annals.toml, that over the default.

data            ANNALS_DATA            --data          the data directory; default ./data
listen          ANNALS_LISTEN          --listen        address and port, port 0 picks one; default 127.0.0.1:7400
no_auth         ANNALS_NO_AUTH         --no-auth       serve without keys, loopback only; default false
tls_cert        ANNALS_TLS_CERT                        a file with the certificate and its chain, in PEM: then TLS is
                                                       spoken; read again when it changes; default none
tls_key         ANNALS_TLS_KEY                         the file with its private key; set with tls_cert
connections_max ANNALS_CONNECTIONS_MAX                 connections at a time, more wait; default 4096, minimum 16
requests_per_s  ANNALS_REQUESTS_PER_S                  requests a second of one key, viewer or person, five seconds' worth
                                                       at once; then 429; default 1000, 0 is without a limit
appends_per_s   ANNALS_APPENDS_PER_S                   appends a second of one key, likewise; default 20000
strangers_per_s  ANNALS_STRANGERS_PER_S                requests a second from one address with a key that is not known,
                                                       likewise; default 50
viewers_per_s   ANNALS_VIEWERS_PER_S                   requests a second of all viewers that one key made, together,
                                                       likewise, a twentieth for each; default 2000
free_bytes_min  ANNALS_FREE_BYTES_MIN                  bytes that must stay free, below it events get 507;
                                                       default 1 GiB or 5 % of the disk, whichever is more;
                                                       minimum 67108864, or 0 to switch it off
accept_clock    ANNALS_ACCEPT_CLOCK    --accept-clock  take the clock as it is, although it jumped; default false
read_only       ANNALS_READ_ONLY       --read-only     serve reads of a corrupt log, refuse writes; default false
question_ms     ANNALS_QUESTION_MS                     longest a question may take, ms; beyond it 503 too_broad;
                                                       default 5000, minimum 1
span_events     ANNALS_SPAN_EVENTS                     events in a span as it is cut, eight spans become one;
                                                       default 32768, minimum 16, maximum 1048576
segment_events  ANNALS_SEGMENT_EVENTS                  events in a segment of the log before the next one is begun;
                                                       default 262144, minimum 64, maximum 1048576
origin          ANNALS_ORIGIN                          the log's name in its signed checkpoints;
                                                       default annals/ and the log's id
accept_new_key  ANNALS_ACCEPT_NEW_KEY  --accept-new-key  go on with another signing key, once; default false
last_note       ANNALS_LAST_NOTE                       a file elsewhere that holds the newest signed checkpoint, so that
                                                       an older copy of the directory is recognised; default none
scrub_period_s  ANNALS_SCRUB_PERIOD_S                  everything is read again and compared this often, s;
                                                       default 72000 (20 hours), 0 switches it off
scrub_bytes_per_s  ANNALS_SCRUB_BYTES_PER_S            and at most this fast, bytes/s; default 8388608, minimum 65536
witness         ANNALS_WITNESS                         where a witness takes checkpoints; default none
witness_key     ANNALS_WITNESS_KEY                     its public key; set with witness
base_url        ANNALS_BASE_URL                        where the server is seen from outside, such as
                                                       https://audit.example.org/annals; default: what requests say
trust_proxy     ANNALS_TRUST_PROXY                     believe X-Forwarded-Host, -Proto and -Prefix, and the last
                                                       address of X-Forwarded-For; default false
frame_origins   ANNALS_FRAME_ORIGINS                   origins, separated by spaces, that may show the page in a frame;
                                                       default none
cors_origins    ANNALS_CORS_ORIGINS                    origins, separated by spaces, whose scripts may ask /v1 with a key of
                                                       their own; default none
subject_types   ANNALS_SUBJECT_TYPES                   types of those who can be erased, separated by spaces: what is told
                                                       about them is sealed; empty seals nothing; default contact
kek_file        ANNALS_KEK_FILE                        the file with the key-encryption key, made at the first start;
                                                       default kek in the data directory; or ANNALS_KEK has the key itself
kek_command     ANNALS_KEK_COMMAND                     a command that prints it, at each start; default none
accept_lost_keyring  ANNALS_ACCEPT_LOST_KEYRING        go on, once, although the keyring is gone and what was sealed with
                                                       it lost; default false
purge_after_s   ANNALS_PURGE_AFTER_S                   what was erased leaves the files of the index this much later, s;
                                                       default 86400 (a day), 0 is at once
actions         ANNALS_ACTIONS                         a TOML file with further categories and actions; default none
[oidc]          (annals.toml only)                     people sign in on the page with OpenID Connect; default none
  issuer                                               the provider, as it calls itself; https unless on this machine
  client_id                                            what it calls us; register base_url (or the address as browsers see
                                                       it) and /admin/audit-log/sign-in/callback with it
  client_secret_file                                   a file with our secret there, not readable by everybody; default none
  scopes                                               what is asked for; default openid profile email
  name                                                 what the button says; default single sign-on
  roles_claim                                          the claim with somebody's roles, a.b.c goes inwards; default roles
  [[oidc.roles]]                                       value of the claim, scopes (read, personal, export, admin), and if
                                                       wanted tenant and restriction; the first that somebody has counts
log             ANNALS_LOG                             error, warn, info, debug, or a filter per module; default info
";

impl ConfigArgs {
    /// Explains.
    pub fn run(self) -> anyhow::Result<()> {
        let environment = Layer::from_environment(|name| std::env::var(name).ok())?;
        let file = Layer::from_file(self.config.as_deref())?;
        let config = Config::sanitize(environment.over(file), &mut |what| eprintln!("{what}"));
        if self.json {
            println!("{}", serde_json::to_string_pretty(&config)?);
            return Ok(());
        }
        print!("{SETTINGS}\nNow, without flags:\n");
        let now = serde_json::to_value(&config)?;
        for (name, value) in now.as_object().into_iter().flatten() {
            println!("{name} = {value}");
        }
        Ok(())
    }
}
