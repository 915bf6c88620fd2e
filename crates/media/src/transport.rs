//! ICE-lite, DTLS and SCTP of one peer connection. The one file that names str0m.

use std::fmt;
use std::sync::Arc;

use str0m::crypto::dtls::DtlsCert;
use str0m::crypto::from_feature_flags;

/// The DTLS certificate, one per process and shared by every shard and peer.
pub struct Identity {
    certificate: DtlsCert,
}

impl Identity {
    /// A fresh self-signed ECDSA certificate.
    ///
    /// # Errors
    /// When the crypto library cannot make one (no randomness).
    pub fn generate() -> Result<Arc<Identity>, IdentityError> {
        let certificate = from_feature_flags().dtls_provider.generate_certificate().ok_or(IdentityError)?;
        Ok(Arc::new(Identity { certificate }))
    }

    pub(crate) fn certificate(&self) -> &DtlsCert {
        &self.certificate
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// The crypto library could not make a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentityError;

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("could not generate a DTLS certificate")
    }
}

impl std::error::Error for IdentityError {}
