// SPDX-License-Identifier: Apache-2.0
#include "api/coordination/locks.h"

#include <algorithm>
#include <charconv>

namespace evercert::api {
namespace {

using namespace etcdserverpb;

constexpr std::int64_t kOwnLeaseSeconds = 60;

void contenders_of(const std::string& name, RangeRequest& request) {
  request.set_key(name + "/");
  request.set_range_end(coordination::end_of(name + "/"));
  request.set_sort_target(RangeRequest::CREATE);
  request.set_sort_order(RangeRequest::ASCEND);
  request.set_limit(1);
}

void if_created_at(TxnRequest& txn, const std::string& key, std::int64_t revision) {
  auto* compare = txn.add_compare();
  compare->set_target(Compare::CREATE);
  compare->set_key(key);
  compare->set_create_revision(revision);
}

Error gone() { return {Code::kNotFound, "the lease of the lock has ended"}; }

}  // namespace

std::string contender_key(const std::string& name, std::int64_t lease) {
  char hex[17];
  const auto end = std::to_chars(hex, hex + sizeof hex, static_cast<std::uint64_t>(lease), 16).ptr;
  return name + "/" + std::string(hex, end);
}

Task<Answered<Held>> Locks::contend(Executor& on, const std::string& name, std::int64_t lease,
                                    const std::string& value) {
  Held held;
  held.key = contender_key(name, lease);
  held.lease = lease;
  TxnRequest txn;
  if_created_at(txn, held.key, 0);
  auto* put = txn.add_success()->mutable_request_put();
  put->set_key(held.key);
  put->set_value(value);
  put->set_lease(lease);
  txn.add_failure()->mutable_request_range()->set_key(held.key);
  auto done = co_await coordinator_.txn(on, std::move(txn));
  if (!done) co_return std::unexpected(done.error());
  held.revision = done->header().revision();
  if (done->succeeded()) {
    held.token = held.revision;
    co_return held;
  }
  const auto& own = done->responses(0).response_range().kvs(0);
  held.token = own.create_revision();
  if (own.value() != value) {
    auto proclaimed = co_await proclaim(on, held, value);
    if (!proclaimed) co_return std::unexpected(proclaimed.error());
  }
  co_return held;
}

Task<Answered<Held>> Locks::acquire(Executor& on, std::string name, std::int64_t lease, std::string value,
                                    std::shared_ptr<Cancellation> cancellation) {
  if (lease == 0) {
    LeaseGrantRequest wanted;
    wanted.set_ttl(kOwnLeaseSeconds);
    auto granted = co_await coordinator_.grant(on, wanted);
    if (!granted) co_return std::unexpected(granted.error());
    lease = granted->id();
  }
  const auto signal = std::make_shared<Signal>();
  if (cancellation) cancellation->tell(signal);
  coordination::LockTable::Contender contender(table_, name, [signal] { signal->notify(); });
  auto held = co_await contend(on, name, lease, value);
  if (!held) co_return held;
  for (;;) {
    using Place = coordination::LockTable::Place;
    const auto standing = contender.standing(held->token);
    if (!standing) co_return std::unexpected(trouble(standing.error()));
    held->revision = std::max(held->revision, standing->revision);
    if (standing->place == Place::kFirst) co_return held;
    if (standing->place == Place::kGone) co_return std::unexpected(trouble(gone()));
    // Who does not want to wait is still told of a lock that is free: his place is known in a moment.
    if (standing->place == Place::kBehind && cancellation && cancellation->cancelled()) {
      auto withdrawn = co_await release(on, held->key, held->token);
      co_return std::unexpected(trouble(Error{Code::kExpired, "the lock was not free in time"}));
    }
    co_await signal->wait(on);
  }
}

Task<Answered<ResponseHeader>> Locks::release(Executor& on, std::string key) {
  DeleteRangeRequest request;
  request.set_key(key);
  auto done = co_await coordinator_.remove(on, std::move(request));
  if (!done) co_return std::unexpected(done.error());
  co_return std::move(*done->mutable_header());
}

Task<Answered<ResponseHeader>> Locks::release(Executor& on, std::string key, std::int64_t token) {
  TxnRequest txn;
  if_created_at(txn, key, token);
  txn.add_success()->mutable_request_delete_range()->set_key(key);
  auto done = co_await coordinator_.txn(on, std::move(txn));
  if (!done) co_return std::unexpected(done.error());
  if (!done->succeeded())
    co_return std::unexpected(trouble(Error{Code::kConflict, "the lock is not held with this token"}));
  co_return std::move(*done->mutable_header());
}

Task<Answered<ResponseHeader>> Locks::proclaim(Executor& on, Held held, std::string value) {
  TxnRequest txn;
  if_created_at(txn, held.key, held.token);
  auto* put = txn.add_success()->mutable_request_put();
  put->set_key(held.key);
  put->set_value(std::move(value));
  put->set_lease(held.lease);
  auto done = co_await coordinator_.txn(on, std::move(txn));
  if (!done) co_return std::unexpected(done.error());
  if (!done->succeeded()) co_return std::unexpected(trouble(Error{Code::kConflict, "election: not leader"}));
  co_return std::move(*done->mutable_header());
}

Task<Answered<std::pair<ResponseHeader, std::optional<mvccpb::KeyValue>>>> Locks::holder(Executor& on,
                                                                                         std::string name) {
  RangeRequest first;
  contenders_of(name, first);
  auto found = co_await coordinator_.range(on, std::move(first));
  if (!found) co_return std::unexpected(found.error());
  std::optional<mvccpb::KeyValue> kv;
  if (found->kvs_size() > 0) kv = std::move(*found->mutable_kvs(0));
  co_return std::pair(std::move(*found->mutable_header()), std::move(kv));
}

}  // namespace evercert::api
