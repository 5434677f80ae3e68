// SPDX-License-Identifier: Apache-2.0
// A node of a witness: the store, its peers, and a plain port that says how it is. No CA and no interface for clients.
#pragma once

#include "node/node_process.h"

namespace evercert::node {

// Errors as NodeProcess::start.
Result<std::unique_ptr<NodeProcess>> start_witness(const NodeOptions& options, config::ClusterConfig config);

}  // namespace evercert::node
