// SPDX-License-Identifier: Apache-2.0
#include "api/coordination/locks.h"

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

Task<Answered<Held>> Locks::contend(Executor& on, const std::string& name, std::int64_t lease, const std::string& value,
                                    bool* first) {
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
  contenders_of(name, *txn.add_success()->mutable_request_range());
  contenders_of(name, *txn.add_failure()->mutable_request_range());
  auto done = co_await coordinator_.txn(on, std::move(txn));
  if (!done) co_return std::unexpected(done.error());
  held.revision = done->header().revision();
  held.token = done->succeeded() ? held.revision : done->responses(0).response_range().kvs(0).create_revision();
  const auto& contenders = done->responses(1).response_range();
  *first = contenders.kvs_size() > 0 && contenders.kvs(0).create_revision() == held.token;
  if (!done->succeeded() && done->responses(0).response_range().kvs(0).value() != value) {
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
  bool first = false;
  auto held = co_await contend(on, name, lease, value, &first);
  if (!held || first) co_return held;
  for (;;) {
    // The last of those before this one: each waits for one key alone, so that a release wakes one contender.
    RangeRequest before;
    contenders_of(name, before);
    before.set_sort_order(RangeRequest::DESCEND);
    before.set_max_create_revision(held->token - 1);
    auto found = co_await coordinator_.range(on, std::move(before));
    if (!found) co_return std::unexpected(found.error());
    held->revision = found->header().revision();
    if (found->kvs_size() == 0) break;
    const auto deleted = co_await wait_deleted(on, found->kvs(0).key(), found->header().revision() + 1, cancellation);
    if (!deleted || !*deleted) {
      auto withdrawn = co_await release(on, held->key, held->token);
      if (!deleted) co_return std::unexpected(deleted.error());
      co_return std::unexpected(trouble(Error{Code::kExpired, "the lock was not free in time"}));
    }
  }
  RangeRequest own;
  own.set_key(held->key);
  const auto still = co_await coordinator_.range(on, std::move(own));
  if (!still) co_return std::unexpected(still.error());
  if (still->kvs_size() == 0 || still->kvs(0).create_revision() != held->token)
    co_return std::unexpected(trouble(gone()));
  co_return held;
}

Task<Answered<bool>> Locks::wait_deleted(Executor& on, std::string key, std::int64_t revision,
                                         std::shared_ptr<Cancellation> cancellation) {
  auto signal = std::make_shared<Signal>();
  coordination::WatchRequest request{coordination::key_range(key, ""), revision, false, true};
  const auto watch = hub_.add(std::move(request), [signal] { signal->notify(); });
  if (!watch) co_return std::unexpected(trouble(watch.error()));
  if (cancellation) cancellation->tell(signal);
  Answered<bool> result = false;
  while (!cancellation || !cancellation->cancelled()) {
    auto news = hub_.take(*watch);
    if (!news) {
      result = std::unexpected(trouble(news.error()));
      break;
    }
    if (!news->events.empty() || news->compacted) {  // compacted meanwhile: look again
      result = true;
      break;
    }
    if (!news->more) co_await signal->wait(on);
  }
  if (cancellation) cancellation->tell(nullptr);
  hub_.remove(*watch);
  co_return result;
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
