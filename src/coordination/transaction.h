// SPDX-License-Identifier: Apache-2.0
// A transaction in three steps, as in etcd: the way through all its comparisons is chosen on the state before it, what
// lies on that way is checked, then it is done as a whole.
#pragma once

#include <vector>

#include "coordination/change.h"

namespace evercert::coordination {

// One entry for each transaction that is met, depth first: whether its comparisons hold.
using Way = std::vector<bool>;
Result<Way> choose_way(const etcdserverpb::TxnRequest& request, const View& view);
// NONE, or why an operation on the way cannot be done.
Result<v1::Refusal> check_way(const etcdserverpb::TxnRequest& request, const Way& way, const Meta& meta,
                              const View& view);
// NONE, or why `request` cannot be done now.
Result<v1::Refusal> check_put(const etcdserverpb::PutRequest& request, const View& view);

Result<etcdserverpb::TxnResponse> run(const etcdserverpb::TxnRequest& request, const Way& way, Change& change);

}  // namespace evercert::coordination
