// SPDX-License-Identifier: Apache-2.0
#include "traffic/certificate/own_certificate.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "keys/software_signer.h"
#include "pki/ocsp.h"
#include "pki/pem.h"

namespace evercert::traffic {
namespace {

constexpr Duration kTick = 1s, kPatience = 60s;
constexpr std::int64_t kWindowAgainMs = 6 * 3600 * 1000, kWindowSoonMs = 60'000;  // RFC 9773 section 4.3.3
constexpr std::int64_t kWindowFailedMs = 600 * 1000;
constexpr std::int64_t kComplainMs = 3600 * 1000;
constexpr std::string_view kChallenges = "/.well-known/acme-challenge/";

std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') == host.npos ? host.npos : host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

bool same_host(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return lower(x) == lower(y);
  });
}

std::string list(const std::vector<pki::Name>& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ",") + name.value;
  return out;
}

}  // namespace

OwnCertificate::OwnCertificate(OwnCertificateOptions options, Parts parts, AcmeAccount account)
    : options_(std::move(options)), parts_(std::move(parts)), account_(std::move(account)) {}

OwnCertificate::~OwnCertificate() = default;

Result<std::unique_ptr<OwnCertificate>> OwnCertificate::open(OwnCertificateOptions options, Parts parts) {
  const std::string how =
      ": the key of the edges' ACME account is needed, the same in all regions: make one by 'openssl genpkey "
      "-algorithm "
      "EC -pkeyopt ec_paramgen_curve:P-256 -out " +
      options.account_key + "', or copy that of another region";
  const auto pem = read_file(parts.disk, options.account_key);
  if (!pem) return fail(pem.error().code, pem.error().message + how);
  auto account = AcmeAccount::from_pem(*pem);
  if (!account) return fail(Code::kInvalid, options.account_key + ": " + account.error().message + how);
  std::sort(options.names.begin(), options.names.end());
  std::unique_ptr<OwnCertificate> made(new OwnCertificate(std::move(options), std::move(parts), std::move(*account)));
  made->load();
  made->note([](Seen&) {});
  return made;
}

void OwnCertificate::load() {
  const std::string& file = options_.file;
  if (!parts_.disk.exists(file)) return log_info("edge: there is no certificate yet for " + list(options_.names));
  const auto pem = read_file(parts_.disk, file);
  auto held = pem ? examine(*pem, false) : Result<Held>(fail(pem.error()));
  if (!held) return log_error("edge: " + file + ": a new one is ordered: " + held.error().message);
  const bool wanted = held->facts.names == options_.names;
  hold(std::move(*held));
  if (!wanted) {
    log_info("edge: " + file + " is for other names than " + list(options_.names) + ": a new one is ordered");
    renewal_.wanted(parts_.wall.now());
  }
  if (!parts_.disk.exists(staple_file(held_->facts))) return;
  const auto der = read_file(parts_.disk, staple_file(held_->facts));
  const auto staple = der ? check_staple(*der, subject(*held_), parts_.wall.now()) : Result<Staple>(fail(der.error()));
  if (staple) staple_.fetched(*staple, chance());
}

// `whole`: also that it is for our names and valid now.
Result<OwnCertificate::Held> OwnCertificate::examine(const std::string& pem, bool whole) const {
  EC_ASSIGN(const auto chain, pki::from_pem("CERTIFICATE", pem));
  EC_ASSIGN(auto facts, pki::read_certificate(chain.front()));
  EC_ASSIGN(const auto key, keys::software_signer(pem));
  if (key->spki_der() != facts.spki_der) return fail(Code::kInvalid, "the certificate is for another key");
  std::sort(facts.names.begin(), facts.names.end());
  const std::int64_t now = parts_.wall.now().seconds();
  if (whole && facts.names != options_.names)
    return fail(Code::kInvalid, "the certificate is for " + list(facts.names));
  if (whole && facts.not_after <= now) return fail(Code::kInvalid, "the certificate has expired already");
  return Held{std::move(facts), chain.size() > 1 ? chain[1] : std::string()};
}

void OwnCertificate::hold(Held held) {
  renewal_.installed({{held.facts.not_before * 1000}, {held.facts.not_after * 1000}}, chance());
  staple_.reset();
  ask_window_ = {};
  held_ = std::move(held);
}

std::string OwnCertificate::staple_file(const pki::CertificateFacts& facts) const {
  return options_.file + "." + to_hex(facts.serial) + ".ocsp";
}

void OwnCertificate::note(const std::function<void(Seen&)>& change) {
  const std::lock_guard lock(mutex_);
  change(seen_);
  seen_.held = held_;
  seen_.next = renewal_.next();
  seen_.failures = renewal_.failures();
  seen_.staple_end = staple_.end();
}

void OwnCertificate::start() {
  parts_.on.post([this] { tick(); });
}

void OwnCertificate::renew() {
  parts_.on.post([this] { renewal_.forced(); });
}

