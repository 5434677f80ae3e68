// SPDX-License-Identifier: Apache-2.0
#include "bench/tools.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "keys/software_signer.h"

namespace evercert::bench {
namespace {

using nlohmann::json;

// Bodies in turn; the summary as one line of JSON, latencies in ms.
constexpr const char* kWrkScript = R"lua(
local bodies, token, expected, n, failed = {}, "", 200, 0, 0
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init(args)
  expected = tonumber(args[1])
  token = args[2] or ""
  if args[3] then for line in io.lines(args[3]) do bodies[#bodies + 1] = line end end
  if token ~= "" and token ~= "-" then wrk.headers["Authorization"] = "Bearer " .. token end
  if #bodies > 0 then wrk.headers["Content-Type"] = "application/json" end
  wrong = 0
end
function request()
  if #bodies == 0 then return wrk.format("GET") end
  n = n + 1
  return wrk.format("POST", nil, nil, bodies[(n - 1) % #bodies + 1])
end
function response(status) if status ~= expected then wrong = wrong + 1 end end
function done(summary, latency)
  local bad = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  for _, thread in ipairs(threads) do bad = bad + thread:get("wrong") end
  io.write(string.format('\nRESULT {"per_second": %f, "p50_ms": %f, "p99_ms": %f, "requests": %d, "failed": %d}\n',
    (summary.requests - bad) / summary.duration * 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    summary.requests, bad))
end
)lua";

}  // namespace

json to_json(const Rate& rate) {
  return {{"per_second", rate.per_second},
          {"p50_ms", rate.p50_ms},
          {"p99_ms", rate.p99_ms},
          {"requests", rate.requests},
          {"failed", rate.failed}};
}

std::string find_program(const std::string& name, const std::string& folder) {
  for (const std::string& place :
       {folder, std::string("/usr/local/bin"), std::string("/usr/bin"), std::string("/usr/sbin")}) {
    const std::string path = place + "/" + name;
    if (!place.empty() && ::access(path.c_str(), X_OK) == 0) return path;
  }
  return {};
}

Result<std::string> run_tool(const std::vector<std::string>& command, const std::string& log, Duration patience) {
  ::unlink(log.c_str());
  EC_ASSIGN(auto process, demo::Process::start_program(command, log, {}, 0));
  const auto status = process.wait(patience);
  EC_ASSIGN(const auto output, read_file(os::disk(), log));
  if (!status || *status != 0)
    return fail(Code::kUnavailable, command[0] + (status ? " failed: " : " takes too long: ") + output.substr(0, 500));
  return output;
}

Status wait_for_port(const std::string& address, int port, Duration patience) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  for (std::int64_t waited = 0; waited < patience.count(); waited += 50'000) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool connected = ::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
    ::close(socket);
    if (connected) return {};
    usleep(50'000);
  }
  return fail(Code::kUnavailable, "nothing listens on " + address + ":" + std::to_string(port));
}

Result<Rate> run_wrk(const HttpLoad& load, const std::string& dir) {
  const std::string wrk = find_program("wrk");
  if (wrk.empty()) return fail(Code::kUnavailable, "wrk is not installed: bench/run.sh installs it");
  const std::string script = dir + "/load.lua";
  std::ofstream(script) << kWrkScript;
  std::vector<std::string> command{wrk,
                                   "-t1",
                                   "-c" + std::to_string(load.connections),
                                   "-d" + std::to_string(load.seconds) + "s",
                                   "-s" + script,
                                   load.url,
                                   "--",
                                   std::to_string(load.expected),
                                   load.token.empty() ? "-" : load.token};
  if (!load.bodies.empty()) command.push_back(load.bodies);
  const OnCore client(kClientCore);
  EC_ASSIGN(const auto output, run_tool(command, dir + "/wrk.log", (load.seconds + 30) * 1s));
  const auto at = output.find("RESULT ");
  const auto document = at == std::string::npos ? json() : json::parse(output.substr(at + 7), nullptr, false);
  if (!document.is_object()) return fail(Code::kInternal, "wrk gave no result: " + output.substr(0, 300));
  return Rate{document.value("per_second", 0.0), document.value("p50_ms", 0.0), document.value("p99_ms", 0.0),
              document.value("requests", std::uint64_t{0}), document.value("failed", std::uint64_t{0})};
}

Status write_bodies(const std::string& file, bool cfssl) {
  std::ofstream out(file);
  for (int i = 0; i < 64; ++i) {
    const std::string name = "host" + std::to_string(i) + ".load.test";
    EC_ASSIGN(const auto key, keys::generate_key_pem(pki::KeyKind::kP256));
    EC_ASSIGN(const auto csr, keys::make_csr_pem(key, {{pki::NameKind::kDns, name}}));
    json body{{"csr", csr}, {"profile", "server"}};
    if (cfssl) body = {{"certificate_request", csr}, {"hosts", {name}}};
    out << body.dump() << "\n";
  }
  if (!out) return fail(Code::kIo, file + ": cannot be written");
  return {};
}

double resident_mb(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

double cpu_seconds(pid_t pid) {
  clockid_t clock{};
  timespec used{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) return 0;
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

void pause_for(Duration time) { usleep(static_cast<useconds_t>(time.count())); }

}  // namespace evercert::bench
