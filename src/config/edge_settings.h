// SPDX-License-Identifier: Apache-2.0
// The section `edge` of a cluster file. For .cc files of config only.
#pragma once

#include "config/config.h"
#include "config/yaml_reader.h"

namespace evercert::config {

Status read_edge_settings(const YamlReader& in, const YAML::Node& node, const std::vector<RegionConfig>& regions,
                          EdgeSettings& out);

}  // namespace evercert::config
