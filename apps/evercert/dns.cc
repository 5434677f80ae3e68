// SPDX-License-Identifier: Apache-2.0
// dns: the authoritative server of the zone that leads clients to regions.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/log.h"
#include "base/os/system.h"
#include "commands.h"
#include "traffic/dns/settings.h"

namespace evercert::apps {
namespace {

using traffic::dns::Server;
using traffic::dns::Words;

struct DnsCommand {
  Words words;
  bool print_ds = false, die_with_parent = false;
};

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

int print_ds(const traffic::dns::ServerOptions& options) {
  if (!options.signer) return report({Code::kInvalid, "--print-ds needs the zone's key: add --dnssec-key FILE"});
  char* key = ldns_rr2str(options.signer->dnskey());
  std::printf("; for the parent of %s\n%s; the zone's key\n%s", options.zone.name.c_str(),
              options.signer->ds_text().c_str(), key);
  free(key);
  return 0;
}

int run(const DnsCommand& command) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  auto options = traffic::dns::server_options(command.words, os::wall_clock().now());
  if (!options) return report(options.error());
  if (command.print_ds) return print_ds(*options);
  const std::string zone = options->zone.name;
  std::string regions;
  for (const auto& region : options->regions) regions += (regions.empty() ? "" : ", ") + region.name;
  auto server = Server::start(std::move(*options), os::monotonic_clock(), os::wall_clock(), os::secure_random());
  if (!server) return report(server.error());
  for (const auto& address : (*server)->listening())
    log_info("dns: serving zone=" + zone + " at " + to_string(address) + " regions: " + regions);
  log_info("dns: status at port " + std::to_string((*server)->status_port()));
  if (const auto port = (*server)->powerdns_port()) log_info("dns: PowerDNS asks at port " + std::to_string(*port));
  int signal = 0;
  sigwait(&set, &signal);
  log_info("dns: ending");
  return 0;
}

}  // namespace

void register_dns(CLI::App& app, int& exit_code) {
  auto* dns = app.add_subcommand(
      "dns",
      "Serve the zone that leads clients to the nearest healthy region (docs/dns.md)\nExample: evercert dns --cluster "
      "cluster.yaml --load-balancer global_load_balancer.yaml --listen 192.0.2.53:53\nThen: dig @192.0.2.53 "
      "api.certmanager.com");
  auto command = std::make_shared<DnsCommand>();
  Words& words = command->words;
  words.nsid = host_name();
  dns->add_option("--cluster", words.cluster_file,
                  "Cluster file: the regions' edges, and the root they prove themselves by")
      ->required();
  dns->add_option("--load-balancer", words.load_balancer_file,
                  "File with the document global_load_balancer (default: the cluster file's own)");
  dns->add_option("--zone", words.zone, "The zone (default: what the endpoints' names have in common)");
  dns->add_option("--listen", words.listen, "ADDRESS:PORT, UDP and TCP; may be repeated")->capture_default_str();
  dns->add_option("--status", words.status, "ADDRESS:PORT of the status page and /metrics")->capture_default_str();
  dns->add_option(
      "--powerdns", words.powerdns,
      "ADDRESS:PORT where PowerDNS asks for the zone (its remote backend by HTTP); keep it to this machine");
  dns->add_option("--geo", words.geo_file, "MaxMind DB file: where clients are");
  dns->add_option("--geo-table", words.table_file, "Instead: a file with lines 'PREFIX REGION' or 'PREFIX LAT,LON'");
  dns->add_option("--coordinates", words.coordinates, "REGION=LAT,LON of a region whose name does not say it");
  dns->add_option("--address", words.addresses,
                  "REGION/EDGE=ADDRESS[,ADDRESS]: what the world reaches an edge by, where it is not what the cluster "
                  "file says");
  dns->add_option("--name-server", words.name_servers,
                  "NAME[=ADDRESS[,ADDRESS]] of the zone (default: ns1 in it, at the addresses of --listen)");
  dns->add_option("--contact", words.contact, "Mailbox in the SOA, with '.' for '@' (default: hostmaster in the zone)");
  dns->add_option("--records", words.records_file, "Master file with further records of the zone (TXT, CAA, MX, ...)");
  dns->add_option("--ttl", words.ttl, "Seconds that answers which may change are kept by resolvers")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  dns->add_option("--answers", words.answers, "Regions in an answer: the best, and those next to it")
      ->check(CLI::Range(1, static_cast<int>(traffic::dns::Choice::kMost)))
      ->capture_default_str();
  dns->add_option("--threads", words.threads, "Threads of UDP for each address")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  dns->add_option("--nsid", words.nsid, "What this server calls itself when asked (default: the host's name)");
  dns->add_option("--rate-limit", words.rate_limit,
                  "Answers a second to a network, and others in proportion; 0: no limits")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  dns->add_option("--dnssec-key", words.key_file, "Private key (P-256, PEM) that the zone is signed with");
  dns->add_flag("--print-ds", command->print_ds, "Print the DS record for the parent zone, and end");
  dns->add_flag("--die-with-parent", command->die_with_parent, "End when the starting process ends");
  dns->callback([command, &exit_code] {
    if (command->die_with_parent) prctl(PR_SET_PDEATHSIG, SIGKILL);
    exit_code = run(*command);
  });
}

}  // namespace evercert::apps
