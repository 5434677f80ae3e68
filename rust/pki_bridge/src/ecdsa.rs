// SPDX-License-Identifier: Apache-2.0
use crate::ffi::Ecdsa;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, UnparsedPublicKey, VerificationAlgorithm};

pub fn verify(scheme: Ecdsa, point: &[u8], data: &[u8], signature: &[u8]) -> bool {
    let algorithm: &dyn VerificationAlgorithm = match scheme {
        Ecdsa::P256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
        Ecdsa::P256Sha384 => &signature::ECDSA_P256_SHA384_ASN1,
        Ecdsa::P384Sha256 => &signature::ECDSA_P384_SHA256_ASN1,
        Ecdsa::P384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
        Ecdsa::P256Sha256Fixed => &signature::ECDSA_P256_SHA256_FIXED,
        Ecdsa::P384Sha384Fixed => &signature::ECDSA_P384_SHA384_FIXED,
        _ => return false,
    };
    UnparsedPublicKey::new(algorithm, point).verify(data, signature).is_ok()
}

/// None: not a key of its curve, or the halves do not belong together.
pub fn key_pair(scheme: Ecdsa, private: &[u8], point: &[u8]) -> Option<EcdsaKeyPair> {
    let algorithm = match scheme {
        Ecdsa::P256Sha256 => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        Ecdsa::P384Sha384 => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        _ => return None,
    };
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, point).ok()
}

pub fn sign(key: &EcdsaKeyPair, data: &[u8]) -> Option<Vec<u8>> {
    Some(key.sign(&SystemRandom::new(), data).ok()?.as_ref().to_vec())
}
