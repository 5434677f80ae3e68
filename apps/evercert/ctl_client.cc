// SPDX-License-Identifier: Apache-2.0
#include "ctl_client.h"

#include <cstdio>
#include <future>
#include <iostream>

#include "base/encoding.h"
#include "commands.h"
#include "config/paths.h"
#include "node/signers.h"

namespace evercert::apps {

using nlohmann::json;

Result<Ctl> Ctl::open(const CtlOptions& options) {
  Ctl ctl;
  EC_ASSIGN(ctl.config_, config::load_cluster(options.cluster_file));
  const config::Paths paths(ctl.config_.dir);
  EC_ASSIGN(ctl.token_, node::read_text_file(paths.operator_token()));
  EC_ASSIGN(ctl.client_, net::HttpClient::create({"", {"", "", paths.root_certificate()}}));
  if (!options.region.empty() && !ctl.config_.region(options.region)) {
    return fail(Code::kInvalid, options.cluster_file + ": there is no region '" + options.region + "'");
  }
  if (!options.region.empty() && ctl.config_.region(options.region)->witness)
    return fail(Code::kInvalid, "region '" + options.region + "' is a witness and answers nobody: name another");
  for (const auto& region : ctl.config_.regions) {
    if (region.removed && region.name == options.region)
      return fail(Code::kInvalid, options.cluster_file + ": region '" + options.region +
                                      "' was removed: leave --region out, or name another");
    if (region.removed || region.witness) continue;
    if (options.region.empty() || region.name == options.region) ctl.regions_.push_back(&region);
  }
  return ctl;
}

Result<net::HttpResponse> Ctl::call_target(net::HttpTarget target, const std::string& method, const std::string& path,
                                           const std::string& body, const std::string& key) {
  net::HttpCall call;
  call.target = std::move(target);
  call.method = method;
  call.path = path;
  call.body = body;
  call.headers.set("Authorization", "Bearer " + token_);
  if (!key.empty()) call.headers.set("Idempotency-Key", key);
  if (!body.empty()) call.headers.set("Content-Type", "application/json");
  std::promise<Result<net::HttpResponse>> answered;
  spawn(client_->fetch(*executor_, call), [&](Result<net::HttpResponse> r) { answered.set_value(std::move(r)); });
  return answered.get_future().get();
}

Result<net::HttpResponse> Ctl::call(const std::string& method, const std::string& path, const std::string& body) {
  const bool keyed = method == "POST" || path.starts_with("/v1/regions/");
  const std::string key = keyed ? to_hex(os::secure_random().bytes(16)) : "";
  Result<net::HttpResponse> last = fail(Code::kUnavailable, "the cluster file names no edge"), refused = last;
  for (const auto* region : regions_) {
    const auto& edge = region->edges.front();
    last = call_target({edge.address, edge.https_port, true, edge.address}, method, path, body, key);
    if (last && last->status != 503 && last->status != 504) return last;
    if (last) refused = last;
    if (!last)
      std::fprintf(stderr, "evercert: %s: %s; asking the next region\n", region->name.c_str(),
                   last.error().message.c_str());
  }
  // What a region says is more than that others say nothing.
  return refused ? std::move(refused) : std::move(last);
}

int complain(const net::HttpResponse& response) {
  const auto document = json::parse(response.body, nullptr, false);
  const std::string detail = document.is_object() ? document.value("detail", "") : response.body;
  std::fprintf(stderr, "evercert: %d: %s\n", response.status, detail.c_str());
  return response.status == 400 || response.status == 404 || response.status == 409 ? 2 : 1;
}

bool told_queued(const json& document) {
  if (!document.contains("queued_at")) return false;
  std::cout << "not done yet: queued as " << document.value("id", "") << " until " << document.value("expires_at", "")
            << " (" << document.value("why", "") << "); ask by: evercert ctl queue show " << document.value("id", "")
            << "\n";
  return true;
}

int show(const CtlOptions& options, Result<net::HttpResponse> response, const std::function<void(const json&)>& human) {
  if (!response) return report(response.error());
  if (response->status >= 400) return complain(*response);
  const auto document = json::parse(response->body, nullptr, false);
  if (options.as_json || document.is_discarded()) {
    std::cout << response->body << "\n";
  } else {
    if (response->headers.find("Evercert-Stale")) std::cout << "(may be stale: this region holds no lease)\n";
    human(document);
  }
  return 0;
}

}  // namespace evercert::apps
