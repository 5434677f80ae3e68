// SPDX-License-Identifier: Apache-2.0
// Whose data a folder holds, in its file `identity`, so that a wrong or old cluster file, another node's folder or an
// older program is refused before anything in it is read or written. See docs/formats/data_directory.md.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/env.h"
#include "base/ids.h"
#include "base/result.h"
#include "config/config.h"
#include "store/proto/records.pb.h"

namespace evercert::node {

// Grows when an older program would misread what this one writes into the folder: log, state or intents. 2: the
// answers of the key space lie by sixteen (coordination/layout.h).
inline constexpr int kDataFormat = 2;

struct DataIdentity {
  int format = kDataFormat;
  std::string cluster_id;  // 16 bytes
  std::string cluster_name;
  NodeId node;
  std::map<RegionId, std::string> regions;  // all that the cluster file named
  friend bool operator==(const DataIdentity&, const DataIdentity&) = default;
};

DataIdentity identity_of(const config::ClusterConfig& config, NodeId node);
std::string write_identity(const DataIdentity& identity);
// kUnsupported: a newer format; kCorrupt. `path` is for the message.
Result<DataIdentity> read_identity(const std::string& path, const std::string& text);

// Whether the node `now`, as the cluster file `file` has it, may go on with what `then` left in `dir`. kInvalid: no;
// the message says what differs and how to mend it.
Status check_identity(const DataIdentity& then, const DataIdentity& now, const std::string& dir,
                      const std::string& file);

// What the folder says; nullopt: it is new, or an early version made it. kUnsupported, kCorrupt, kIo.
Result<std::optional<DataIdentity>> load_identity(Disk& disk, const std::string& dir);
// Refuses as above, without touching anything, or leaves the folder with the identity `now`.
Status claim_folder(Disk& disk, const std::string& dir, const DataIdentity& now, const std::string& file);

// Regions that were added to the cluster have the names and places that its membership record says. kInvalid: the file
// has others. A file that lacks some is told of in the log: such a node votes and stores, and serves nobody (/readyz).
Status check_regions(const config::ClusterConfig& config, const store::v1::Membership& record);

}  // namespace evercert::node
