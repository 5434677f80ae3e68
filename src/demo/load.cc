// SPDX-License-Identifier: Apache-2.0
#include "demo/load.h"

#include <future>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "base/pause.h"
#include "config/paths.h"
#include "demo/clock.h"
#include "keys/software_signer.h"
#include "node/signers.h"
#include "pki/crl.h"
#include "pki/ocsp.h"
#include "pki/pem.h"

namespace evercert::demo {
namespace {

using nlohmann::json;

std::uint64_t chance() { return os::secure_random().next(); }

std::string answering_region(const net::HttpResponse& response) {
  return std::string(response.headers.find("Evercert-Region").value_or("an edge that does not say who"));
}

std::string_view to_string(pki::CertStatus status) {
  switch (status) {
    case pki::CertStatus::kGood: return "good";
    case pki::CertStatus::kRevoked: return "revoked";
    case pki::CertStatus::kUnknown: return "unknown";
  }
  return "?";
}

// Counts an operation while it lives.
struct UnderWay {
  explicit UnderWay(std::atomic<int>& c) : count(c) { ++count; }
  ~UnderWay() { --count; }
  std::atomic<int>& count;
};

}  // namespace

Result<std::unique_ptr<Load>> Load::create(const config::ClusterConfig& config, LoadOptions options, History& history) {
  std::unique_ptr<Load> load(new Load(config, options, history));
  const config::Paths paths(config.dir);
  EC_ASSIGN(load->token_, node::read_text_file(paths.operator_token()));
  for (int i = 0; i < 32; ++i) {
    EC_ASSIGN(const auto key, keys::generate_key_pem(pki::KeyKind::kP256));
    EC_ASSIGN(auto csr, keys::make_csr_pem(key, {{pki::NameKind::kDns, "host" + std::to_string(i) + ".load.test"}}));
    load->csrs_.push_back(std::move(csr));
  }
  for (const auto& region : config.regions) {
    EC_ASSIGN(const auto pem, read_file(os::disk(), paths.issuer(region.name)));
    EC_ASSIGN(const auto der, pki::from_pem("CERTIFICATE", pem));
    load->issuers_.push_back(der.front());
    // Clients of a region come from its own addresses, so that a packet filter can tell them apart.
    net::HttpClientOptions client{
        "127." + std::to_string(region.id.value) + ".0.100", {"", "", paths.root_certificate()}, 256, 30s};
    EC_ASSIGN(auto made, net::HttpClient::create(std::move(client)));
    load->clients_.push_back(std::move(made));
  }
  load->executor_ = os::ThreadExecutor::start("load");
  return load;
}

Load::~Load() {
  stop();
  executor_.reset();
  clients_.clear();
}

void Load::start() {
  running_ = true;
  for (int region = 0; region < static_cast<int>(config_.regions.size()); ++region) {
    if (region == options_.without) continue;
    schedule(region, options_.issues_per_second, &Load::issue);
    schedule(region, options_.reads_per_second, &Load::read);
    schedule(region, options_.revocations_per_second, &Load::revoke);
  }
}

void Load::stop() {
  running_ = false;
  for (int i = 0; i < 3000 && under_way_ > 0; ++i) {
    std::promise<void> later;
    executor_->post_after(10ms, [&] { later.set_value(); });
    later.get_future().wait();
  }
}

// Open loop: operations begin when they are due, whatever became of earlier ones.
void Load::schedule(int region, double per_second, Task<void> (Load::*operation)(int)) {
  if (per_second <= 0) return;
  const auto mean = 1e6 / per_second;
  const double jitter = 0.5 + static_cast<double>(chance() % 1000) / 1000;
  executor_->post_after(Duration{static_cast<std::int64_t>(mean * jitter)}, [this, region, per_second, operation] {
    if (!running_) return;
    spawn((this->*operation)(region));
    schedule(region, per_second, operation);
  });
}

net::HttpTarget Load::target(int region, bool tls) const {
  const auto& edge = config_.regions[static_cast<std::size_t>(region)].edges.front();
  return {edge.address, tls ? edge.https_port : edge.http_port, tls, edge.address};
}

Task<Load::Answer> Load::anywhere(int region, bool tls, net::HttpCall call) {
  const int regions = static_cast<int>(config_.regions.size());
  Answer answer;
  const Instant give_up = now() + 10s;
  for (int attempt = 0; attempt < (options_.persistent ? 4 * regions : 1) && now() < give_up; ++attempt) {
    call.target = target((region + attempt) % regions, tls);
    answer.last = co_await clients_[static_cast<std::size_t>(region)]->fetch(*executor_, call);
    const bool nothing_done = answer.last ? answer.last->status == 503 : answer.last.error().code == Code::kUnavailable;
    answer.refused = answer.refused && nothing_done;
    if (answer.last && answer.last->status < 500) co_return answer;
    if (options_.persistent && attempt >= regions - 1) co_await pause(*executor_, 100ms);
  }
  co_return answer;
}

void Load::end(Operation& operation, const Answer& answer) {
  operation.ended = now();
  if (answer.last) operation.answered_by = answering_region(*answer.last);
  if (answer.refused) operation.output = "refused";
}

Task<void> Load::issue(int region) {
  const UnderWay counted(under_way_);
  Operation operation{Kind::kIssue, region, now(), {}, false};
  net::HttpCall call;
  call.method = "POST";
  call.path = "/v1/certificates";
  call.headers.set("Authorization", "Bearer " + token_);
  call.headers.set("Content-Type", "application/json");
  call.headers.set("Idempotency-Key", to_hex(os::secure_random().bytes(16)));
  const json body{{"csr", csrs_[chance() % csrs_.size()]}, {"profile", "server"}};
  call.body = body.dump();
  const auto answer = co_await anywhere(region, true, std::move(call));
  const auto& response = answer.last;
  end(operation, answer);
  if (response && response->status == 201) {
    const auto document = json::parse(response->body, nullptr, false);
    const auto serial = from_hex(document.value("serial", ""));
    if (serial && serial->size() == 16) {
      int issuer = 0;
      for (std::size_t r = 0; r < config_.regions.size(); ++r) {
        if (config_.regions[r].name == document.value("region", "")) issuer = static_cast<int>(r);
      }
      history_.issued(*serial, issuer);
      operation.ok = true;
      operation.record = *serial;
      operation.output = "issued";
    }
  }
  if (!operation.ok)
    history_.failure("issue: " + (response ? std::to_string(response->status) + " " + response->body.substr(0, 200)
                                           : response.error().message));
  history_.finished(operation);
}

Task<void> Load::revoke(int region) {
  const UnderWay counted(under_way_);
  const auto known = history_.pick_to_revoke(chance());
  if (!known) co_return;
  Operation operation{Kind::kRevoke, region, now(), {}, false};
  operation.record = known->serial;
  net::HttpCall call;
  call.method = "POST";
  call.path = "/v1/certificates/" + to_hex(known->serial) + "/revoke";
  call.headers.set("Authorization", "Bearer " + token_);
  call.headers.set("Idempotency-Key", to_hex(os::secure_random().bytes(16)));
  call.body = R"({"reason":"superseded"})";
  const auto answer = co_await anywhere(region, true, std::move(call));
  const auto& response = answer.last;
  end(operation, answer);
  operation.ok = response && response->status == 200;
  if (operation.ok) {
    history_.revoked(known->serial);
    operation.output = "revoked";
  } else if (response && response->status == 409) {
    operation.output = "already revoked";  // by whom? Each is revoked once, and repeated with its key
  }
  if (!operation.ok)
    history_.failure("revoke: " + (response ? std::to_string(response->status) + " " + response->body.substr(0, 200)
                                            : response.error().message));
  history_.finished(operation);
}

Task<void> Load::read(int region) {
  const auto kind = chance() % 10;
  if (kind == 0) return crl(region);
  return kind < 4 ? get(region) : ocsp(region);
}

Task<void> Load::ocsp(int region) {
  const UnderWay counted(under_way_);
  const auto known = history_.pick(chance());
  if (!known) co_return;
  Operation operation{Kind::kOcsp, region, now(), {}, false};
  operation.record = known->serial;
  const std::string& issuer = issuers_[static_cast<std::size_t>(known->issuer)];
  const auto request = pki::make_ocsp_request(issuer, known->serial);
  net::HttpCall call;
  const bool by_get = chance() % 2 == 0;
  call.method = by_get ? "GET" : "POST";
  call.path = "/ocsp";
  if (by_get) {
    call.path += "/";
    for (const char c : to_base64(*request))
      call.path += c == '+' ? "%2B" : c == '/' ? "%2F" : c == '=' ? "%3D" : std::string(1, c);
  } else {
    call.body = *request;
    call.headers.set("Content-Type", "application/ocsp-request");
  }
  const auto answer = co_await anywhere(region, false, std::move(call));
  const auto& response = answer.last;
  end(operation, answer);
  const auto result = response && response->status == 200
                          ? pki::read_ocsp_response(response->body, issuer, known->serial)
                          : Result<pki::OcspResult>(fail(Code::kUnavailable, "no answer"));
  operation.ok = result.has_value();
  if (!operation.ok && response && response->body == pki::ocsp_error_response(pki::OcspError::kTryLater))
    operation.output = "refused";
  if (!operation.ok)
    history_.failure("ocsp: " + (response ? std::to_string(response->status) + " " + result.error().message
                                          : response.error().message));
  const bool claims_fresh = response && !response->headers.find("Evercert-Stale");
  if (result) operation.output = (claims_fresh ? "" : "stale ") + std::string(to_string(result->status));
  if (result && claims_fresh) {
    if (result->status == pki::CertStatus::kUnknown)
      history_.wrong_answer("OCSP 'unknown' of " + to_hex(known->serial) + ", asked with the issuer of " +
                            config_.regions[static_cast<std::size_t>(known->issuer)].name + ", by " +
                            answering_region(*response));
    if (known->revoked && result->status != pki::CertStatus::kRevoked)
      history_.wrong_answer("OCSP 'good' of revoked " + to_hex(known->serial) + " by " + answering_region(*response));
  }
  history_.finished(operation);
}

Task<void> Load::get(int region) {
  const UnderWay counted(under_way_);
  const auto known = history_.pick(chance());
  if (!known) co_return;
  Operation operation{Kind::kGet, region, now(), {}, false};
  operation.record = known->serial;
  net::HttpCall call;
  call.path = "/v1/certificates/" + to_hex(known->serial);
  call.headers.set("Authorization", "Bearer " + token_);
  const auto answer = co_await anywhere(region, true, std::move(call));
  const auto& response = answer.last;
  end(operation, answer);
  operation.ok = response && response->status == 200;
  if (!operation.ok)
    history_.failure("get: " + (response ? std::to_string(response->status) : response.error().message));
  if (operation.ok) {
    const bool claims_fresh = !response->headers.find("Evercert-Stale");
    const auto document = json::parse(response->body, nullptr, false);
    operation.output = (claims_fresh ? "" : "stale ") + document.value("status", "");
    if (claims_fresh && known->revoked && document.value("status", "") != "revoked")
      history_.wrong_answer("'good' of revoked " + to_hex(known->serial) + " by " + answering_region(*response));
  }
  history_.finished(operation);
}

Task<void> Load::crl(int region) {
  const UnderWay counted(under_way_);
  Operation operation{Kind::kCrl, region, now(), {}, false};
  const auto which = static_cast<std::size_t>(chance() % config_.regions.size());
  net::HttpCall call;
  call.path = "/crl/" + config_.regions[which].name + ".crl";
  const auto answer = co_await anywhere(region, false, std::move(call));
  const auto& response = answer.last;
  end(operation, answer);
  operation.record = config_.regions[which].name;
  if (response && response->status == 200) {
    const auto list = pki::read_crl(response->body, issuers_[which]);
    operation.ok = list.has_value();
    if (list) operation.output = std::to_string(list->number) + " " + to_hex(sha256(response->body));
  }
  if (!operation.ok)
    history_.failure("crl: " + (response ? std::to_string(response->status) : response.error().message));
  history_.finished(operation);
}

}  // namespace evercert::demo
