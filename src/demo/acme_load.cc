// SPDX-License-Identifier: Apache-2.0
#include "demo/acme_load.h"

#include <unistd.h>

#include <algorithm>

#include "base/os/system.h"
#include "config/paths.h"
#include "demo/clock.h"
#include "demo/process.h"
#include "pki/certificate.h"
#include "pki/pem.h"

namespace evercert::demo {
namespace {

constexpr Duration kRunPatience = 40s;       // of one run of a client
constexpr Duration kBetweenOrders = 1500ms;  // of one region

std::string find_program(const std::string& name) {
  for (const char* folder : {"/usr/bin/", "/usr/local/bin/"}) {
    if (::access((folder + name).c_str(), X_OK) == 0) return folder + name;
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<AcmeLoad>> AcmeLoad::create(const config::ClusterConfig& config, std::string dir,
                                                   std::uint16_t http01_port, History& history) {
  std::unique_ptr<AcmeLoad> load(new AcmeLoad(config, std::move(dir), history));
  for (const char* name : {"lego", "certbot"}) {
    const std::string program = find_program(name);
    if (!program.empty()) load->clients_.push_back({name, program});
  }
  for (const auto& region : config.regions) {
    EC_ASSIGN(const auto pem, read_file(os::disk(), config::Paths(config.dir).issuer(region.name)));
    EC_ASSIGN(const auto ders, pki::from_pem("CERTIFICATE", pem));
    EC_ASSIGN(const auto facts, pki::read_certificate(ders.front()));
    load->issuer_names_.push_back(facts.subject_name_der);
  }
  const std::string folder = load->webroot() + "/.well-known/acme-challenge";
  EC_TRY(os::disk().make_dirs(folder));
  net::HttpServerOptions options;
  options.listeners.push_back({"127.0.0.1", http01_port, false, {}});
  const auto serve = [folder](net::HttpRequest request) -> Task<net::HttpResponse> {
    const std::string token = request.path.substr(request.path.rfind('/') + 1);
    const auto content = read_file(os::disk(), folder + "/" + token);
    if (!content) co_return net::problem(404, "Not Found", "there is no such challenge");
    net::HttpResponse response;
    response.body = *content;
    co_return response;
  };
  EC_ASSIGN(load->challenges_, net::HttpServer::start(std::move(options), serve));
  return load;
}

void AcmeLoad::start() {
  running_ = true;
  for (std::size_t region = 0; region < config_.regions.size(); ++region)
    threads_.emplace_back([this, region] { run(region); });
}

void AcmeLoad::stop() {
  running_ = false;
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

void AcmeLoad::run(std::size_t region) {
  // Regions begin with different clients, one after another: an order every second or so, of either kind.
  for (int number = 0; running_ && !clients_.empty(); ++number) {
    order(region, clients_[(region + static_cast<std::size_t>(number)) % clients_.size()], number);
    for (const Instant next = now() + kBetweenOrders; running_ && now() < next;) usleep(50'000);
  }
}

void AcmeLoad::order(std::size_t region, const Client& client, int number) {
  Operation operation{Kind::kAcme, static_cast<int>(region), now(), {}, false};
  const std::string name = client.name + std::to_string(number) + "." + config_.regions[region].name + ".test";
  std::string why;
  for (std::size_t turn = 0; turn < config_.regions.size() && !operation.ok; ++turn) {
    const auto file = attempt(client, region, (region + turn) % config_.regions.size(), name);
    if (!file) {
      why = file.error().message;
      continue;
    }
    const auto pem = read_file(os::disk(), *file);
    const auto ders = pem ? pki::from_pem("CERTIFICATE", *pem) : Result<std::vector<std::string>>(fail(Code::kIo, ""));
    const auto facts = ders && !ders->empty() ? pki::read_certificate(ders->front())
                                              : Result<pki::CertificateFacts>(fail(Code::kInvalid, ""));
    // Any region may have finished the order: the certificate itself says whose it is.
    const auto issuer = std::find(issuer_names_.begin(), issuer_names_.end(), facts ? facts->issuer_name_der : "");
    if (issuer == issuer_names_.end()) {
      why = *file + " holds no certificate of this cluster";
      break;
    }
    history_.issued(facts->serial, static_cast<int>(issuer - issuer_names_.begin()));
    operation.ok = true;
    operation.record = facts->serial;
    operation.output = "issued";
  }
  operation.ended = now();
  if (!operation.ok) history_.failure(client.name + " in " + config_.regions[region].name + ": " + why);
  history_.finished(operation);
}

Result<std::string> AcmeLoad::attempt(const Client& client, std::size_t region, std::size_t at,
                                      const std::string& name) {
  const auto& edge = config_.regions[at].edges.front();
  const std::string server = "https://" + edge.address + ":" + std::to_string(edge.https_port) + "/acme/directory";
  // A client's own state for each region it lives in and each directory it uses.
  const std::string home =
      dir_ + "/" + client.name + "-" + config_.regions[region].name + "-" + config_.regions[at].name;
  const std::string root = config::Paths(config_.dir).root_certificate();
  std::vector<std::string> command;
  std::string certificate;
  if (client.name == "lego") {
    command = {client.program, "--server", server,           "--email", "ops@example.test", "--accept-tos", "--path",
               home,           "--http",   "--http.webroot", webroot(), "--domains",        name,           "run"};
    certificate = home + "/certificates/" + name + ".crt";
  } else {
    command = {client.program,
               "certonly",
               "--non-interactive",
               "--agree-tos",
               "--email",
               "ops@example.test",
               "--server",
               server,
               "--config-dir",
               home,
               "--work-dir",
               home,
               "--logs-dir",
               home + "/logs",
               "--webroot",
               "--webroot-path",
               webroot(),
               "--domain",
               name,
               "--cert-name",
               name};
    certificate = home + "/live/" + name + "/cert.pem";
  }
  const std::vector<std::string> environment{"LEGO_CA_CERTIFICATES=" + root, "REQUESTS_CA_BUNDLE=" + root};
  const std::string log = home + ".log";
  EC_ASSIGN(auto process, Process::start_program(std::move(command), log, environment));
  const auto status = process.wait(kRunPatience);
  if (!status) return fail(Code::kExpired, server + ": the client does not come to an end");
  if (*status != 0) return fail(Code::kUnavailable, process.log_tail());
  return certificate;
}

}  // namespace evercert::demo
