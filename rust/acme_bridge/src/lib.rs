// SPDX-License-Identifier: Apache-2.0
//! A thin bridge to the `instant-acme` crate, without its network: an exchange says what it wants to ask or how long it
//! wants to wait, and goes on with the answer. C++ owns sockets, clocks and threads. Nothing unwinds into C++.

mod exchange;
mod order;

use exchange::Exchange;

#[cxx::bridge(namespace = "evercert::traffic::bridge")]
mod ffi {
    enum StepKind {
        /// A request; goes on with its answer.
        Ask,
        /// Goes on with an empty answer after `pause_ms`.
        Pause,
        /// A certificate with the digest in `body` is to be shown for the DNS name in `result` (RFC 8737); goes on with an
        /// empty answer, or a failed one when that cannot be.
        Show,
        /// `result` is there.
        Done,
        /// `result` says why.
        Failed,
    }
    struct Field {
        name: String,
        value: Vec<u8>,
    }
    struct Step {
        kind: StepKind,
        method: String,
        url: String,
        fields: Vec<Field>,
        body: Vec<u8>,
        pause_ms: u64,
        result: String,
    }
    struct Answer {
        /// Not empty: there is no answer, and why.
        failed: String,
        status: u16,
        fields: Vec<Field>,
        body: Vec<u8>,
    }
    /// By which a certificate is named in RFC 9773 section 4.1, both parts in base64url.
    struct CertificateName {
        authority_key_id: String,
        serial: String,
    }
    struct Wish {
        directory: String,
        /// A key of P-256, PKCS #8 in DER.
        account_key: Vec<u8>,
        /// URLs; none: the account's are left as they are.
        contacts: Vec<String>,
        dns_names: Vec<String>,
        addresses: Vec<String>,
        csr_der: Vec<u8>,
        /// What is replaced; empty parts: nothing.
        replaces: CertificateName,
        /// Which proofs the caller can give: by http-01, whose answers need the account's key alone, before tls-alpn-01.
        by_http: bool,
        by_tls: bool,
    }
    extern "Rust" {
        /// A certificate for the names. The result is the chain in PEM.
        fn begin_order(wish: Wish) -> Box<Exchange>;
        /// When a certificate should be renewed. The result: three numbers with spaces between them, the beginning and the
        /// end of the window in seconds since 1970 and after how many seconds to ask again; "-" when the server does not say.
        fn begin_renewal_info(directory: String, account_key: Vec<u8>, certificate: CertificateName) -> Box<Exchange>;

        type Exchange;
        fn begin(self: &mut Exchange) -> Step;
        /// After each Ask and Pause. Nothing more after Done and Failed.
        fn go_on(self: &mut Exchange, answer: Answer) -> Step;
    }
}

fn begin_order(wish: ffi::Wish) -> Box<Exchange> {
    Exchange::of(|talk| order::place(wish, talk))
}

fn begin_renewal_info(directory: String, account_key: Vec<u8>, certificate: ffi::CertificateName) -> Box<Exchange> {
    Exchange::of(|talk| order::renewal_info(directory, account_key, certificate, talk))
}
