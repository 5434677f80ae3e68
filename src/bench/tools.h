// SPDX-License-Identifier: Apache-2.0
// What benchmarks are put together from: a core to run on, load generators, peers, memory.
#pragma once

#include <sched.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "demo/local_cluster.h"
#include "demo/process.h"

namespace evercert::bench {

constexpr int kServerCore = 0, kClientCore = 1;

// Children that are started while it lives run on `core`.
class OnCore {
 public:
  explicit OnCore(int core) {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    sched_setaffinity(0, sizeof one, &one);
  }
  ~OnCore() { sched_setaffinity(0, sizeof before_, &before_); }
  OnCore(const OnCore&) = delete;
  OnCore& operator=(const OnCore&) = delete;

 private:
  cpu_set_t before_;
};

struct Rate {
  double per_second = 0, p50_ms = 0, p99_ms = 0;
  std::uint64_t requests = 0, failed = 0;
};
nlohmann::json to_json(const Rate& rate);

// "" when there is none. Looks into `folder` first, then where programs are.
std::string find_program(const std::string& name, const std::string& folder = {});
Result<std::string> run_tool(const std::vector<std::string>& command, const std::string& log, Duration patience);
Status wait_for_port(const std::string& address, int port, Duration patience);

struct HttpLoad {
  std::string url;
  int connections = 16, seconds = 6;
  std::string bodies;  // a file with one body a line, sent by POST in turn; empty: GET
  std::string token;   // bearer; may be empty
  int expected = 200;  // other statuses are failures
};
// wrk on the client core.
Result<Rate> run_wrk(const HttpLoad& load, const std::string& dir);
// A file with bodies of POST /v1/certificates ("server" profile, one DNS name) or of cfssl's sign request.
Status write_bodies(const std::string& file, bool cfssl);

double resident_mb(pid_t pid);
double cpu_seconds(pid_t pid);  // user's and system's, since it started
void pause_for(Duration time);

}  // namespace evercert::bench
