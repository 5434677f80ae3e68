// SPDX-License-Identifier: Apache-2.0
#include "node/failover_space.h"

#include "coordination/layout.h"
#include "recovery/failover/record.h"

namespace evercert::node {

using namespace etcdserverpb;

namespace {

Error error_of(const api::Trouble& trouble) {
  if (trouble.refusal == coordination::v1::NONE) return trouble.error;
  return {Code::kInvalid, "the key space refuses it: " + api::to_grpc(trouble).error_message()};
}

void expect(TxnRequest& txn, std::string_view key, Compare::CompareTarget target, std::int64_t revision) {
  auto* compare = txn.add_compare();
  compare->set_key(std::string(key));
  compare->set_target(target);
  if (target == Compare::CREATE) compare->set_create_revision(revision);
  else compare->set_mod_revision(revision);
}

}  // namespace

Task<Result<std::optional<StoredValue>>> FailoverSpace::get(Executor& on, std::string key, bool fresh) {
  RangeRequest request;
  request.set_key(std::move(key));
  request.set_serializable(!fresh);
  auto asking = coordinator_.range(on, std::move(request));
  auto found = co_await asking;
  if (!found) co_return fail(error_of(found.error()));
  if (found->kvs_size() == 0) co_return std::optional<StoredValue>();
  co_return std::optional(StoredValue{found->kvs(0).value(), found->kvs(0).mod_revision(), found->kvs(0).lease()});
}

Task<Result<std::vector<std::pair<std::string, StoredValue>>>> FailoverSpace::list(Executor& on, std::string prefix,
                                                                                   bool fresh, std::int64_t most) {
  RangeRequest request;
  request.set_range_end(coordination::end_of(prefix));
  request.set_key(std::move(prefix));
  request.set_serializable(!fresh);
  request.set_limit(most);
  auto asking = coordinator_.range(on, std::move(request));
  auto found = co_await asking;
  if (!found) co_return fail(error_of(found.error()));
  std::vector<std::pair<std::string, StoredValue>> all;
  for (const auto& kv : found->kvs())
    all.emplace_back(kv.key(), StoredValue{kv.value(), kv.mod_revision(), kv.lease()});
  co_return all;
}

Task<Result<std::int64_t>> FailoverSpace::write(Executor& on, std::string lock, recovery::Write write) {
  TxnRequest txn;
  expect(txn, lock, Compare::CREATE, write.token);
  expect(txn, recovery::kStateKey, Compare::MOD, write.state_revision);
  expect(txn, traffic::kSharesKey, Compare::MOD, write.shares_revision);
  for (auto& [key, value] : write.puts) {
    auto* put = txn.add_success()->mutable_request_put();
    put->set_key(std::move(key));
    put->set_value(std::move(value));
  }
  for (auto& key : write.removes) txn.add_success()->mutable_request_delete_range()->set_key(std::move(key));
  auto proposing = coordinator_.txn(on, std::move(txn));
  auto done = co_await proposing;
  if (!done) co_return fail(error_of(done.error()));
  if (!done->succeeded()) co_return fail(Code::kConflict, "another controller has taken over, or a person has written");
  co_return done->header().revision();
}

}  // namespace evercert::node
