// SPDX-License-Identifier: Apache-2.0
// node and edge: the processes of a cluster.
#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>

#include "base/log.h"
#include "base/os/system.h"
#include "commands.h"
#include "config/paths.h"
#include "node/node_process.h"
#include "traffic/edge/edge.h"

namespace evercert::apps {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  return set;
}

// Blocks until a stop signal, or until `broken` says so; SIGHUP calls `reload`. Signals must have been blocked before
// threads were made.
template <class Broken, class Reload>
bool wait_for_stop(Broken broken, Reload reload) {
  const sigset_t set = stop_signals();
  for (;;) {
    const timespec pause{0, 100'000'000};
    const int signal = sigtimedwait(&set, nullptr, &pause);
    if (signal == SIGHUP) {
      reload();
    } else if (signal > 0) {
      return true;
    }
    if (broken()) return false;
  }
}

int run_node(const node::NodeOptions& options) {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  os::run_in_batches();
  auto started = node::NodeProcess::start(options);
  if (!started) return report(started.error());
  log_info("node: serving region=" + options.region + " zone=" + std::to_string(options.zone));
  const bool asked = wait_for_stop([&] { return (*started)->fatal().has_value(); }, [] {});
  if (!asked) {
    // The disk or the state cannot be trusted: out at once, without a word more to anybody.
    std::fprintf(stderr, "evercert: %s\n", (*started)->fatal()->message.c_str());
    std::fflush(stderr);
    _exit(3);
  }
  log_info("node: draining");
  (*started)->drain(5s);
  return 0;
}

struct EdgeArguments {
  std::string cluster_file, region, access_log, handover;
  int number = 1;
  std::string admin;  // ADDRESS:PORT; empty: none
};

// A plain listener on which anybody who reaches it may change things.
Status set_admin(const std::string& text, traffic::EdgeOptions& options) {
  if (text.empty()) return {};
  const auto colon = text.rfind(':');
  const std::string address = colon == std::string::npos ? "" : text.substr(0, colon);
  int port = -1;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + (address.empty() ? 0 : colon + 1), end, port);
  if (address.empty() || error != std::errc() || rest != end || port < 0 || port > 65535)
    return fail(Code::kInvalid, "--admin " + text + ": say ADDRESS:PORT, e.g. 127.0.0.1:9901 (port 0: any free one)");
  if (!address.starts_with("127.") && address != "::1")
    return fail(Code::kInvalid, "--admin " + text +
                                    ": it knows no password: use a loopback address, and reach it by "
                                    "ssh from elsewhere");
  options.admin_address = address;
  options.admin_port = static_cast<std::uint16_t>(port);
  return {};
}

void set_policies(const config::EdgeSettings& settings, traffic::EdgeOptions& options) {
  options.threads = settings.threads;
  options.busy_poll = Duration{settings.busy_poll_us};
  auto& gradient = options.policies.gradient;
  gradient.initial = settings.in_flight_initial;
  gradient.after_loss = std::max(gradient.least, gradient.initial / 2);
  gradient.slack = Duration{static_cast<std::int64_t>(settings.slack_ms * 1000)};
  options.door.most = static_cast<std::size_t>(settings.most_waiting);
  const auto rate = [](const config::EdgeSettings::Rate& of) { return traffic::Rate{of.per_second, of.burst}; };
  options.guests.rates.client = rate(settings.client);
  options.guests.rates.prefix = rate(settings.prefix);
  options.guests.rates.account = rate(settings.account);
  options.guests.limit_loopback = settings.limit_loopback;
  options.canary_percent = settings.canary_percent;
  options.sticky = settings.sticky == "off"   ? traffic::Sticky::kOff
                   : settings.sticky == "all" ? traffic::Sticky::kAll
                                              : traffic::Sticky::kAcme;
}

// Addresses as certificates have them (RFC 5952).
pki::Name name_of(const std::string& text) {
  unsigned char bytes[16];
  char out[INET6_ADDRSTRLEN];
  for (const int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, text.c_str(), bytes) == 1)
      return {pki::NameKind::kIp, inet_ntop(family, bytes, out, sizeof out)};
  }
  return {pki::NameKind::kDns, text};
}