// Wall clocks are set: it is looked at again and again instead of being waited for.
void OwnCertificate::tick() {
  if (!std::exchange(busy_, true)) work_.spawn(turn());
  parts_.on.post_after(kTick, [this] { tick(); });
}

Task<void> OwnCertificate::turn() {
  complain();
  if (renewal_.due(parts_.wall.now())) {
    co_await order();
  } else if (held_ && parts_.wall.now() >= ask_window_) {
    co_await look_at_window();
  }
  if (options_.staples && held_ && !held_->issuer_der.empty() && staple_.due(parts_.wall.now()))
    co_await refresh_staple();
  note([](Seen&) {});
  busy_ = false;
}

Task<void> OwnCertificate::order() {
  note([](Seen& seen) { seen.ordering = true; });
  const Status done = co_await order_one();
  if (done) {
    note([](Seen& seen) {
      ++seen.renewed;
      seen.ordering = false;
      seen.last_error.clear();
    });
    co_return;
  }
  renewal_.failed(parts_.wall.now(), chance());
  note([&](Seen& seen) {
    ++seen.failed;
    seen.ordering = false;
    seen.last_error = done.error().message;
  });
  log_warning("edge: no new certificate for " + list(options_.names) + ", tried again at " +
              rfc3339(renewal_.next().ms) + ": " + done.error().message);
}

// Key and chain.
Task<Result<std::string>> OwnCertificate::issue() {
  const auto key_pem = keys::generate_key_pem(options_.key);
  if (!key_pem) co_return fail(key_pem.error());
  const auto csr_pem = keys::make_csr_pem(*key_pem, options_.names);
  if (!csr_pem) co_return fail(csr_pem.error());
  CertificateWish wish{options_.directory, options_.contacts, options_.names, {}, {}, options_.by_http, parts_.show};
  wish.csr_der = pki::from_pem("CERTIFICATE REQUEST", *csr_pem).value().front();
  if (held_) wish.replaces = held_->facts;
  const auto chain =
      co_await order_certificate(parts_.on, parts_.clock, parts_.ask, account_, std::move(wish), kPatience);
  if (!chain) co_return fail(chain.error());
  co_return *key_pem + *chain;
}

Task<Status> OwnCertificate::order_one() {
  // What a full disk has refused is not ordered again, as long as it is good.
  if (unwritten_.empty() || !examine(unwritten_, true)) {
    auto issued = co_await issue();
    if (!issued) co_return fail(issued.error());
    unwritten_ = std::move(*issued);
  }
  auto fresh = examine(unwritten_, true);
  if (!fresh) co_return fail(fresh.error(), "what the server has issued");
  // So that it never is without: a client may insist on it. A certificate that insists itself waits until there is one.
  std::optional<Staple> staple;
  Error without{Code::kUnavailable, "there is no responder to ask"};
  if (options_.staples && !fresh->issuer_der.empty()) {
    auto fetched = co_await fetch_staple(*fresh);
    if (fetched) {
      staple = std::move(*fetched);
    } else {
      without = fetched.error();
    }
  }
  if (fresh->facts.must_staple && !staple) {
    if (without.code == Code::kConflict) unwritten_.clear();  // revoked: another one is ordered
    co_return fail(without.code, "it must not be served without an OCSP answer (RFC 7633): " + without.message);
  }
  const Status written = write_file_durably(parts_.disk, options_.file, unwritten_);
  if (!written) co_return fail(written.error());
  unwritten_.clear();
  hold(std::move(*fresh));
  if (staple) staple_.fetched(*staple, chance());
  log_info("edge: certificate installed names=" + list(options_.names) + " serial=" + to_hex(held_->facts.serial) +
           " until=" + rfc3339(held_->facts.not_after * 1000));
  parts_.changed();
  remove_old_staples();
  co_return Status{};
}

Task<void> OwnCertificate::look_at_window() {
  const auto window = co_await ask_renewal_window(parts_.on, parts_.clock, parts_.ask, account_, options_.directory,
                                                  held_->facts, kPatience);
  const WallTime now = parts_.wall.now();
  // What cannot be asked now leaves the date as it is, and is asked again before long.
  std::int64_t again = window ? kWindowAgainMs : kWindowFailedMs;
  if (window && *window) {
    const bool before = renewal_.due(now);
    renewal_.suggested((*window)->start, (*window)->end, chance());
    again = std::clamp<std::int64_t>((*window)->ask_again.count() / 1000, kWindowSoonMs, kWindowAgainMs);
    if (!before && renewal_.due(now)) log_info("edge: the server wants the certificate renewed now");
  }
  ask_window_ = {now.ms + again};
}

Task<Result<Staple>> OwnCertificate::fetch_staple(const Held& of) {
  const StapleSubject about = subject(of);
  const std::string file = staple_file(of.facts);
  auto request = pki::make_ocsp_request(about.issuer_der, about.serial);
  if (!request) co_return fail(request.error());
  auto der = co_await parts_.ask_ocsp(parts_.on, std::move(*request));
  if (!der) co_return fail(der.error());
  auto staple = check_staple(std::move(*der), about, parts_.wall.now());
  if (!staple) co_return staple;
  const Status written = write_file_durably(parts_.disk, file, staple->der);
  if (!written) co_return fail(written.error());
  co_return staple;
}

