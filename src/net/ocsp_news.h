// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "net/ocsp_news.pb.h"

namespace evercert::net {

// The `target` of an edge's question to a node; OcspCheck and OcspNews are the bodies.
inline constexpr const char* kOcspNews = "ocsp-news";
// In a node's answer to an edge: an OcspStamp, base64url. Never passed on to clients.
inline constexpr const char* kOcspStamp = "Evercert-Ocsp-Stamp";

}  // namespace evercert::net
