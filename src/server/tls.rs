//! TLS 1.2 and 1.3 with a certificate out of two files, which are read again when they change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{error, info};

/// The files are looked at this often.
const LOOK: Duration = Duration::from_secs(10);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file holds no certificate, or no key, or cannot be read.
    #[error("{path}: expected {expected} in PEM")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// What was found.
        #[source]
        source: pem::Error,
    },
    /// The two do not belong together.
    #[error("the certificate in {certificate} and the key in {key} cannot be used together")]
    Pair {
        /// The one file.
        certificate: PathBuf,
        /// The other.
        key: PathBuf,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
}

/// Takes connections over TLS.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    /// With the certificate (and its chain) and the key in these files.
    ///
    /// # Errors
    /// When the files do not hold them.
    pub fn open(certificate: &Path, key: &Path) -> Result<Tls, TlsError> {
        let config = ArcSwap::from_pointee(read(certificate, key)?);
        Ok(Tls { certificate: certificate.to_owned(), key: key.to_owned(), config })
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// When the other end breaks off, or wants what we do not have.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, socket: S) -> io::Result<TlsStream<S>> {
        TlsAcceptor::from(self.config.load_full()).accept(socket).await
    }

    /// Reads the files again whenever they have changed, for ever. What cannot be used changes nothing, and is said.
    pub async fn follow(&self) {
        let mut seen = self.changed();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.changed();
            if now == seen {
                continue;
            }
            match read(&self.certificate, &self.key) {
                Ok(config) => {
                    self.config.store(Arc::new(config));
                    seen = now;
                    info!("new connections have the certificate that is now in {}", self.certificate.display());
                }
                // One of the two may be new already and the other not yet: it is looked at again.
                Err(why) => error!("the certificate stays as it was: {why}"),
            }
        }
    }

    fn changed(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok())
    }
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let wrong = |path: &Path, expected| {
        let path = path.to_owned();
        move |source| TlsError::Pem { path, expected, source }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) });
    let chain = chain.map_err(wrong(certificate, "a certificate"))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(wrong(key, "a private key"))?;
    let pair = |source| TlsError::Pair { certificate: certificate.to_owned(), key: key.to_owned(), source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
