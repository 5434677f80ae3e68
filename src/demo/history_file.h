// SPDX-License-Identifier: Apache-2.0
// A history as a file: one JSON object a line, in the order in which operations ended.
//   {"kind":"revoke","client":"us-east-1","record":"01ab...","invoked_us":1,"returned_us":2,"ok":true,
//    "output":"revoked","answered_by":"us-west-2"}
// Times are microseconds of the machine's monotonic clock, so histories of several programs on one machine may be put
// together. `output`: "issued"; "revoked", "already revoked"; of a read "good", "revoked", "unknown", with "stale "
// in front when the answer says that it may be; of a CRL its number and the SHA-256 of its bytes; "refused" when
// nothing was done at any address. Empty: nobody knows what became of it.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "demo/history.h"

namespace evercert::demo {

// kIo.
Status write_history(const std::string& path, const config::ClusterConfig& config,
                     const std::vector<Operation>& operations);
// kIo; kInvalid names the line.
Result<std::vector<Operation>> read_history(const std::string& path, const config::ClusterConfig& config);

}  // namespace evercert::demo
