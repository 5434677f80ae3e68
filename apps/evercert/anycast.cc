// SPDX-License-Identifier: Apache-2.0
// anycast: announces a region's anycast address through BIRD while the region's edge (and name server) is ready.
#include <signal.h>
#include <sys/prctl.h>

#include <CLI/CLI.hpp>

#include "base/log.h"
#include "base/os/system.h"
#include "commands.h"
#include "config/config.h"
#include "config/paths.h"
#include "traffic/anycast/bird.h"
#include "traffic/anycast/site.h"
#include "traffic/dns/address.h"

namespace evercert::apps {
namespace {

using traffic::anycast::Site;
using traffic::anycast::SiteOptions;

struct AnycastCommand {
  std::string cluster_file, region, bird = "/run/bird/bird.ctl", protocol = "evercert_anycast",
                                    status = "127.0.0.1:9155";
  std::vector<std::string> name_servers;
  std::vector<std::size_t> edges;
  double interval = 1, timeout = 1, hold = 30;
  int fall = 2, rise = 3;
  bool die_with_parent = false;
};

Duration seconds(double n) { return Duration{static_cast<std::int64_t>(n * 1e6)}; }

Result<SiteOptions> options_of(const AnycastCommand& command) {
  SiteOptions options;
  if (!traffic::anycast::is_symbol(command.protocol))
    return fail(Code::kInvalid, "--protocol '" + command.protocol + "' is no name of a protocol of BIRD");
  EC_ASSIGN(const auto cluster, config::load_cluster(command.cluster_file));
  EC_ASSIGN(const auto* region, config::named_region(cluster, command.region));
  for (std::size_t e = 1; e <= region->edges.size(); ++e) {
    if (!command.edges.empty() && std::ranges::find(command.edges, e) == command.edges.end()) continue;
    const auto& edge = region->edges[e - 1];
    options.services.push_back(
        {"edge " + command.region + "/" + std::to_string(e), {edge.address, edge.https_port, true, edge.address}});
  }
  for (const std::size_t e : command.edges) {
    if (e == 0 || e > region->edges.size())
      return fail(Code::kInvalid, "--edge " + std::to_string(e) + ": the cluster file gives " + command.region + " " +
                                      std::to_string(region->edges.size()) + " edges");
  }
  for (const std::string& word : command.name_servers) {
    auto address = traffic::dns::parse_socket_address(word);
    if (!address) return fail(address.error(), "--name-server");
    options.services.push_back({"name server " + word, {to_string(address->address), address->port, false, ""}});
  }
  if (options.services.empty())
    return fail(Code::kInvalid, command.region + " has no edge in the cluster file: add one, or use --name-server");
  options.tls.ca_bundle = config::Paths(cluster.dir).root_certificate();
  auto status = traffic::dns::parse_socket_address(command.status);
  if (!status) return fail(status.error(), "--status");
  options.status_address = to_string(status->address);
  options.status_port = status->port;
  options.interval = seconds(command.interval);
  options.timeout = seconds(command.timeout);
  options.rules.fall = command.fall;
  options.rules.rise = command.rise;
  options.rules.hold = seconds(command.hold);
  options.rules.hold_most = std::max(options.rules.hold_most, options.rules.hold);
  options.bird_socket = command.bird;
  options.protocol = command.protocol;
  return options;
}

int run(const AnycastCommand& command) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  auto options = options_of(command);
  if (!options) return report(options.error());
  auto site = Site::start(std::move(*options), os::monotonic_clock());
  if (!site) return report(site.error());
  log_info("anycast: protocol " + command.protocol + " of BIRD follows " + command.region + "; status at port " +
           std::to_string((*site)->status_port()));
  int signal = 0;
  sigwait(&set, &signal);
  return 0;
}

}  // namespace

void register_anycast(CLI::App& app, int& exit_code) {
  auto* anycast = app.add_subcommand(
      "anycast",
      "Announce a region's anycast address through BIRD while it is ready (docs/anycast.md)\nExample: evercert anycast "
      "--cluster cluster.yaml --region us-east-1\nThen: birdc show protocols");
  auto command = std::make_shared<AnycastCommand>();
  anycast->add_option("--cluster", command->cluster_file, "Cluster file: the region's edges, and the root")->required();
  anycast->add_option("--region", command->region, "The region that this machine is in")->required();
  anycast->add_option("--edge", command->edges, "The region's edge that counts, from 1 (default: all of them)");
  anycast->add_option("--name-server", command->name_servers,
                      "ADDRESS:PORT of the status page of an 'evercert dns' here");
  anycast->add_option("--bird", command->bird, "BIRD's control socket")->capture_default_str();
  anycast->add_option("--protocol", command->protocol, "The protocol of BIRD that has the route")
      ->capture_default_str();
  anycast->add_option("--interval", command->interval, "Seconds between checks")
      ->check(CLI::Range(0.05, 60.0))
      ->capture_default_str();
  anycast->add_option("--timeout", command->timeout, "Seconds that a check waits")
      ->check(CLI::Range(0.05, 60.0))
      ->capture_default_str();
  anycast->add_option("--fall", command->fall, "Failed checks until the route is withdrawn")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  anycast->add_option("--rise", command->rise, "Good checks until it is announced")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  anycast
      ->add_option("--hold", command->hold,
                   "Seconds between a withdrawal and the next announcement; longer when it flaps")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  anycast->add_option("--status", command->status, "ADDRESS:PORT of the status page and /metrics")
      ->capture_default_str();
  anycast->add_flag("--die-with-parent", command->die_with_parent, "End when the starting process ends");
  anycast->callback([command, &exit_code] {
    if (command->die_with_parent) prctl(PR_SET_PDEATHSIG, SIGTERM);
    exit_code = run(*command);
  });
}

}  // namespace evercert::apps
