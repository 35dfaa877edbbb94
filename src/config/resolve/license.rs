//! Licences. A key or a token that cannot be read is no mistake here: what that leads to is `onInvalid`'s to say.

use super::Resolver;
use crate::config::either::Either;
use crate::config::node::At;
use crate::config::raw::{RawLicense, RawOnInvalid, RawSecret, RawTokenAlgorithm};
use crate::config::secret::Secret;
use crate::config::{License, LicenseOrigin, OnInvalid, SecretSource};
use crate::keys::TokenAlgorithm;

/// Ten years.
const LONGEST_GRACE: u32 = 3660;

impl Resolver<'_> {
    /// One licence; what it does not say of checks and grace is as in `default`.
    pub(super) fn license(&mut self, at: &At, raw: RawLicense, default: &License) -> License {
        let token = raw.token.and_then(|given| self.token(&at.key("token"), given));
        let file = raw.file.map(|file| LicenseOrigin::File(self.path(&file)));
        let before = self.problems.len();
        let mut origins: Vec<_> =
            raw.features.map(LicenseOrigin::Features).into_iter().chain(token).chain(file).collect();
        if origins.len() > 1 {
            self.problem(at, "must have one of `features`, `token` and `file`, not several");
        }
        let origin = origins.pop().unwrap_or(LicenseOrigin::Features(Vec::new()));
        let inline = |text: String| SecretSource::Text(Secret::new(text));
        let public_key = raw.public_key.map(|written| match written.contains("-----BEGIN") {
            true => inline(written),
            false => SecretSource::File(self.path(&written)),
        });
        let public_key = public_key.or_else(|| default.public_key.clone());
        if matches!(origin, LicenseOrigin::Token(_)) && public_key.is_none() && self.problems.len() == before {
            self.problem(at, "a token needs `publicKey`, the key that has signed it");
        }
        let algorithm = raw.algorithm.map(|algorithm| match algorithm {
            RawTokenAlgorithm::Rs256 => TokenAlgorithm::Rs256,
            RawTokenAlgorithm::EdDsa => TokenAlgorithm::EdDsa,
        });
        for (key, text) in [("issuer", &raw.issuer), ("featuresClaim", &raw.features_claim)] {
            if text.as_ref().is_some_and(String::is_empty) {
                self.problem(&at.key(key), "must not be empty");
            }
        }
        let grace_days = raw.grace_days.unwrap_or(default.grace_days);
        if grace_days > LONGEST_GRACE {
            self.problem(&at.key("graceDays"), format!("must be at most {LONGEST_GRACE}"));
        }
        License {
            origin,
            public_key,
            algorithm: algorithm.or(default.algorithm),
            issuer: raw.issuer.or_else(|| default.issuer.clone()),
            features_claim: raw.features_claim.unwrap_or_else(|| default.features_claim.clone()),
            on_invalid: raw.on_invalid.map_or(default.on_invalid, |word| match word {
                RawOnInvalid::Keep => OnInvalid::Keep,
                RawOnInvalid::Exclude => OnInvalid::Exclude,
                RawOnInvalid::Fail => OnInvalid::Fail,
            }),
            grace_days,
        }
    }

    fn token(&mut self, at: &At, given: Either<String, RawSecret>) -> Option<LicenseOrigin> {
        let source = match given {
            Either::Word(text) => Ok(SecretSource::Text(Secret::new(text))),
            Either::Map(kept) => SecretSource::kept(&kept, self.base),
        };
        source.map_err(|message| self.problem(at, message)).ok().map(LicenseOrigin::Token)
    }
}
