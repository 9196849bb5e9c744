//! `sslmode` and what it verifies, on rustls.
//!
//! As in libpq: `prefer` and `require` encrypt without asking who answers, `verify-ca` asks for a chain to a known root,
//! `verify-full` for the host's name too. A root certificate file that exists makes `require` verify the chain. Unlike
//! libpq, a certificate must carry its names as subject alternative names, and the roots of the operating system serve
//! where no file is given.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Error;
use crate::options::invalid;
use crate::verify::{ChainVerifier, NoVerifier};

/// As in libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl FromStr for SslMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<SslMode, Error> {
        Ok(match text {
            "disable" => SslMode::Disable,
            "allow" => SslMode::Allow,
            "prefer" => SslMode::Prefer,
            "require" => SslMode::Require,
            "verify-ca" => SslMode::VerifyCa,
            "verify-full" => SslMode::VerifyFull,
            _ => {
                let modes = "expected disable, allow, prefer, require, verify-ca or verify-full";
                return Err(invalid("sslmode", modes));
            }
        })
    }
}

/// `PGSSL*`. `home` is the folder of the default files (`~/.postgresql`).
#[derive(Debug, Clone)]
pub(crate) struct TlsOptions {
    pub mode: SslMode,
    pub root_cert: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub home: Option<PathBuf>,
}

impl TlsOptions {
    pub fn client_config(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid("sslmode", &error.to_string()))?
            .dangerous();
        let builder = match self.verifier(provider.clone())? {
            Some(verifier) => builder.with_custom_certificate_verifier(Arc::new(verifier)),
            None => builder.with_custom_certificate_verifier(Arc::new(NoVerifier(provider))),
        };
        match self.client_certificate()? {
            None => Ok(builder.with_no_client_auth()),
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(|error| invalid("sslcert", &error.to_string()))
            }
        }
    }

    /// `None` if this mode asks for no verification.
    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Option<ChainVerifier>, Error> {
        let default = self.home.as_ref().map(|home| home.join("root.crt")).filter(|path| path.exists());
        let file = self.root_cert.clone().or(default);
        let wanted = match self.mode {
            SslMode::VerifyCa | SslMode::VerifyFull => true,
            SslMode::Require => file.as_ref().is_some_and(|path| path.exists()),
            SslMode::Disable | SslMode::Allow | SslMode::Prefer => false,
        };
        if !wanted {
            return Ok(None);
        }
        let roots = match file.filter(|path| path.as_os_str() != "system") {
            Some(path) => certificates(&path, "sslrootcert")?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        let check_name = self.mode == SslMode::VerifyFull;
        Ok(Some(ChainVerifier { roots, store, check_name, provider }))
    }

    fn client_certificate(&self) -> Result<Option<Identity>, Error> {
        let default = |name: &str| self.home.as_ref().map(|home| home.join(name)).filter(|path| path.exists());
        let cert = self.cert.clone().or_else(|| default("postgresql.crt"));
        let key = self.key.clone().or_else(|| default("postgresql.key"));
        match (cert, key) {
            (None, _) => Ok(None),
            (Some(_), None) => Err(invalid("sslkey", "a client certificate needs its private key")),
            (Some(cert), Some(key)) => {
                let chain = certificates(&cert, "sslcert")?;
                let private = PrivateKeyDer::from_pem_file(&key)
                    .map_err(|_| invalid("sslkey", &format!("{} holds no readable private key", key.display())))?;
                Ok(Some((chain, private)))
            }
        }
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn certificates(path: &Path, keyword: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = |reason: String| invalid(keyword, &format!("{}: {reason}", path.display()));
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?.collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(wrong("holds no certificate".to_owned())),
        Err(error) => Err(wrong(error.to_string())),
    }
}
