// SPDX-License-Identifier: Apache-2.0
// From the files and words of an operator to a server's options.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/config.h"
#include "traffic/dns/server.h"

namespace evercert::traffic::dns {

// As they come from the command line.
struct Words {
  std::string cluster_file;
  std::string load_balancer_file;  // empty: the cluster file's own document
  std::string zone;                // empty: what the endpoints have in common
  std::vector<std::string> listen{"127.0.0.1:5300"};
  std::string status = "127.0.0.1:9153";
  std::string powerdns;                   // empty: PowerDNS is not served
  std::vector<std::string> addresses;     // "us-east-1/1=203.0.113.7,2001:db8::7"
  std::vector<std::string> coordinates;   // "us-east-1=38.95,-77.45"
  std::vector<std::string> name_servers;  // "ns1.example.com" or "ns1.api.example.com=192.0.2.53"
  std::string contact;                    // empty: hostmaster at the zone
  std::string records_file, geo_file, table_file, key_file;
  std::uint32_t ttl = 5;
  int answers = 2, threads = 1;
  std::string nsid;
  double rate_limit = 5000;  // answers a second and network; 0: none
};

// kInvalid, kNotFound: "file:line: what is wrong: how to mend it", or the word that is.
Result<ServerOptions> server_options(const Words& words, WallTime now);

// The regions of a load balancer's document, with the cluster's edges. `where`: "file:line: " for messages about a
// region's name.
Result<std::vector<RegionFacts>> regions_of(const config::ClusterConfig& cluster,
                                            const config::LoadBalancerConfig& balancer,
                                            const std::function<std::string(const std::string&)>& where);

}  // namespace evercert::traffic::dns
