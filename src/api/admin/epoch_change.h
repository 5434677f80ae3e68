// SPDX-License-Identifier: Apache-2.0
// What the calls that change the membership record share.
#pragma once

#include <functional>
#include <string>

#include "base/task.h"
#include "net/http.h"
#include "store/store.h"

namespace evercert::api {

// For the newest membership record.
inline constexpr Duration kReadTimeout = 3s;

// Proposes what `make` makes of the epoch that this node sees, again when the epoch has moved meanwhile. The epoch of
// the change; errors as the state machine gives them.
Task<Result<std::uint64_t>> change_epoch(Executor& on, store::Store& store,
                                         std::function<store::v1::Command(std::uint64_t expected_epoch)> make);

// Looks every 50 ms until `done`, at most for `patience`. Whether it came about.
Task<bool> wait_until(Executor& on, std::function<bool()> done, Duration patience);

// The body's only member, "reason", or nothing. kInvalid.
Result<std::string> reason_of(const net::HttpRequest& request);

}  // namespace evercert::api
