// SPDX-License-Identifier: Apache-2.0
// The HTTP server beside nginx: the same bytes, 64 kept connections, server on core 0, wrk on core 1.
//   http_server_bench [BYTES [SECONDS]]
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/os/system.h"
#include "bench/tools.h"
#include "net/http_server.h"

namespace evercert::bench {
namespace {

constexpr int kPlainPort = 9180, kTlsPort = 9181, kNginxPlainPort = 9182, kNginxTlsPort = 9183;
constexpr int kConnections = 64;

struct Material {
  std::string dir;
  std::string certificate() const { return dir + "/cert.pem"; }
  std::string key() const { return dir + "/key.pem"; }
  std::string body() const { return dir + "/www/body"; }
};

Task<net::HttpResponse> answer(net::HttpRequest request, const std::shared_ptr<const std::string>& body,
                               const std::shared_ptr<const std::string>& prepared) {
  net::HttpResponse response;
  if (request.path == "/prepared") {
    response.prepared = prepared;
    co_return response;
  }
  if (request.path == "/later") {
    auto start = [](auto resolve) { resolve(true); };
    auto later = suspend_on<bool>(*request.executor, start);
    co_await later;
  }
  response.headers.add("Content-Type", "application/ocsp-response");
  response.shared_body = body;
  co_return response;
}

Status serve(const Material& material) {
  EC_ASSIGN(auto bytes, read_file(os::disk(), material.body()));
  const auto body = std::make_shared<const std::string>(std::move(bytes));
  net::HttpResponse whole;
  whole.headers.add("Content-Type", "application/ocsp-response");
  whole.shared_body = body;
  const auto prepared = net::prepare(whole);
  net::HttpServerOptions options;
  options.listeners.push_back({"127.0.0.1", kPlainPort, false, {}, net::ClientCertificates::kNone});
  options.listeners.push_back(
      {"127.0.0.1", kTlsPort, true, {material.certificate(), material.key(), ""}, net::ClientCertificates::kNone});
  EC_ASSIGN(const auto server, net::HttpServer::start(options, [&](net::HttpRequest request) {
              return answer(std::move(request), body, prepared);
            }));
  for (;;) ::pause();
}

Status prepare(const Material& material, std::size_t bytes) {
  EC_TRY(os::disk().make_dirs(material.dir + "/www"));
  std::ofstream(material.body(), std::ios::binary) << std::string(bytes, 'x');
  EC_TRY(run_tool(
      {find_program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
       "-subj", "/CN=127.0.0.1", "-days", "30", "-keyout", material.key(), "-out", material.certificate()},
      material.dir + "/openssl.log", 20s));
  std::ofstream(material.dir + "/nginx.conf")
      << "daemon off; master_process off; pid " << material.dir << "/nginx.pid; error_log " << material.dir
      << "/error.log;\nevents { worker_connections 1024; }\nhttp { access_log off; keepalive_requests 100000000; "
         "open_file_cache max=10;\ndefault_type application/ocsp-response; root "
      << material.dir << "/www;\nserver { listen 127.0.0.1:" << kNginxPlainPort
      << "; }\nserver { listen 127.0.0.1:" << kNginxTlsPort << " ssl; ssl_certificate " << material.certificate()
      << "; ssl_certificate_key " << material.key() << "; } }\n";
  return {};
}

double cpu_seconds(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string word;
  double ticks = 0;
  for (int field = 1; in >> word; ++field) {
    if (field == 14 || field == 15) ticks += std::stod(word);  // user, system
  }
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

Result<double> measure(const std::string& what, const std::string& url, int seconds, const std::string& dir,
                       const demo::Process& server) {
  const double before = cpu_seconds(server.pid());
  EC_ASSIGN(const Rate rate, run_wrk({url, kConnections, seconds, "", "", 200}, dir));
  std::printf("%-34s %9.0f/s  p50 %.3f ms  p99 %.3f ms  server %.2f us  failed %llu\n", what.c_str(), rate.per_second,
              rate.p50_ms, rate.p99_ms, (cpu_seconds(server.pid()) - before) / static_cast<double>(rate.requests) * 1e6,
              static_cast<unsigned long long>(rate.failed));
  std::fflush(stdout);
  return rate.per_second;
}

Status run(const std::string& self, std::size_t bytes, int seconds) {
  const Material material{std::filesystem::temp_directory_path() / ("http_server_bench." + std::to_string(::getpid()))};
  EC_TRY(prepare(material, bytes));
  const auto start = [&](std::vector<std::string> command, int port) -> Result<demo::Process> {
    const OnCore server(kServerCore);
    EC_ASSIGN(auto process, demo::Process::start_program(std::move(command), material.dir + "/server.log", {}, 0));
    EC_TRY(wait_for_port("127.0.0.1", port, 5s));
    return process;
  };
  const auto url = [](bool tls, int port, const std::string& path) {
    return (tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port) + path;
  };
  double nginx_plain = 0, nginx_tls = 0;
  if (const std::string program = find_program("nginx"); !program.empty()) {
    EC_ASSIGN(const auto nginx,
              start({program, "-c", material.dir + "/nginx.conf", "-e", material.dir + "/error.log"}, kNginxPlainPort));
    EC_ASSIGN(nginx_plain, measure("nginx, plain", url(false, kNginxPlainPort, "/body"), seconds, material.dir, nginx));
    EC_ASSIGN(nginx_tls, measure("nginx, TLS", url(true, kNginxTlsPort, "/body"), seconds, material.dir, nginx));
  }
  EC_ASSIGN(const auto server, start({self, "serve", material.dir}, kPlainPort));
  for (const bool tls : {false, true}) {
    const double nginx = tls ? nginx_tls : nginx_plain;
    for (const char* path : {"/body", "/prepared", "/later"}) {
      EC_ASSIGN(const double rate, measure("evercert, " + std::string(tls ? "TLS, " : "plain, ") + path,
                                           url(tls, tls ? kTlsPort : kPlainPort, path), seconds, material.dir, server));
      if (nginx > 0) std::printf("%-34s %9.2f\n", "  to nginx", rate / nginx);
    }
  }
  std::printf("resident memory of the server %.1f MB\n", resident_mb(server.pid()));
  std::filesystem::remove_all(material.dir);
  return {};
}

}  // namespace
}  // namespace evercert::bench

int main(int count, char** arguments) {
  using namespace evercert;
  const std::vector<std::string> words(arguments, arguments + count);
  const Status status = count == 3 && words[1] == "serve"
                            ? bench::serve({words[2]})
                            : bench::run(std::filesystem::read_symlink("/proc/self/exe"),
                                         count > 1 ? std::stoul(words[1]) : 762, count > 2 ? std::stoi(words[2]) : 3);
  if (!status) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return status ? 0 : 1;
}
