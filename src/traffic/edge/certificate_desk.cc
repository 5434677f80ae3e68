// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/certificate_desk.h"

#include <openssl/err.h>
#include <openssl/http.h>

#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "base/log.h"
#include "traffic/certificate/alpn_proof.h"

namespace evercert::traffic {
namespace {

constexpr std::size_t kMostAnswerBytes = 256 * 1024;
constexpr Duration kToldWithin = 3s;

void free_text(char* text) { OPENSSL_free(text); }
struct FreeText {
  void operator()(char* text) const { free_text(text); }
};
using Text = std::unique_ptr<char, FreeText>;

struct Place {
  bool tls = false;
  std::string host, authority, target;
  std::uint16_t port = 0;
};

Result<Place> place_of(const std::string& url) {
  int tls = 0, port = 0;
  char *user = nullptr, *host = nullptr, *port_text = nullptr, *path = nullptr, *query = nullptr, *fragment = nullptr;
  const int parsed = OSSL_HTTP_parse_url(url.c_str(), &tls, &user, &host, &port_text, &port, &path, &query, &fragment);
  const Text own[] = {Text(user), Text(host), Text(port_text), Text(path), Text(query), Text(fragment)};
  ERR_clear_error();
  if (parsed != 1 || tls == 0) return fail(Code::kInvalid, "'" + url + "' is no https:// URL");
  Place place{true, host, {}, path, static_cast<std::uint16_t>(port)};
  const std::string written = place.host.find(':') == std::string::npos ? place.host : "[" + place.host + "]";
  place.authority = port == 443 ? written : written + ":" + std::to_string(port);
  if (query != nullptr && *query != '\0') place.target += "?" + std::string(query);
  return place;
}

}  // namespace

CertificateDesk::CertificateDesk(const EdgeOptions& options, Forwarder& forwarder)
    : options_(options), forwarder_(forwarder), thread_(os::ThreadExecutor::start("certificate")) {}

CertificateDesk::~CertificateDesk() { stop(); }

void CertificateDesk::stop() {
  thread_->stop();
  telling_.cancel();
  own_.reset();
}

Result<std::unique_ptr<CertificateDesk>> CertificateDesk::open(const EdgeOptions& options, Forwarder& forwarder,
                                                               MonotonicClock& clock, Random& random,
                                                               std::function<void()> changed) {
  std::unique_ptr<CertificateDesk> desk(new CertificateDesk(options, forwarder));
  OwnCertificateOptions own = options.certificate->own;
  if (own.directory.empty()) {
    // The cluster knows itself by whatever name it is called.
    const pki::Name& name = own.names.front();
    const bool six = name.kind == pki::NameKind::kIp && name.value.find(':') != std::string::npos;
    own.directory = "https://" + (six ? "[" + name.value + "]" : name.value) + "/acme/directory";
  } else {
    EC_TRY(place_of(own.directory));
    EC_ASSIGN(desk->client_,
              net::HttpClient::create({options.address, {{}, {}, options.certificate->directory_trust}, 4, 30s}));
    desk->resolver_ = net::DnsResolver::create(options.certificate->resolver, options.address);
    own.staples = false;
  }
  EC_ASSIGN(desk->edges_, net::HttpClient::create({options.address, options.tls, 1, 5s}));
  CertificateDesk* self = desk.get();
  const auto ask = [self](Executor& on, AcmeRequest request) { return self->ask(on, std::move(request)); };
  const auto ask_ocsp = [self](Executor& on, std::string der) { return self->ask_ocsp(on, std::move(der)); };
  const auto show = [self](Executor& on, std::string name, std::string digest) {
    return self->show(on, std::move(name), std::move(digest));
  };
  EC_ASSIGN(desk->own_,
            OwnCertificate::open(std::move(own), {os::disk(), os::wall_clock(), clock, random, *desk->thread_, ask,
                                                  ask_ocsp, std::move(changed), show}));
  return desk;
}

Task<Result<net::HttpResponse>> CertificateDesk::ask(Executor& on, AcmeRequest request) {
  auto place = place_of(request.url);
  if (!place) co_return fail(place.error());
  if (!client_) co_return co_await ask_myself(on, std::move(request), place->authority, place->target);
  Result<std::vector<std::string>> found = co_await resolver_->lookup(on, place->host, net::DnsType::kA);
  if (!found || found->empty()) found = co_await resolver_->lookup(on, place->host, net::DnsType::kAaaa);
  if (!found) co_return fail(found.error());
  if (found->empty()) co_return fail(Code::kUnavailable, place->host + " has no address");
  net::HttpCall call;
  call.target = {found->front(), place->port, place->tls, place->host, false};
  call.method = std::move(request.method);
  call.path = std::move(place->target);
  call.headers = std::move(request.headers);
  call.headers.set("Host", place->authority);
  call.body = std::move(request.body);
  call.max_response_bytes = kMostAnswerBytes;
  co_return co_await client_->fetch(on, std::move(call));
}

Task<Result<net::HttpResponse>> CertificateDesk::ask_myself(Executor& on, AcmeRequest request, std::string host,
                                                            std::string target) {
  net::HttpRequest mine;
  mine.method = std::move(request.method);
  mine.path = target.substr(0, target.find('?'));
  mine.query = target.size() > mine.path.size() ? target.substr(mine.path.size() + 1) : "";
  mine.target = std::move(target);
  mine.headers = std::move(request.headers);
  mine.headers.set("Host", host);
  mine.body = std::move(request.body);
  mine.peer_address = options_.address;
  mine.tls = true;
  mine.executor = &on;
  auto response = co_await forwarder_.pass_on(std::move(mine), std::nullopt);
  co_return std::move(response);
}

// Here, and at all other edges: the CA comes to whichever DNS leads it to. Who cannot be told is hardly whom it finds.
Task<Status> CertificateDesk::show(Executor& on, std::string name, std::string digest) {
  const auto pem = make_alpn_proof(name, digest, os::wall_clock().now());
  if (!pem) co_return fail(pem.error());
  const Status shown = proofs_->show(name, *pem);
  if (!shown) co_return shown;
  net::HttpCall call;
  call.method = "POST";
  call.path = kProofPath;
  call.headers.set("Content-Type", "application/json");
  call.body = nlohmann::json{{"name", name}, {"digest", to_hex(digest)}}.dump();
  call.timeout = kToldWithin;
  using Answer = Result<net::HttpResponse>;
  std::vector<Started<Answer>> asked;
  asked.reserve(options_.certificate->edges.size());
  for (const auto& edge : options_.certificate->edges) {
    call.target = edge;
    asked.emplace_back(telling_, edges_->fetch(on, call));
  }
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const Answer answer = co_await asked[i];
    if (answer && answer->status < 300) continue;
    log_warning("edge: " + options_.certificate->edges[i].address + " cannot be told what to show for " + name + ": " +
                (answer ? "status " + std::to_string(answer->status) : answer.error().message));
  }
  co_return Status{};
}

