// SPDX-License-Identifier: Apache-2.0
#include "node/standby_key.h"

#include "base/encoding.h"
#include "base/log.h"
#include "base/os/system.h"
#include "keys/standby.h"
#include "node/signers.h"
#include "pki/certificate.h"

namespace evercert::node {
namespace {

constexpr Duration kConnectTimeout = 1s;
constexpr Duration kAskTimeout = 3s;

}  // namespace

Task<Result<keys::MarkedShare>> StandbyKey::ask(Executor& on, const StandbyKeyOptions::Place& place) {
  Error last{Code::kUnavailable, place.region + " has no node"};
  for (const auto& target : place.nodes) {
    net::HttpCall call;
    call.target = target;
    call.path = "/v1/standby/" + options_.issuer + "/share";
    call.connect_timeout = kConnectTimeout;
    call.timeout = kAskTimeout;
    call.max_response_bytes = 64 << 10;
    const auto response = co_await client_.fetch(on, std::move(call));
    if (!response) {
      last = response.error();
      continue;
    }
    if (response->status == 200) co_return keys::parse_share(response->body);
    last = {Code::kUnavailable, place.region + " gives no share: " + response->body.substr(0, 300)};
  }
  co_return fail(std::move(last));
}

Task<Result<StandbyKey::Key>> StandbyKey::collect(Executor& on) {
  const config::Paths& paths = options_.paths;
  const std::string whole = paths.standby_wrapping_key_at(options_.own, options_.issuer);
  if (os::disk().exists(whole)) {
    const auto text = read_text_file(whole);
    if (!text) co_return fail(text.error());
    auto key = from_hex(*text);
    if (!key) co_return fail(key.error());
    Key opens{std::move(*key), "the key in " + whole};
    co_return opens;
  }
  const auto text = read_text_file(paths.standby_share(options_.own, options_.issuer));
  if (!text) co_return fail(text.error());
  const auto own = keys::parse_share(*text);
  if (!own) co_return fail(own.error());
  std::vector<keys::Share> shares{own->share};
  std::string by = "shares of " + options_.own, missing;
  for (const auto& place : options_.others) {
    if (shares.size() >= own->threshold) break;
    const auto given = co_await ask(on, place);
    if (given) {
      shares.push_back(given->share);
      by += ", " + place.region;
    } else {
      missing += "; " + given.error().message;
    }
  }
  if (shares.size() < own->threshold) {
    co_return fail(Code::kUnavailable, "the standby of " + options_.issuer + " takes the shares of " +
                                           std::to_string(own->threshold) + " regions, " +
                                           std::to_string(shares.size()) + " are there" + missing);
  }
  auto key = keys::combine(shares);
  if (!key) co_return fail(key.error());
  Key opens{std::move(*key), std::move(by)};
  co_return opens;
}

Task<ca::CrlKey::Opened> StandbyKey::open(Executor& on, store::Activation activation) {
  if (opened_) co_return opened_;
  const auto text = read_text_file(options_.paths.standby(options_.own, options_.issuer));
  if (!text) co_return fail(text.error());
  const auto wrapped = from_hex(*text);
  if (!wrapped) co_return fail(wrapped.error());
  const auto certificate = pki::read_certificate(options_.issuer_certificate_der);
  if (!certificate) co_return fail(certificate.error());
  auto key = co_await collect(on);
  if (!key) co_return fail(key.error());
  Opened opened = options_.token ? options_.token->open_standby(*wrapped, key->wrapping_key, certificate->spki_der)
                                 : keys::open_standby(*wrapped, key->wrapping_key);
  key->wrapping_key.assign(key->wrapping_key.size(), '\0');
  if (!opened) co_return fail(opened.error());
  if ((*opened)->spki_der() != certificate->spki_der)
    co_return fail(Code::kDenied, "the standby of " + options_.issuer + " is not the key of its certificate");
  log_warning("standby: opened the standby of " + options_.issuer + " under the activation of epoch " +
              std::to_string(activation.epoch) + " with " + key->by);
  opened_ = std::move(*opened);
  co_return opened_;
}

}  // namespace evercert::node
