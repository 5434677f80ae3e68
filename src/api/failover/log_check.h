// SPDX-License-Identifier: Apache-2.0
// Whether entries of the failover log are as they were written: the chain of their hashes, and that each was signed by
// a node of the cluster, the one that it names. Whoever may write the key space can write another log, and cannot sign
// it. Pure.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "recovery/failover/record.h"

namespace evercert::api {

struct LogTrust {
  std::string cluster, root_der;
  std::function<std::string(NodeId)> name_of;  // "us-east-1/1"; empty: there is no such node
};

// `signers`: certificate chains as PEM, by SHA-256 of the first certificate. `anchor`: what lies before entries that
// were removed. kCorrupt: which entry, and what is wrong with it. What came after the last of `entries` is not known
// here: that the newest are missing shows only to somebody who has seen them.
Status check_log(const std::vector<recovery::LogEntry>& entries, const std::optional<recovery::LogAnchor>& anchor,
                 const std::map<std::string, std::string>& signers, const LogTrust& trust);

}  // namespace evercert::api
