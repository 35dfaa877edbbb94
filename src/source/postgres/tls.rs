//! TLS as `sslmode` asks for it (libpq, "SSL Support"). What it asks for is never quietly made less.

use super::uri::Options;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// What is asked of the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Nothing: encrypted, with whoever answers.
    Nothing,
    /// That an authority we trust signed it.
    Authority,
    /// And that it was made out to the host we asked for.
    AuthorityAndName,
}

/// How to connect, and by what.
pub struct Tls {
    /// What the driver makes of it.
    pub mode: SslMode,
    /// None: in clear.
    pub connector: Option<MakeRustlsConnect>,
}

impl Tls {
    /// In clear: a socket in the file system needs no TLS, and PostgreSQL speaks none there.
    pub fn none() -> Self {
        Self { mode: SslMode::Disable, connector: None }
    }

    /// As the options ask. Relative paths are relative to `folder`.
    ///
    /// # Errors
    /// What is wrong with them, or with the files they name.
    pub fn of(options: &Options, folder: &Path) -> Result<Self, String> {
        let path = |key| options.get(key).map(|path| folder.join(path));
        let authorities = options.get("sslrootcert").map(String::as_str);
        let (mode, check) = match (options.get("sslmode").map_or("prefer", String::as_str), authorities) {
            ("disable", _) => return Ok(Self::none()),
            ("verify-full", _) => (SslMode::Require, Check::AuthorityAndName),
            (_, Some("system")) => return Err("sslrootcert=system asks for sslmode=verify-full".into()),
            ("verify-ca", None) => return Err("sslmode=verify-ca needs `sslrootcert`, a file of authorities".into()),
            // An authority that is named is looked at, as libpq does.
            ("verify-ca" | "require", Some(_)) => (SslMode::Require, Check::Authority),
            ("require", None) => (SslMode::Require, Check::Nothing),
            // In clear where the server has no TLS. `allow` would begin in clear; this is never less safe.
            ("prefer" | "allow", _) => (SslMode::Prefer, Check::Nothing),
            _ => return Err("sslmode is none of disable, prefer, require, verify-ca, verify-full".into()),
        };
        let trusted = match (check, path("sslrootcert")) {
            (Check::Nothing, _) => Vec::new(),
            (_, Some(file)) if authorities != Some("system") => certificates(&file)?,
            _ => rustls_native_certs::load_native_certs().certs,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = Verifier::new(check, trusted, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match (path("sslcert"), path("sslkey")) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => builder
                .with_client_auth_cert(certificates(&certificate)?, private_key(&key)?)
                .map_err(|e| format!("sslcert and sslkey cannot be used: {e}"))?,
            _ => return Err("sslcert and sslkey go together".into()),
        };
        Ok(Self { mode, connector: Some(MakeRustlsConnect::new(config)) })
    }
}

fn certificates(file: &PathBuf) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let certificates = read.map_err(|e| format!("cannot read certificates from {}: {e}", file.display()))?;
    if certificates.is_empty() {
        return Err(format!("there is no certificate in {}", file.display()));
    }
    Ok(certificates)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let shown = file.display();
    let mode = file.metadata().map_err(|e| format!("cannot read {shown}: {e}"))?.permissions().mode();
    // 0640 is how a key of root's is lent to a group.
    if mode & 0o027 != 0 {
        return Err(format!("the private key {shown} can be used by others; run `chmod 600` on it"));
    }
    PrivateKeyDer::from_pem_file(file).map_err(|_| format!("there is no private key, unencrypted, in {shown}"))
}

/// Looks at the server's certificate as far as was asked for.
#[derive(Debug)]
struct Verifier {
    check: Check,
    /// The certificates we were given. One of them may be the server's own: it needs no authority then.
    trusted: Vec<CertificateDer<'static>>,
    /// None where nothing is checked.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(
        check: Check,
        trusted: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let provider = Arc::clone(provider);
        if check == Check::Nothing {
            return Ok(Self { check, trusted, authorities: None, provider });
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        let made = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build();
        let authorities = made.map_err(|_| "there is no certificate of an authority to check the server's by")?;
        Ok(Self { check, trusted, authorities: Some(authorities), provider })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(authorities) = &self.authorities else { return Ok(ServerCertVerified::assertion()) };
        if self.trusted.contains(end_entity) {
            if self.check == Check::AuthorityAndName {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last, when all else was found right.
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.check == Check::Authority => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
