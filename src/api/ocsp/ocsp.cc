// SPDX-License-Identifier: Apache-2.0
#include "api/ocsp/ocsp.h"

#include <algorithm>

namespace evercert::api {

void Ocsp::mount(Router& router) {
  const auto post = [this](net::HttpRequest request, auto) {
    std::string der = std::move(request.body);
    return answer(std::move(request), std::move(der), false);
  };
  router.add("POST", "/ocsp", post);
  router.add("POST", "/ocsp/{region}", post);
  // Everything behind /ocsp/ is the request: base64 may hold slashes.
  router.add("GET", "/ocsp/{request*}", [this](net::HttpRequest request, auto parts) {
    auto der = pki::decode_ocsp_path(parts[0]);
    return answer(std::move(request), der ? std::move(*der) : std::string{}, true);
  });
}

Task<net::HttpResponse> Ocsp::answer(net::HttpRequest request, std::string der, bool get) {
  const auto reply = co_await responder_.answer(*request.executor, std::move(der));
  net::HttpResponse response;
  response.headers.add("Content-Type", "application/ocsp-response");
  response.shared_body = reply.der;
  if (reply.stale) response.headers.add("Evercert-Stale", "true");
  // A cache on the way would go on saying "good" after a revocation: a minute is what we let it.
  const std::int64_t left = reply.next_update - wall_.now().seconds();
  if (get && reply.next_update != 0 && !reply.stale) {
    response.headers.add("Cache-Control", "max-age=" + std::to_string(std::clamp<std::int64_t>(left, 0, 60)) +
                                              ", public, no-transform, must-revalidate");
  } else {
    response.headers.add("Cache-Control", "no-store");
  }
  co_return response;
}

}  // namespace evercert::api
