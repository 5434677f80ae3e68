// SPDX-License-Identifier: Apache-2.0
// Whether a node may be one of those who begin a new cluster. `evercert init` lays a file beside the identity of each
// node that it makes; at its first start the node takes it into its data folder. So it is lost with the disk: nodes
// that have forgotten a cluster never begin another one by themselves, though they may be all whom their cluster file
// names (the others were added later). They ask who remembers (store/recovery.h).
#pragma once

#include <string>

#include "base/env.h"
#include "base/result.h"

namespace evercert::node {

// `laid`: where init lays it. A warning is logged when it cannot be taken away from there (a read-only folder): then it
// would still be there after the disk was lost. kIo.
Result<bool> take_founding(Disk& disk, const std::string& laid, const std::string& data_dir);

}  // namespace evercert::node
