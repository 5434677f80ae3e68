// SPDX-License-Identifier: Apache-2.0
// What a request says about who asks and what for, before anybody has checked it: the account that a JWS names (RFC
// 8555 section 6.2), and that it replaces a certificate (RFC 9773 section 5; `replaces` of /v1/certificates). Believed
// as far as it does no harm: an account is charged when the answer has shown that the key was its own, and who has said
// "renewal" of what is none is not believed again for a while (guests.h). Pure.
#pragma once

#include <string>

#include "net/http.h"

namespace evercert::traffic {

struct Claims {
  std::string account;   // the last part of the account's URL; empty: none
  bool renewal = false;  // a new order, or a new certificate, for one that there is
};

// Of any bytes. What is damaged claims nothing: the node will say what is wrong with it.
Claims read_claims(const net::HttpRequest& request);

}  // namespace evercert::traffic