Task<void> OwnCertificate::refresh_staple() {
  const auto staple = co_await fetch_staple(*held_);
  if (staple) {
    staple_.fetched(*staple, chance());
    note([](Seen& seen) {
      ++seen.staples;
      seen.staple_error.clear();
    });
    parts_.changed();
    co_return;
  }
  staple_.failed(parts_.wall.now(), chance());
  if (staple.error().code == Code::kConflict) renewal_.wanted(parts_.wall.now());
  note([&](Seen& seen) {
    ++seen.failed_staples;
    seen.staple_error = staple.error().message;
  });
  log_warning("edge: no OCSP answer to staple: " + staple.error().message);
}

void OwnCertificate::remove_old_staples() {
  const auto slash = options_.file.rfind('/');
  const std::string dir = slash == std::string::npos ? "." : options_.file.substr(0, slash);
  const auto names = parts_.disk.list(dir);
  if (!names) return log_warning("edge: " + names.error().message);
  for (const auto& name : *names) {
    const std::string path = dir + "/" + name;
    if (!path.starts_with(options_.file + ".") || !path.ends_with(".ocsp") || path == staple_file(held_->facts))
      continue;
    if (const Status removed = parts_.disk.remove(path); !removed) log_warning("edge: " + removed.error().message);
  }
}

// Said again and again: a certificate that runs out takes everything down with it.
void OwnCertificate::complain() {
  const WallTime now = parts_.wall.now();
  const auto alarm = renewal_.alarm(now);
  if (alarm == Renewal::Alarm::kNone || now.ms < complained_.ms + kComplainMs) return;
  complained_ = now;
  log_error(std::string("edge: the certificate for ") + list(options_.names) +
            (alarm == Renewal::Alarm::kExpired ? " has expired at " : " expires at ") +
            rfc3339(held_->facts.not_after * 1000) + " and was not renewed: " + seen_.last_error);
}

bool OwnCertificate::answers_for(std::string_view host) const {
  return std::ranges::any_of(options_.names, [&](const pki::Name& one) { return same_host(one.value, host); }) ||
         std::ranges::any_of(options_.hosts, [&](const std::string& one) { return same_host(one, host); });
}

std::optional<std::string> OwnCertificate::answer_to_challenge(std::string_view host, std::string_view path) const {
  if (!path.starts_with(kChallenges)) return std::nullopt;
  return answers_for(without_port(host)) ? account_.answer_to_challenge(path.substr(kChallenges.size())) : std::nullopt;
}

nlohmann::json OwnCertificate::status() const {
  const std::lock_guard lock(mutex_);
  nlohmann::json out{{"names", nlohmann::json::array()},
                     {"directory", options_.directory},
                     {"ordering", seen_.ordering},
                     {"failures", seen_.failures},
                     {"last_error", seen_.last_error}};
  for (const auto& name : options_.names) out["names"].push_back(name.value);
  const WallTime now = parts_.wall.now();
  out["next_order"] = rfc3339(std::max(seen_.next, now).ms);
  if (!seen_.held) {
    out["state"] = "none yet";
    return out;
  }
  const auto& facts = seen_.held->facts;
  const bool withheld = facts.must_staple && (!seen_.staple_end || *seen_.staple_end <= now);
  out["state"] = facts.not_after <= now.seconds() ? "expired" : withheld ? "withheld: no OCSP answer" : "valid";
  out["must_staple"] = facts.must_staple;
  out["serial"] = to_hex(facts.serial);
  out["not_after"] = rfc3339(facts.not_after * 1000);
  if (options_.staples) {
    out["staple"] = {{"until", seen_.staple_end ? rfc3339(seen_.staple_end->ms) : ""},
                     {"last_error", seen_.staple_error}};
  }
  return out;
}

std::string OwnCertificate::metrics() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  const auto add = [&](const char* name, const char* type, auto value) {
    out += std::string("# TYPE evercert_edge_") + name + " " + type + "\nevercert_edge_" + name + " " +
           std::to_string(value) + "\n";
  };
  add("certificate_expiry_seconds", "gauge", seen_.held ? seen_.held->facts.not_after : 0);
  add("certificate_failures", "gauge", seen_.failures);
  add("staple_expiry_seconds", "gauge", seen_.staple_end ? seen_.staple_end->seconds() : 0);
  for (const auto& [what, done, failed] : {std::tuple{"orders_total", seen_.renewed, seen_.failed},
                                           {"staples_total", seen_.staples, seen_.failed_staples}}) {
    const std::string name = std::string("evercert_edge_certificate_") + what;
    out += "# TYPE " + name + " counter\n" + name + "{result=\"done\"} " + std::to_string(done) + "\n" + name +
           "{result=\"failed\"} " + std::to_string(failed) + "\n";
  }
  return out;
}

}  // namespace evercert::traffic