void set_certificate(const config::ClusterConfig& config, const config::RegionConfig& region, int number,
                     traffic::EdgeOptions& options) {
  const config::EdgeSettings::Acme& acme = config.edge.acme;
  if (acme.names.empty()) return;
  const config::Paths paths(config.dir);
  traffic::EdgeCertificate certificate;
  traffic::OwnCertificateOptions& own = certificate.own;
  own.file = paths.edge_acme_certificate(region.name, number);
  own.account_key = paths.edge_account(region.name);
  own.directory = acme.directory;
  own.contacts = acme.contacts;
  own.by_http = acme.challenge == "http-01";
  own.key = acme.key == "p384" ? pki::KeyKind::kP384 : acme.key == "rsa2048" ? pki::KeyKind::kRsa : pki::KeyKind::kP256;
  for (const auto& name : acme.names) {
    own.names.push_back(name_of(config::edge_name(name, region.name, number)));
    for (const auto& other : config.regions) {
      for (std::size_t n = 1; n <= other.edges.size(); ++n)
        own.hosts.push_back(config::edge_name(name, other.name, static_cast<int>(n)));
    }
  }
  std::sort(own.names.begin(), own.names.end());
  own.names.erase(std::unique(own.names.begin(), own.names.end()), own.names.end());
  const bool relative = !acme.trust.empty() && !acme.trust.starts_with('/');
  certificate.directory_trust = acme.trust.empty() ? "/etc/ssl/certs/ca-certificates.crt"
                                : relative         ? config.dir + "/" + acme.trust
                                                   : acme.trust;
  certificate.resolver = config.resolver;
  for (const auto& other : config.regions) {
    if (other.removed) continue;
    for (std::size_t n = 1; n <= other.edges.size(); ++n) {
      const auto& edge = other.edges[n - 1];
      if (other.id != region.id || static_cast<int>(n) != number)
        certificate.edges.push_back({edge.address, edge.https_port, true, edge.address});
    }
  }
  options.certificate = std::move(certificate);
}

Result<traffic::EdgeOptions> edge_options(const EdgeArguments& arguments) {
  EC_ASSIGN(const auto config, config::load_cluster(arguments.cluster_file));
  EC_ASSIGN(const auto* region, config::named_region(config, arguments.region));
  if (region->witness) return fail(Code::kInvalid, "region '" + arguments.region + "' is a witness: it has no edge");
  if (region->edges.empty())
    return fail(Code::kInvalid, arguments.cluster_file + ": region '" + arguments.region +
                                    "' was removed: its edges are not to run any more");
  if (arguments.number < 1 || arguments.number > static_cast<int>(region->edges.size())) {
    return fail(Code::kInvalid, arguments.cluster_file + ": region '" + arguments.region + "' has no edge " +
                                    std::to_string(arguments.number));
  }
  const auto& edge = region->edges[static_cast<std::size_t>(arguments.number - 1)];
  const config::Paths paths(config.dir);
  const std::string base = paths.edge(region->name, arguments.number);
  traffic::EdgeOptions options;
  options.region_name = region->name;
  options.cluster = config.name;
  options.region = region->id;
  options.address = edge.address;
  options.https_port = edge.https_port;
  options.http_port = edge.http_port;
  options.tls = {base + ".pem", base + ".key", paths.root_certificate()};
  options.front = {paths.ticket_secret(region->name), arguments.access_log, arguments.handover, edge.proxies,
                   static_cast<std::size_t>(edge.connections_per_client)};
  options.front.largest_body = static_cast<std::uint64_t>(config.edge.largest_body_mb * (1 << 20));
  options.canary_file = paths.edge_canary(region->name, arguments.number);
  const auto& canaries = config.edge.canary_zones;
  for (const auto& node : region->nodes) {
    const bool canary = std::find(canaries.begin(), canaries.end(), node.zone) != canaries.end();
    options.nodes.push_back({{node.address, node.link_port, true, node.address},
                             region->id,
                             canary,
                             region->name + "/" + std::to_string(node.zone)});
  }
  set_policies(config.edge, options);
  set_certificate(config, *region, arguments.number, options);
  EC_TRY(set_admin(arguments.admin, options));
  for (const auto& other : config.regions) {
    if (other.id == region->id || other.removed) continue;
    for (const auto& e : other.edges)
      options.other_edges.push_back({{e.address, e.https_port, true, e.address}, other.id, false, other.name});
  }
  if (config.load_balancer) {
    options.check_interval = std::chrono::seconds(config.load_balancer->check_interval_seconds);
    options.check_timeout = std::chrono::seconds(config.load_balancer->check_timeout_seconds);
    options.policies.health = {config.load_balancer->unhealthy_threshold, config.load_balancer->healthy_threshold};
  }
  if (config.emulated_wan) {
    for (const auto& link : config.links) {
      const RegionId a = config.region(link.a)->id, b = config.region(link.b)->id;
      options.delays.links[{std::min(a, b), std::max(a, b)}] = {link.p50_ms, link.p90_ms};
    }
  }
  return options;
}

