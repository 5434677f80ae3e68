// SPDX-License-Identifier: Apache-2.0
#include "traffic/certificate/acme_client.h"

#include <algorithm>
#include <charconv>

#include "base/encoding.h"
#include "base/pause.h"
#include "evercert-acme-bridge/src/lib.rs.h"
#include "keys/software_signer.h"
#include "pki/pem.h"

namespace evercert::traffic {
namespace {

using bridge::StepKind;

constexpr std::size_t kPointBytes = 65;  // of an uncompressed point, at the end of a P-256 SubjectPublicKeyInfo
constexpr std::size_t kLongestToken = 256;

std::string text(const rust::String& from) { return {from.data(), from.size()}; }
std::string octets(const rust::Vec<std::uint8_t>& from) { return {from.begin(), from.end()}; }
rust::Vec<std::uint8_t> octets(std::string_view from) {
  rust::Vec<std::uint8_t> out;
  out.reserve(from.size());
  for (const char c : from) out.push_back(static_cast<std::uint8_t>(c));
  return out;
}

// RFC 9773 section 4.1: the parts of the name of a certificate, with the sign's octet of the number.
bridge::CertificateName name_of(const pki::CertificateFacts& facts) {
  const bool negative = !facts.serial.empty() && (static_cast<unsigned char>(facts.serial.front()) & 0x80) != 0;
  return {to_base64url(facts.authority_key_id), to_base64url((negative ? std::string(1, '\0') : "") + facts.serial)};
}

bridge::Answer failed(const std::string& why) {
  bridge::Answer answer;
  answer.failed = rust::String::lossy(why.empty() ? "no answer" : why);
  answer.status = 0;
  return answer;
}

bridge::Answer answered(const net::HttpResponse& response) {
  bridge::Answer answer;
  answer.status = static_cast<std::uint16_t>(response.status);
  for (const auto& [name, value] : response.headers.all())
    answer.fields.push_back({rust::String::lossy(name.data(), name.size()), octets(value)});
  answer.body = octets(response.bytes());
  return answer;
}

AcmeRequest request_of(const bridge::Step& step) {
  AcmeRequest request{text(step.method), text(step.url), {}, octets(step.body)};
  for (const auto& field : step.fields) request.headers.add(text(field.name), octets(field.value));
  return request;
}

Task<Result<std::string>> drive(Executor& on, MonotonicClock& clock, AskAcme ask, ShowProof show,
                                rust::Box<bridge::Exchange> exchange, Duration patience) {
  const Instant end = clock.now() + patience;
  bridge::Step step = exchange->begin();
  while (step.kind == StepKind::Ask || step.kind == StepKind::Pause || step.kind == StepKind::Show) {
    if (clock.now() >= end) co_return fail(Code::kExpired, "the server has not come to an end");
    bridge::Answer answer = failed("");
    if (step.kind == StepKind::Ask) {
      AcmeRequest request = request_of(step);
      const auto response = co_await ask(on, std::move(request));
      answer = response ? answered(*response) : failed(response.error().message);
    } else if (step.kind == StepKind::Show) {
      auto showing = show(on, text(step.result), octets(step.body));
      const Status shown = co_await std::move(showing);
      answer = shown ? bridge::Answer() : failed(shown.error().message);
    } else {
      co_await pause(on, std::chrono::milliseconds(step.pause_ms));
    }
    step = exchange->go_on(std::move(answer));
  }
  if (step.kind == StepKind::Done) co_return text(step.result);
  co_return fail(Code::kUnavailable, text(step.result));
}

}  // namespace

Result<AcmeAccount> AcmeAccount::from_pem(const std::string& pem) {
  EC_ASSIGN(const auto signer, keys::software_signer(pem));
  EC_ASSIGN(const auto key, pki::PublicKey::from_spki(signer->spki_der()));
  EC_ASSIGN(auto ders, pki::from_pem("PRIVATE KEY", pem));
  const std::string& spki = key.spki_der();
  if (key.kind() != pki::KeyKind::kP256 || spki.size() < kPointBytes || spki[spki.size() - kPointBytes] != 4)
    return fail(Code::kInvalid, "an account's key must be one of P-256");
  const auto half = [&](std::size_t from_end) {
    return to_base64url(std::string_view(spki).substr(spki.size() - from_end, 32));
  };
  AcmeAccount account;
  account.key_der_ = std::move(ders.front());
  // RFC 7638: the required members, sorted, without white space.
  account.thumbprint_ =
      to_base64url(sha256(R"({"crv":"P-256","kty":"EC","x":")" + half(64) + R"(","y":")" + half(32) + "\"}"));
  return account;
}

std::optional<std::string> AcmeAccount::answer_to_challenge(std::string_view token) const {
  const bool sound =
      !token.empty() && token.size() <= kLongestToken && std::all_of(token.begin(), token.end(), [](unsigned char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
      });
  if (!sound) return std::nullopt;
  return std::string(token) + "." + thumbprint_;
}

Task<Result<std::string>> order_certificate(Executor& on, MonotonicClock& clock, AskAcme ask, AcmeAccount account,
                                            CertificateWish wish, Duration patience) {
  bridge::Wish out;
  out.directory = rust::String::lossy(wish.directory);
  out.account_key = octets(account.key_der());
  for (const auto& contact : wish.contacts) out.contacts.push_back(rust::String::lossy(contact));
  for (const auto& name : wish.names)
    (name.kind == pki::NameKind::kIp ? out.addresses : out.dns_names).push_back(rust::String::lossy(name.value));
  out.csr_der = octets(wish.csr_der);
  if (wish.replaces && !wish.replaces->authority_key_id.empty()) out.replaces = name_of(*wish.replaces);
  out.by_http = wish.by_http;
  out.by_tls = wish.show != nullptr;
  auto exchange = bridge::begin_order(std::move(out));
  co_return co_await drive(on, clock, std::move(ask), std::move(wish.show), std::move(exchange), patience);
}

Task<Result<std::optional<RenewalWindow>>> ask_renewal_window(Executor& on, MonotonicClock& clock, AskAcme ask,
                                                              AcmeAccount account, std::string directory,
                                                              pki::CertificateFacts certificate, Duration patience) {
  auto exchange =
      bridge::begin_renewal_info(rust::String::lossy(directory), octets(account.key_der()), name_of(certificate));
  const auto said = co_await drive(on, clock, std::move(ask), {}, std::move(exchange), patience);
  if (!said) co_return fail(said.error());
  if (*said == "-") co_return std::optional<RenewalWindow>{};
  std::int64_t numbers[3] = {};
  const char* at = said->data();
  for (std::int64_t& number : numbers) {
    const auto [rest, error] = std::from_chars(at, said->data() + said->size(), number);
    if (error != std::errc()) co_return fail(Code::kInternal, "'" + *said + "' is no window");
    at = rest + (rest < said->data() + said->size() ? 1 : 0);
  }
  co_return std::optional(RenewalWindow{{numbers[0] * 1000}, {numbers[1] * 1000}, std::chrono::seconds(numbers[2])});
}

}  // namespace evercert::traffic
