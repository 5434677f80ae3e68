// SPDX-License-Identifier: Apache-2.0
// Where coordination's part of the state lies: below one prefix of the global group.
#pragma once

#include <memory>

#include "coordination/state.h"
#include "store/catalog.h"
#include "store/kv/kv.h"

namespace evercert::store {

// Over the changes of a run of commands, which outlive it.
class CoordinationState : public coordination::State {
 public:
  explicit CoordinationState(Transaction& transaction) : transaction_(transaction) {}
  Result<std::optional<std::string>> get(const std::string& key) const override;
  Status scan(const std::string& from, const std::string& to, const Visit& visit) const override;
  void put(std::string key, std::string value) override;
  void remove(std::string key) override;
  void remove_range(std::string from, std::string to) override;

 private:
  Transaction& transaction_;
};

// The state of a node as it is now, for readers on any thread. `kv` outlives the view.
std::unique_ptr<coordination::View> coordination_view(const Kv& kv);

}  // namespace evercert::store
