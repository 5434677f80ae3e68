// SPDX-License-Identifier: Apache-2.0
//! An order from its account to its certificate (RFC 8555), and the renewal window of a certificate (RFC 9773).

use crate::exchange::{Talk, Unanswered};
use crate::ffi::{CertificateName, Wish};
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier, Key, NewOrder, Order, OrderStatus,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::borrow::Cow;

const SHORTEST_PAUSE_MS: u64 = 250;
const LONGEST_PAUSE_MS: u64 = 10_000;

fn identifier(name: &CertificateName) -> CertificateIdentifier<'_> {
    CertificateIdentifier { authority_key_identifier: Cow::Borrowed(&name.authority_key_id), serial: Cow::Borrowed(&name.serial) }
}

/// The server has not answered, so that asking in another way would not help.
fn unanswered(error: &Error) -> bool {
    matches!(error, Error::Other(inner) if inner.is::<Unanswered>())
}

/// Who is replaced is a hint that may move the order forward; a server that does not take it gets the order without.
async fn new_order(account: &Account, identifiers: &[Identifier], replaces: &CertificateName) -> Result<Order, Error> {
    if !replaces.serial.is_empty() {
        match account.new_order(&NewOrder::new(identifiers).replaces(identifier(replaces))).await {
            Ok(order) => return Ok(order),
            Err(error) if unanswered(&error) => return Err(error),
            Err(_) => {}
        }
    }
    account.new_order(&NewOrder::new(identifiers)).await
}

/// Which proofs can be given, the preferred one first.
fn ways(wish: &Wish) -> Vec<ChallengeType> {
    let all = [(wish.by_http, ChallengeType::Http01), (wish.by_tls, ChallengeType::TlsAlpn01)];
    all.into_iter().filter(|(can, _)| *can).map(|(_, way)| way).collect()
}

async fn prove_all(order: &mut Order, ways: &[ChallengeType], talk: &Talk) -> Result<(), Error> {
    let mut authorizations = order.authorizations();
    while let Some(found) = authorizations.next().await {
        let mut authorization = found?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            other => return Err(Error::Other(format!("an authorization of the order is {other:?}").into())),
        }
        let offered = |way: &&ChallengeType| authorization.challenges.iter().any(|challenge| challenge.r#type == **way);
        let Some(way) = ways.iter().find(offered).cloned() else {
            return Err(Error::Other(format!("no challenge is offered that can be met: {ways:?}").into()));
        };
        let by_tls = way == ChallengeType::TlsAlpn01;
        let mut challenge = authorization.challenge(way).ok_or(Error::Str("a challenge that was offered"))?;
        if by_tls {
            let Identifier::Dns(name) = challenge.identifier().identifier else {
                return Err(Error::Str("tls-alpn-01 is met for DNS names alone"));
            };
            let (name, digest) = (name.clone(), challenge.key_authorization());
            talk.show(&name, digest.digest().as_ref()).await?;
        }
        challenge.set_ready().await?;
    }
    Ok(())
}

/// What the server says about a proof that it did not accept.
async fn why_refused(order: &mut Order) -> Error {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if let Ok(state) = authorization.refresh().await {
            if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.clone()) {
                return Error::Api(problem);
            }
        }
    }
    Error::Str("a valid order: the server refuses it and gives no reason")
}

struct Pauses(u64);

impl Pauses {
    async fn next(&mut self, talk: &Talk) {
        talk.pause(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE_MS);
    }
}

/// Ends when the order is done, is refused, or when who drives it has waited long enough.
pub async fn place(wish: Wish, talk: Talk) -> Result<String, Error> {
    let ways = ways(&wish);
    let der = PrivatePkcs8KeyDer::from(wish.account_key);
    let key = Key::from_pkcs8_der(der.clone_key())?;
    let builder = Account::builder_with_http(Box::new(talk.clone()));
    let (account, _) = builder.create_from_key((key, PrivateKeyDer::Pkcs8(der)), wish.directory).await?;
    if !wish.contacts.is_empty() {
        let contacts: Vec<&str> = wish.contacts.iter().map(String::as_str).collect();
        account.update_contacts(&contacts).await?;
    }
    let mut identifiers: Vec<Identifier> = wish.dns_names.into_iter().map(Identifier::Dns).collect();
    for address in &wish.addresses {
        identifiers.push(Identifier::Ip(address.parse().map_err(|_| Error::Str("a name that is an IP address"))?));
    }
    let mut order = new_order(&account, &identifiers, &wish.replaces).await?;
    if order.state().status == OrderStatus::Pending {
        prove_all(&mut order, &ways, &talk).await?;
    }
    let mut pauses = Pauses(SHORTEST_PAUSE_MS);
    loop {
        match order.refresh().await?.status {
            OrderStatus::Ready => break,
            OrderStatus::Invalid => return Err(why_refused(&mut order).await),
            _ => pauses.next(&talk).await,
        }
    }
    order.finalize_csr(&wish.csr_der).await?;
    let mut pauses = Pauses(SHORTEST_PAUSE_MS);
    loop {
        match order.certificate().await? {
            Some(chain) => return Ok(chain),
            None => pauses.next(&talk).await,
        }
    }
}

pub async fn renewal_info(directory: String, account_key: Vec<u8>, certificate: CertificateName, talk: Talk) -> Result<String, Error> {
    let builder = Account::builder_with_http(Box::new(talk));
    // It is asked without an account; the crate wants one all the same, and makes it here without a request.
    let account = builder.from_parts(String::new(), PrivatePkcs8KeyDer::from(account_key), directory).await?;
    match account.renewal_info(&identifier(&certificate)).await {
        Ok((info, again)) => {
            let window = info.suggested_window;
            Ok(format!("{} {} {}", window.start.unix_timestamp(), window.end.unix_timestamp(), again.as_secs()))
        }
        Err(Error::Unsupported(_)) => Ok("-".into()),
        Err(error) => Err(error),
    }
}
