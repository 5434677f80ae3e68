// SPDX-License-Identifier: Apache-2.0
//! A thin bridge to RustCrypto's `x509-cert`, which reads certificates for the lint, and to AWS-LC, which makes and
//! checks ECDSA signatures. Nothing unwinds into C++: what goes wrong in here is a value there.

mod ecdsa;
mod tbs;

#[cxx::bridge(namespace = "evercert::pki::bridge")]
mod ffi {
    struct AlternativeName {
        /// Tag of the GeneralName (RFC 5280 section 4.2.1.6).
        kind: u8,
        /// Empty for kinds that are no string of octets.
        value: Vec<u8>,
    }
    /// What a TBSCertificate says. Extensions that do not parse count as missing.
    struct Tbs {
        /// False: not one whole TBSCertificate in DER; nothing else is set.
        is_der: bool,
        /// As encoded: 2 is version 3.
        version: u8,
        /// Big-endian, no leading zeros.
        serial: Vec<u8>,
        serial_negative: bool,
        not_before: i64,
        not_after: i64,
        /// Of all kinds.
        subject_attributes: usize,
        /// The first; empty: none.
        common_name: Vec<u8>,
        spki: Vec<u8>,
        extension_twice: bool,
        names: Vec<AlternativeName>,
        subject_key_id: Vec<u8>,
        authority_key_id: Vec<u8>,
        has_basic_constraints: bool,
        is_ca: bool,
        has_key_usage: bool,
        /// keyCertSign or cRLSign.
        may_sign_certificates_or_crls: bool,
        has_extended_key_usage: bool,
        may_sign_ocsp: bool,
        /// The TLS feature extension (RFC 7633), and: it asks for a stapled OCSP answer, once and for nothing else.
        has_tls_feature: bool,
        must_staple: bool,
    }
    enum Ecdsa {
        P256Sha256,
        P256Sha384,
        P384Sha256,
        P384Sha384,
        /// The signature is r || s (RFC 7518 section 3.4); it is DER in those above.
        P256Sha256Fixed,
        P384Sha384Fixed,
    }
    extern "Rust" {
        fn read_tbs(der: &[u8]) -> Tbs;
        /// `point` is 0x04 || x || y. False also when it is not on the curve.
        fn verify_ecdsa(scheme: Ecdsa, point: &[u8], data: &[u8], signature: &[u8]) -> bool;
        type EcdsaKey;
        /// For the schemes whose hash is as long as the curve's order, in DER. Both halves as in SEC 1, whole length.
        fn ecdsa_key(scheme: Ecdsa, private_key: &[u8], point: &[u8]) -> Box<EcdsaKey>;
        /// False: no key of that curve, or the halves do not belong together. It signs nothing.
        fn is_usable(self: &EcdsaKey) -> bool;
        /// Empty: it did not sign.
        fn sign(self: &EcdsaKey, data: &[u8]) -> Vec<u8>;
    }
}

use std::panic::{catch_unwind, AssertUnwindSafe};

struct EcdsaKey(Option<aws_lc_rs::signature::EcdsaKeyPair>);

impl EcdsaKey {
    fn is_usable(&self) -> bool {
        self.0.is_some()
    }
    fn sign(&self, data: &[u8]) -> Vec<u8> {
        let sign = || self.0.as_ref().and_then(|key| ecdsa::sign(key, data));
        // A key is not changed by signing.
        catch_unwind(AssertUnwindSafe(sign)).ok().flatten().unwrap_or_default()
    }
}

fn ecdsa_key(scheme: ffi::Ecdsa, private_key: &[u8], point: &[u8]) -> Box<EcdsaKey> {
    Box::new(EcdsaKey(catch_unwind(|| ecdsa::key_pair(scheme, private_key, point)).ok().flatten()))
}

fn read_tbs(der: &[u8]) -> ffi::Tbs {
    catch_unwind(|| tbs::read(der)).ok().and_then(Result::ok).unwrap_or_else(tbs::nothing)
}

fn verify_ecdsa(scheme: ffi::Ecdsa, point: &[u8], data: &[u8], signature: &[u8]) -> bool {
    catch_unwind(|| ecdsa::verify(scheme, point, data, signature)).unwrap_or(false)
}
