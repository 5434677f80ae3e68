// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/admin.h"

#include <charconv>

namespace evercert::traffic {
namespace {

using net::HttpResponse;

// The value of the query's one parameter.
Result<std::string> only_parameter(const std::string& query, std::string_view name) {
  const std::string begin = std::string(name) + "=";
  if (!query.starts_with(begin) || query.size() == begin.size() || query.find('&') != std::string::npos)
    return fail(Code::kInvalid, "say ?" + begin + "... and nothing else");
  return query.substr(begin.size());
}

HttpResponse done(const std::string& what) {
  HttpResponse response;
  response.headers.set("Content-Type", "text/plain");
  response.body = what + "\n";
  return response;
}

HttpResponse set_canary(const net::HttpRequest& request, Releases& releases) {
  const auto text = only_parameter(request.query, "percent");
  if (!text) return net::problem(text.error());
  double percent = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), percent);
  if (error != std::errc() || end != text->data() + text->size())
    return net::problem(Error{Code::kInvalid, "'" + *text + "' is no number of percent"});
  if (const auto begun = releases.begin(percent); !begun) return net::problem(begun.error());
  return done("the new release gets " + *text + " percent");
}

HttpResponse set_draining(const net::HttpRequest& request, Backends& backends, bool draining) {
  const auto name = only_parameter(request.query, "endpoint");
  if (!name) return net::problem(name.error());
  std::string all;
  for (std::size_t at = 0; at < backends.size(); ++at) {
    if (backends[at].name == *name) {
      backends.set_draining(at, Backends::Drained::kByOperator, draining);
      return done(*name + (draining ? " drains" : " gets requests again"));
    }
    all += (all.empty() ? "" : ", ") + backends[at].name;
  }
  return net::problem(Error{Code::kNotFound, "there is no endpoint '" + *name + "' (there are " + all + ")"});
}

HttpResponse order_certificate_now(OwnCertificate* certificate) {
  if (certificate == nullptr)
    return net::problem(Error{Code::kNotFound,
                              "this edge has no certificate of its own: 'acme' in the section 'edge' of "
                              "the cluster file gives it one"});
  certificate->renew();
  return done("a new certificate is ordered: /edge/status says what becomes of it");
}

}  // namespace

std::optional<HttpResponse> admin_change(const net::HttpRequest& request, Backends& backends, Releases& releases,
                                         OwnCertificate* certificate) {
  const bool canary = request.path == "/edge/canary", drain = request.path == "/edge/drain";
  const bool renew = request.path == "/edge/renew";
  if (!canary && !drain && !renew && request.path != "/edge/undrain") return std::nullopt;
  if (request.method != "POST") {
    HttpResponse refused = net::problem(405, "Method Not Allowed", "changes are made by POST");
    refused.headers.set("Allow", "POST");
    return refused;
  }
  if (renew) return order_certificate_now(certificate);
  return canary ? set_canary(request, releases) : set_draining(request, backends, drain);
}

}  // namespace evercert::traffic
