// SPDX-License-Identifier: Apache-2.0
// enroll: a further node of a cluster that exists gets its identity.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "ceremony/ceremony.h"
#include "ceremony/identity.h"
#include "commands.h"
#include "config/config.h"
#include "node/signers.h"

namespace evercert::apps {
namespace {

struct EnrollOptions {
  std::string cluster = "evercert-cluster/cluster.yaml", region, address;
  int zone = 0;
};

// Of the cluster file, with the ports that the region's first node has.
std::string node_line(const config::RegionConfig& region, int zone, const std::string& address) {
  const config::NodeConfig& like = region.nodes.front();
  std::string line = "      - {zone: " + std::to_string(zone) + ", address: " + address;
  if (!region.witness)
    line += ", link_port: " + std::to_string(like.link_port) + ", api_port: " + std::to_string(like.api_port);
  return line + ", status_port: " + std::to_string(like.status_port) +
         ", peer_port: " + std::to_string(like.peer_port) + "}\n";
}

int enroll(const EnrollOptions& options) {
  auto cluster = config::load_cluster(options.cluster);
  if (!cluster) return report(cluster.error());
  const auto* region = cluster->region(options.region);
  if (region == nullptr)
    return report(Error{Code::kInvalid, options.cluster + ": there is no region '" + options.region + "'"});
  if (region->removed)
    return report(Error{Code::kInvalid, options.cluster + ": region '" + options.region + "' was removed"});
  auto signer = node::open_signer(ceremony::certifier(*cluster, *region), config::Paths(cluster->dir), "issuing");
  if (!signer) return report(signer.error());
  const bool named = std::any_of(region->nodes.begin(), region->nodes.end(),
                                 [&](const config::NodeConfig& node) { return node.zone == options.zone; });
  const Status done = ceremony::enroll({*cluster, options.region, options.zone, options.address}, *signer,
                                       [](const std::string& line) { std::printf("  %s\n", line.c_str()); });
  if (!done) return report(done.error());
  if (!named) {
    std::printf("\nAdd to the nodes of %s in the cluster file that the new node is started with:\n%s",
                options.region.c_str(), node_line(*region, options.zone, options.address).c_str());
  }
  std::printf(
      "Next:\n  evercert node --cluster %s --region %s --zone %d --data /var/lib/evercert\n"
      "  evercert ctl --cluster %s node add %s/%d\n",
      options.cluster.c_str(), options.region.c_str(), options.zone, options.cluster.c_str(), options.region.c_str(),
      options.zone);
  return 0;
}

struct EnrollRegionOptions {
  std::string cluster = "evercert-cluster/cluster.yaml", region, edge;
  std::vector<std::string> nodes;
  bool witness = false;
};

// A place that votes and keeps no records: it has identities, by another region's key, and nothing else.
int enroll_witness(config::ClusterConfig cluster, const EnrollRegionOptions& options) {
  if (cluster.region(options.region) != nullptr)
    return report(Error{Code::kConflict, options.cluster + ": region '" + options.region + "' is there already"});
  if (options.nodes.size() > 9) return report(Error{Code::kInvalid, "a region has 1 to 9 zones"});
  config::RegionConfig region;
  region.id = RegionId{static_cast<std::uint8_t>(cluster.regions.size() + 1)};
  region.name = options.region;
  region.witness = true;
  region.nodes.push_back(ceremony::certifier(cluster, region).nodes.front());  // for its ports
  cluster.regions.push_back(region);
  auto signer = node::open_signer(ceremony::certifier(cluster, region), config::Paths(cluster.dir), "issuing");
  if (!signer) return report(signer.error());
  std::string lines = "  - name: " + options.region + "\n    witness: true  # votes and keeps no records\n    nodes:\n";
  for (std::size_t zone = 1; zone <= options.nodes.size(); ++zone) {
    const std::string& address = options.nodes[zone - 1];
    const Status done = ceremony::enroll({cluster, options.region, static_cast<int>(zone), address}, *signer,
                                         [](const std::string& line) { std::printf("  %s\n", line.c_str()); });
    if (!done) return report(done.error());
    lines += node_line(region, static_cast<int>(zone), address);
  }
  std::printf(
      "\nAppend to 'regions' in the cluster file of every node, behind all others:\n%s"
      "Next:\n  start each node again with the new file, one after the other\n"
      "  evercert node --cluster %s --region %s --zone 1 --data /var/lib/evercert\n"
      "  evercert ctl --cluster %s region add %s\n",
      lines.c_str(), options.cluster.c_str(), options.region.c_str(), options.cluster.c_str(), options.region.c_str());
  return 0;
}

int enroll_region(const EnrollRegionOptions& options) {
  auto cluster = config::load_cluster(options.cluster);
  if (!cluster) return report(cluster.error());
  if (options.witness) return enroll_witness(std::move(*cluster), options);
  if (options.edge.empty())
    return report(Error{Code::kInvalid, "--edge-address is missing: where the edge of " + options.region +
                                            " is reached (a witness has none: --witness)"});
  const auto lines = ceremony::add_region({*cluster, options.region, options.nodes, options.edge},
                                          [](const std::string& line) { std::printf("  %s\n", line.c_str()); });
  if (!lines) return report(lines.error());
  std::printf(
      "\nAppend to 'regions' in the cluster file of every node and edge, behind all others:\n%s"
      "Bring the folders of the other regions to where they run: each has a responder, a standby and a share for %s.\n"
      "Next:\n  start each node again with the new file, one after the other, and then the edges\n"
      "  evercert node --cluster %s --region %s --zone 1 --data /var/lib/evercert\n"
      "  evercert ctl --cluster %s region add %s\n"
      "  evercert edge --cluster %s --region %s\n",
      lines->c_str(), options.region.c_str(), options.cluster.c_str(), options.region.c_str(), options.cluster.c_str(),
      options.region.c_str(), options.cluster.c_str(), options.region.c_str());
  return 0;
}

void register_enroll_region(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<EnrollRegionOptions>();
  auto* command = app.add_subcommand(
      "enroll-region",
      "Make the keys and identities of a further region of a cluster that exists, with the root's key\nExample: "
      "evercert enroll-region --region ap-south-1 --node-address 10.4.0.11 --edge-address 10.4.0.1");
  command->add_option("--cluster", options->cluster, "Cluster file");
  command->add_option("--region", options->region, "Its name")->required();
  command->add_option("--node-address", options->nodes, "Where its nodes are reached, zone by zone")
      ->required()
      ->delimiter(',')
      ->check(CLI::ValidIPV4);
  auto* edge = command->add_option("--edge-address", options->edge, "Where its edge is reached")->check(CLI::ValidIPV4);
  command
      ->add_flag("--witness", options->witness,
                 "It votes and keeps no records: no edge, no keys, and no root's key needed")
      ->excludes(edge);
  command->callback([options, &exit_code] { exit_code = enroll_region(*options); });
}

int split_standbys(const std::string& file) {
  const auto cluster = config::load_cluster(file);
  if (!cluster) return report(cluster.error());
  const Status done =
      ceremony::split_standbys(*cluster, [](const std::string& line) { std::printf("  %s\n", line.c_str()); });
  if (!done) return report(done.error());
  std::printf(
      "\nBring the folders of the regions to where they run, and start each node again, one after the other. A share "
      "opens\n"
      "nothing together with one that was made before: until all have theirs, no standby can be opened.\n");
  return 0;
}

void register_split_standbys(CLI::App& app, int& exit_code) {
  auto file = std::make_shared<std::string>("evercert-cluster/cluster.yaml");
  auto* command =
      app.add_subcommand("split-standbys",
                         "After a region was removed: split what opens the regions' standbys anew among those "
                         "that are left, with the root's key at hand\nExample: evercert split-standbys "
                         "--cluster evercert-cluster/cluster.yaml");
  command->add_option("--cluster", *file, "Cluster file, in which the region is 'removed: true'");
  command->callback([file, &exit_code] { exit_code = split_standbys(*file); });
}

}  // namespace

void register_enroll(CLI::App& app, int& exit_code) {
  register_enroll_region(app, exit_code);
  register_split_standbys(app, exit_code);
  auto options = std::make_shared<EnrollOptions>();
  auto* command = app.add_subcommand("enroll",
                                     "Make the identity of a further node of a cluster that exists, with its region's "
                                     "issuing key\nExample: evercert enroll --region us-east-1 --zone 2 --address "
                                     "10.1.0.12");
  command->add_option("--cluster", options->cluster, "Cluster file");
  command->add_option("--region", options->region, "Name of its region")->required();
  command->add_option("--zone", options->zone, "Its zone")->required()->check(CLI::Range(1, 9));
  command->add_option("--address", options->address, "Where it is reached")->required()->check(CLI::ValidIPV4);
  command->callback([options, &exit_code] { exit_code = enroll(*options); });
}

}  // namespace evercert::apps
