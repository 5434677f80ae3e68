// SPDX-License-Identifier: Apache-2.0
#include "api/admin/epoch_change.h"

#include "api/rest/json_body.h"
#include "base/env.h"
#include "base/pause.h"
#include "store/keys.h"

namespace evercert::api {
namespace {

constexpr Duration kSubmitTimeout = 8s;
constexpr Duration kLook = 50ms;
constexpr int kMostAttempts = 5;
constexpr std::size_t kLongestReason = 500;

}  // namespace

Task<Result<std::uint64_t>> change_epoch(Executor& on, store::Store& store,
                                         std::function<store::v1::Command(std::uint64_t expected_epoch)> make) {
  for (int attempt = 1;; ++attempt) {
    co_await store.freshen(on, kGlobalGroup, store::membership_record(), kReadTimeout);
    const std::uint64_t expected = store.epoch().value;
    const auto done = co_await store.submit(on, kGlobalGroup, make(expected), kSubmitTimeout);
    if (done) co_return done->number();
    const bool moved = done.error().code == Code::kConflict && store.epoch().value != expected;
    if (!moved || attempt == kMostAttempts) co_return fail(done.error());
  }
}

Task<bool> wait_until(Executor& on, std::function<bool()> done, Duration patience) {
  for (Duration waited{0}; waited < patience; waited += kLook) {
    if (done()) co_return true;
    co_await pause(on, kLook);
  }
  co_return done();
}

Result<std::string> reason_of(const net::HttpRequest& request) {
  if (request.body.empty()) return std::string();
  EC_ASSIGN(const auto body, read_object(request));
  EC_TRY(only_members(body, {"reason"}));
  return short_text(body, "reason", kLongestReason);
}

}  // namespace evercert::api
