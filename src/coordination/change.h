// SPDX-License-Identifier: Apache-2.0
// One revision of the key space in the making: all that a command changes has the same revision and a number of its own
// within it.
#pragma once

#include <optional>
#include <string>

#include "coordination/keyspace.h"
#include "coordination/machine.h"

namespace evercert::coordination {

class Change {
 public:
  Change(State& state, Effects& effects, Meta meta, Bug bug)
      : state_(state), effects_(effects), meta_(meta), bug_(bug) {}

  State& state() { return state_; }
  const Meta& meta() const { return meta_; }
  // Of the key space, as it is with what was changed so far.
  std::int64_t revision() const { return changed_ == 0 ? meta_.revision : meta_.revision + 1; }

  // Checked: the key exists if its value or lease is to stay, the lease exists.
  Result<etcdserverpb::PutResponse> put(const etcdserverpb::PutRequest& request);
  Result<etcdserverpb::DeleteRangeResponse> remove(const etcdserverpb::DeleteRangeRequest& request);
  // The lease goes, and its keys with it.
  Status end_lease(const v1::Lease& lease);
  void set_lease(const v1::Lease& lease);
  void compact(std::int64_t revision);

  // Writes down the revision that was reached.
  void finish();

 private:
  void record(mvccpb::Event event);
  Status remove_key(mvccpb::KeyValue before);

  State& state_;
  Effects& effects_;
  Meta meta_;
  Bug bug_;
  std::uint32_t changed_ = 0;
};

}  // namespace evercert::coordination
