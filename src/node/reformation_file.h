// SPDX-License-Identifier: Apache-2.0
// What `evercert recover` leaves for those that are to join what it has made anew: a file of JSON, to be carried to
// their machines.
#pragma once

#include <string>

#include "base/result.h"
#include "store/proto/records.pb.h"

namespace evercert::node {

struct ReformationFile {
  std::string cluster_id;  // 16 bytes, of the cluster file
  store::v1::Reformation reformation;
};

std::string write_reformation(const ReformationFile& file);
// kInvalid: it is none, or an older or newer program's; `path` is for the message.
Result<ReformationFile> read_reformation(const std::string& path, const std::string& text);

}  // namespace evercert::node
