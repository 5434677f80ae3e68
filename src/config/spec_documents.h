// SPDX-License-Identifier: Apache-2.0
// The two documents of the specification. For .cc files only.
#pragma once

#include "config/config.h"
#include "config/yaml_reader.h"

namespace evercert::config {

Result<LoadBalancerConfig> read_load_balancer(const YamlReader& in, const YAML::Node& node);
Result<CassandraConfig> read_cassandra(const YamlReader& in, const YAML::Node& node);
// us_east_1 and us-east-1 are the same region.
std::string region_name(std::string key);

}  // namespace evercert::config
