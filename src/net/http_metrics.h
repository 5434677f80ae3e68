// SPDX-License-Identifier: Apache-2.0
// What a server counts, for Prometheus. For .cc files of net only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/http_worker.h"

namespace evercert::net {

std::string http_metrics(const HttpShared& shared, const std::vector<std::shared_ptr<ServerTls>>& tls);

}  // namespace evercert::net