int run_edge(const EdgeArguments& arguments) {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  os::run_in_batches();
  auto options = edge_options(arguments);
  if (!options) return report(options.error());
  auto edge = traffic::Edge::start(std::move(*options), os::monotonic_clock(), os::secure_random());
  if (!edge) return report(edge.error());
  log_info("edge: serving region=" + arguments.region);
  const bool asked = wait_for_stop([&] { return (*edge)->handed_over(); }, [&] { (*edge)->reload(); });
  log_info(asked ? "edge: draining" : "edge: another process has taken over: draining");
  (*edge)->drain(10s);
  return 0;
}

}  // namespace

void register_serve(CLI::App& app, int& exit_code) {
  auto* node = app.add_subcommand("node",
                                  "Run one node\nExample: evercert node --cluster cluster.yaml --region us-east-1 "
                                  "--zone 1 --data /var/lib/evercert");
  auto node_options = std::make_shared<node::NodeOptions>();
  auto die_with_parent = std::make_shared<bool>(false);
  node->add_option("--cluster", node_options->cluster_file, "Cluster file")->required();
  node->add_option("--region", node_options->region, "Region of this node")->required();
  node->add_option("--zone", node_options->zone, "Zone of this node");
  node->add_option("--data", node_options->data_dir, "Folder for log and state")->required();
  node->add_flag(
      "--doubt-state", node_options->doubt_state,
      "Its state is held for wrong: it votes, leads nothing while others can, and gives its state to nobody");
  node->add_flag("--die-with-parent", *die_with_parent, "End when the starting process ends");
  node->callback([node_options, die_with_parent, &exit_code] {
    if (*die_with_parent) prctl(PR_SET_PDEATHSIG, SIGKILL);
    exit_code = run_node(*node_options);
  });
  auto* edge =
      app.add_subcommand("edge", "Run one edge\nExample: evercert edge --cluster cluster.yaml --region us-east-1");
  auto arguments = std::make_shared<EdgeArguments>();
  auto edge_dies = std::make_shared<bool>(false);
  edge->add_option("--cluster", arguments->cluster_file, "Cluster file")->required();
  edge->add_option("--region", arguments->region, "Region of this edge")->required();
  edge->add_option("--number", arguments->number, "Which edge of the region, from 1");
  edge->add_option("--access-log", arguments->access_log,
                   "A line of JSON for each request, to this file; '-': to standard output. SIGHUP opens it anew");
  edge->add_option(
      "--handover", arguments->handover,
      "A Unix socket: an edge that is started with it takes over from the one that runs with it, without a "
      "connection refused");
  edge->add_option("--admin", arguments->admin,
                   "ADDRESS:PORT (loopback) of the status page and of changes at run time: docs/edge.md");
  edge->add_flag("--die-with-parent", *edge_dies, "End when the starting process ends");
  edge->callback([arguments, edge_dies, &exit_code] {
    if (*edge_dies) prctl(PR_SET_PDEATHSIG, SIGKILL);
    exit_code = run_edge(*arguments);
  });
}

}  // namespace evercert::apps
