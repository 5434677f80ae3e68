// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/ocsp_desk.h"

#include <algorithm>

#include "base/encoding.h"
#include "net/ocsp_news.h"
#include "pki/ocsp.h"

namespace evercert::traffic {
namespace {

constexpr Duration kCheckTimeout = 1s;
constexpr std::int64_t kMostMaxAge = 60;  // as a node lets caches keep an answer
constexpr std::string_view kPath = "/ocsp";

}  // namespace

bool OcspDesk::is_ocsp(const net::HttpRequest& request) {
  if (!request.path.starts_with(kPath)) return false;
  const bool get = request.method == "GET";
  const bool deeper = request.path.size() > kPath.size() && request.path[kPath.size()] == '/';
  return get ? deeper : request.method == "POST" && (deeper || request.path.size() == kPath.size());
}

std::shared_ptr<OcspCopy> OcspDesk::find(const net::HttpRequest& request) {
  const Instant now = clock_.now();
  const auto key = key_of(request);
  if (auto copy = copies_.find(key, now)) return copy;
  if (copies_.size() == 0) return nullptr;
  // The same question may have been written in another way.
  std::string der;
  if (request.method == "GET") {
    auto decoded = pki::decode_ocsp_path(std::string_view(request.path).substr(kPath.size() + 1));
    if (!decoded) return nullptr;
    der = std::move(*decoded);
  }
  const auto asked = pki::parse_ocsp_request(request.method == "GET" ? der : request.body);
  if (!asked || asked->ids.size() != 1 || asked->nonce) return nullptr;
  return copies_.find_id(key, asked->ids.front().der, now);
}

// Suspends until the check that the waiter has joined is over.
struct OcspDesk::Joining {
  OcspDesk& desk;
  Waiter& waiter;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    waiter.resume = h;
    if (desk.copies_.join(waiter)) desk.check_soon();
  }
  void await_resume() const noexcept {}
};

Task<std::optional<net::HttpResponse>> OcspDesk::answer(const net::HttpRequest& request) {
  Waiter waiter;
  waiter.copy = find(request);
  if (waiter.copy != nullptr) {
    Joining joining{*this, waiter};
    co_await joining;
  }
  if (!waiter.confirmed) {
    ++counts_.passed_on;
    co_return std::nullopt;
  }
  ++counts_.from_copies;
  co_return respond(*waiter.copy, request.method == "GET");
}

net::HttpResponse OcspDesk::respond(OcspCopy& copy, bool get) {
  OcspCopy::Prepared& kept = get ? copy.get : copy.post;
  const auto left = std::chrono::duration_cast<std::chrono::seconds>(copy.expires - clock_.now()).count();
  const std::int64_t max_age = get ? std::clamp<std::int64_t>(left, 0, kMostMaxAge) : 0;
  if (kept.max_age != max_age) {
    net::HttpResponse whole;
    whole.headers.add("Content-Type", "application/ocsp-response");
    whole.headers.add("Cache-Control",
                      get ? "max-age=" + std::to_string(max_age) + ", public, no-transform, must-revalidate"
                          : std::string("no-store"));
    whole.headers.add("Evercert-Region", region_name_);
    whole.shared_body = copy.der;
    kept.bytes = net::prepare(whole);
    kept.max_age = max_age;
  }
  net::HttpResponse response;
  response.prepared = kept.bytes;
  return response;
}

std::optional<std::size_t> OcspDesk::node() {
  if (!node_ || !backends_.healthy(*node_)) {
    if (const auto other = backends_.healthy_node()) node_ = other;
  }
  return node_;
}

// When this turn of the loop is over: all requests that it brings share the check.
void OcspDesk::check_soon() {
  executor_.post([this] { checks_.spawn(check()); });
}

Task<void> OcspDesk::check() {
  ++counts_.checks;
  net::LinkCall question;
  question.method.clear();
  question.target = net::kOcspNews;
  question.body = copies_.leave().SerializeAsString();
  net::v1::OcspNews news;
  bool told = false;
  const auto asked = node();
  if (asked && backends_.healthy(*asked)) {
    const auto answer = co_await link_.call(executor_, backends_[*asked].link, question, kCheckTimeout);
    told = answer && answer->status == 200 && news.ParseFromString(answer->body);
    if (!answer) backends_.unreachable(*asked);
  }
  for (OcspWaiter* settled : copies_.ended(told ? &news : nullptr, clock_.now()))
    static_cast<Waiter*>(settled)->resume.resume();
  if (copies_.wanted()) check_soon();
}

void OcspDesk::fetched(std::string_view key, net::HttpResponse& response) {
  const auto text = response.headers.find(net::kOcspStamp);
  if (!text) return;
  net::v1::OcspStamp stamp;
  const auto bytes = from_base64url(*text);
  const bool sound = response.status == 200 && !response.source && bytes && stamp.ParseFromString(*bytes);
  response.headers.remove(net::kOcspStamp);
  if (!sound) return;
  if (!response.shared_body) response.shared_body = std::make_shared<const std::string>(std::move(response.body));
  copies_.fetched(key, stamp, response.shared_body, clock_.now());
}

}  // namespace evercert::traffic