net::HttpResponse CertificateDesk::told(const std::string& body) {
  const auto said = nlohmann::json::parse(body, nullptr, false);
  const auto text = [&](const char* key) {
    return said.is_object() && said.contains(key) && said[key].is_string() ? said[key].get<std::string>() : "";
  };
  const std::string name = text("name");
  const auto digest = from_hex(text("digest"));
  if (!digest) return net::problem(digest.error());
  if (!own_->answers_for(name))
    return net::problem(403, "Forbidden", "'" + name + "' is no name of this cluster's edges");
  const auto pem = make_alpn_proof(name, *digest, os::wall_clock().now());
  if (!pem) return net::problem(pem.error());
  if (const Status shown = proofs_->show(name, *pem); !shown) return net::problem(shown.error());
  net::HttpResponse done;
  done.status = 204;
  return done;
}

Task<Result<std::string>> CertificateDesk::ask_ocsp(Executor& on, std::string request_der) {
  AcmeRequest request;
  request.method = "POST";
  request.headers.set("Content-Type", "application/ocsp-request");
  request.body = std::move(request_der);
  const auto response = co_await ask_myself(on, std::move(request), options_.address, "/ocsp");
  if (!response) co_return fail(response.error());
  if (response->status != 200)
    co_return fail(Code::kUnavailable, "the responder answers with status " + std::to_string(response->status));
  co_return response->bytes();
}

}  // namespace evercert::traffic
