// SPDX-License-Identifier: Apache-2.0
// The C++ side of the bridge's Storage: included by generated code only.
#pragma once

#include <cstdint>

#include "rust/cxx.h"

namespace evercert::store {
class RaftStorage;
}

namespace evercert::store::bridge {

struct Initial;
struct BridgeEntry;
struct BridgeSnapshot;

class BridgeStorage {
 public:
  explicit BridgeStorage(RaftStorage& storage) : storage_(&storage) {}
  Initial initial() const;
  bool entries(std::uint64_t low, std::uint64_t high, std::uint64_t max_bytes, rust::Vec<BridgeEntry>& out) const;
  std::int64_t term(std::uint64_t index) const;
  std::uint64_t first_index() const;
  std::uint64_t last_index() const;
  bool prefers_state(std::uint64_t low) const;
  BridgeSnapshot snapshot(std::uint64_t to) const;

 private:
  RaftStorage* storage_;
};

}  // namespace evercert::store::bridge
