// SPDX-License-Identifier: Apache-2.0
// The certificate authorities of others, one server each, on the server core while they live.
#pragma once

#include <optional>

#include "bench/tools.h"

namespace evercert::bench {

struct Peer {
  demo::Process process;
  std::string sign_url, acme_directory;
  std::string bodies;           // of sign requests
  bool bodies_used_up = false;  // each may be sent once
};

// nullopt: its program is not there. `dir` must be empty or missing.
Result<std::optional<Peer>> start_step_ca(const std::string& peers, const std::string& dir, int seconds);
Result<std::optional<Peer>> start_cfssl(const std::string& peers, const std::string& dir);
// nginx with one worker, serving `body` at http://127.0.0.1:9080/body.
Result<std::optional<demo::Process>> start_nginx(const std::string& dir, const std::string& body);

}  // namespace evercert::bench
