// SPDX-License-Identifier: Apache-2.0
use crate::ffi::{AlternativeName, Tbs};
use const_oid::db::{rfc4519, rfc5280};
use const_oid::{AssociatedOid, ObjectIdentifier};
use der::asn1::{Any, BmpString, Ia5String, Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use der::{Decode, Encode, Tag, Tagged};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::ext::Extension;
use x509_cert::TbsCertificate;

pub fn nothing() -> Tbs {
    Tbs {
        is_der: false,
        version: 0,
        serial: Vec::new(),
        serial_negative: false,
        not_before: 0,
        not_after: 0,
        subject_attributes: 0,
        common_name: Vec::new(),
        spki: Vec::new(),
        extension_twice: false,
        names: Vec::new(),
        subject_key_id: Vec::new(),
        authority_key_id: Vec::new(),
        has_basic_constraints: false,
        is_ca: false,
        has_key_usage: false,
        may_sign_certificates_or_crls: false,
        has_extended_key_usage: false,
        may_sign_ocsp: false,
        has_tls_feature: false,
        must_staple: false,
    }
}

pub fn read(input: &[u8]) -> der::Result<Tbs> {
    let tbs = TbsCertificate::from_der(input)?;
    // The decoder forgives a few things, such as sets out of order and defaults that are spelt out, and leaves the values
    // in names as they are.
    if tbs.to_der()? != input || !tbs.issuer().iter().chain(tbs.subject().iter()).all(|part| is_text(&part.value)) {
        return Ok(nothing());
    }
    let serial = tbs.serial_number().as_bytes();
    let subject = tbs.subject();
    let common_name = subject.iter().find(|part| part.oid == rfc4519::COMMON_NAME);
    let extensions = tbs.extensions().map_or(&[][..], Vec::as_slice);
    let basic_constraints = only::<BasicConstraints>(extensions);
    let key_usage = only::<KeyUsage>(extensions);
    let extended_key_usage = only::<ExtendedKeyUsage>(extensions);
    let tls_feature = extensions.iter().find(|one| one.extn_id == TLS_FEATURE);
    let authority_key_id = only::<AuthorityKeyIdentifier>(extensions).and_then(|id| id.key_identifier);
    Ok(Tbs {
        is_der: true,
        version: tbs.version() as u8,
        serial: serial.iter().copied().skip_while(|byte| *byte == 0).collect(),
        serial_negative: serial.first().is_some_and(|byte| byte & 0x80 != 0),
        not_before: seconds(&tbs.validity().not_before),
        not_after: seconds(&tbs.validity().not_after),
        subject_attributes: subject.iter().count(),
        common_name: common_name.map_or_else(Vec::new, |part| part.value.value().to_vec()),
        spki: tbs.subject_public_key_info().to_der()?,
        extension_twice: is_any_twice(extensions),
        names: only::<SubjectAltName>(extensions).map_or_else(Vec::new, |all| all.0.into_iter().map(name).collect()),
        subject_key_id: only::<SubjectKeyIdentifier>(extensions).map_or_else(Vec::new, |id| id.0.into_bytes().into()),
        authority_key_id: authority_key_id.map_or_else(Vec::new, |id| id.into_bytes().into()),
        has_basic_constraints: basic_constraints.is_some(),
        is_ca: basic_constraints.is_some_and(|is| is.ca),
        has_key_usage: key_usage.is_some(),
        may_sign_certificates_or_crls: key_usage.is_some_and(|may| may.key_cert_sign() || may.crl_sign()),
        may_sign_ocsp: extended_key_usage.as_ref().is_some_and(|may| may.0.contains(&rfc5280::ID_KP_OCSP_SIGNING)),
        has_extended_key_usage: extended_key_usage.is_some(),
        has_tls_feature: tls_feature.is_some(),
        must_staple: tls_feature.is_some_and(|one| !one.critical && one.extn_value.as_bytes() == STATUS_REQUEST),
    })
}

/// RFC 7633, which the crate does not know: a sequence of the numbers of TLS extensions.
const TLS_FEATURE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.24");
const STATUS_REQUEST: &[u8] = &[0x30, 0x03, 0x02, 0x01, 0x05];

/// None: missing, there twice, or not in DER.
fn only<T: AssociatedOid + Encode + for<'a> Decode<'a>>(extensions: &[Extension]) -> Option<T> {
    let mut all = extensions.iter().filter(|one| one.extn_id == T::OID);
    let value = &all.next()?.extn_value;
    if all.next().is_some() {
        return None;
    }
    let found = T::from_der(value.as_bytes()).ok()?;
    (found.to_der().ok()? == value.as_bytes()).then_some(found)
}

fn is_any_twice(extensions: &[Extension]) -> bool {
    let kind = |i: usize| -> &ObjectIdentifier { &extensions[i].extn_id };
    (0..extensions.len()).any(|i| (0..i).any(|earlier| kind(earlier) == kind(i)))
}

/// X.520's DirectoryString, and what mail addresses in names are made of.
fn is_text(value: &Any) -> bool {
    match value.tag() {
        Tag::Utf8String => value.decode_as::<Utf8StringRef>().is_ok(),
        Tag::PrintableString => value.decode_as::<PrintableStringRef>().is_ok(),
        Tag::TeletexString => value.decode_as::<TeletexStringRef>().is_ok(),
        Tag::BmpString => value.decode_as::<BmpString>().is_ok(),
        Tag::Ia5String => value.decode_as::<Ia5StringRef>().is_ok(),
        _ => false,
    }
}

fn seconds(time: &x509_cert::time::Time) -> i64 {
    time.to_unix_duration().as_secs() as i64
}

fn name(name: GeneralName) -> AlternativeName {
    let text = |kind, text: Ia5String| AlternativeName { kind, value: text.as_bytes().to_vec() };
    let other = |kind| AlternativeName { kind, value: Vec::new() };
    match name {
        GeneralName::OtherName(_) => other(0),
        GeneralName::Rfc822Name(mail) => text(1, mail),
        GeneralName::DnsName(name) => text(2, name),
        GeneralName::DirectoryName(_) => other(4),
        GeneralName::EdiPartyName(_) => other(5),
        GeneralName::UniformResourceIdentifier(uri) => text(6, uri),
        GeneralName::IpAddress(address) => AlternativeName { kind: 7, value: address.as_bytes().to_vec() },
        GeneralName::RegisteredId(_) => other(8),
    }
}
