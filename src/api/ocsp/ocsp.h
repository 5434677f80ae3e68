// SPDX-License-Identifier: Apache-2.0
// OCSP over HTTP (RFC 6960 appendix A): POST and GET; caching headers by RFC 5019.
#pragma once

#include "api/rest/router.h"
#include "ca/ocsp_responder.h"

namespace evercert::api {

class Ocsp {
 public:
  Ocsp(ca::OcspResponder& responder, WallClock& wall) : responder_(responder), wall_(wall) {}
  void mount(Router& router);

 private:
  Task<net::HttpResponse> answer(net::HttpRequest request, std::string der, bool get);
  ca::OcspResponder& responder_;
  WallClock& wall_;
};

}  // namespace evercert::api
