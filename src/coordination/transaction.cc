// SPDX-License-Identifier: Apache-2.0
#include "coordination/transaction.h"

namespace evercert::coordination {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;
using mvccpb::KeyValue;

template <class Value>
bool holds(Compare::CompareResult wanted, const Value& is, const Value& other) {
  switch (wanted) {
    case Compare::EQUAL: return is == other;
    case Compare::NOT_EQUAL: return is != other;
    case Compare::GREATER: return is > other;
    case Compare::LESS: return is < other;
    default: return false;
  }
}

bool holds(const Compare& compare, const KeyValue& kv) {
  switch (compare.target()) {
    case Compare::VERSION: return holds(compare.result(), kv.version(), compare.version());
    case Compare::CREATE: return holds(compare.result(), kv.create_revision(), compare.create_revision());
    case Compare::MOD: return holds(compare.result(), kv.mod_revision(), compare.mod_revision());
    case Compare::VALUE: return holds(compare.result(), kv.value(), compare.value());
    case Compare::LEASE: return holds(compare.result(), kv.lease(), compare.lease());
    default: return false;
  }
}

Result<bool> holds(const Compare& compare, const View& view) {
  etcdserverpb::RangeRequest which;
  which.set_key(compare.key());
  which.set_range_end(compare.range_end());
  EC_ASSIGN(const auto found, read_range(view, which));
  if (found.kvs_size() == 0) {
    // A key that is not there has revision and version 0, but no value that could be compared.
    return compare.target() != Compare::VALUE && holds(compare, KeyValue{});
  }
  for (const auto& kv : found.kvs()) {
    if (!holds(compare, kv)) return false;
  }
  return true;
}

const auto& branch_of(const TxnRequest& request, bool succeeded) {
  return succeeded ? request.success() : request.failure();
}

Status choose(const TxnRequest& request, const View& view, Way& way) {
  bool all = true;
  for (const Compare& compare : request.compare()) {
    EC_ASSIGN(const bool one, holds(compare, view));
    all = all && one;
  }
  way.push_back(all);
  for (const RequestOp& operation : branch_of(request, all)) {
    if (operation.has_request_txn()) EC_TRY(choose(operation.request_txn(), view, way));
  }
  return {};
}

class Checker {
 public:
  Checker(const Way& way, const Meta& meta, const View& view) : way_(way), meta_(meta), view_(view) {}

  Result<v1::Refusal> check(const TxnRequest& request) {
    for (const RequestOp& operation : branch_of(request, way_[next_++])) {
      v1::Refusal refusal = v1::NONE;
      if (operation.has_request_range()) {
        refusal = check_revision(meta_, operation.request_range().revision());
      } else if (operation.has_request_put()) {
        EC_ASSIGN(refusal, check_put(operation.request_put(), view_));
      } else if (operation.has_request_txn()) {
        EC_ASSIGN(refusal, check(operation.request_txn()));
      }
      if (refusal != v1::NONE) return refusal;
    }
    return v1::NONE;
  }

 private:
  const Way& way_;
  const Meta& meta_;
  const View& view_;
  std::size_t next_ = 0;
};

Result<TxnResponse> run_from(const TxnRequest& request, const Way& way, std::size_t& next, Change& change) {
  TxnResponse response;
  response.set_succeeded(way[next++]);
  for (const RequestOp& operation : branch_of(request, response.succeeded())) {
    auto* answer = response.add_responses();
    switch (operation.request_case()) {
      case RequestOp::kRequestRange: {
        EC_ASSIGN(*answer->mutable_response_range(), read_range(change.state(), operation.request_range()));
        answer->mutable_response_range()->mutable_header()->set_revision(change.revision());
        break;
      }
      case RequestOp::kRequestPut: {
        EC_ASSIGN(*answer->mutable_response_put(), change.put(operation.request_put()));
        break;
      }
      case RequestOp::kRequestDeleteRange: {
        EC_ASSIGN(*answer->mutable_response_delete_range(), change.remove(operation.request_delete_range()));
        break;
      }
      case RequestOp::kRequestTxn: {
        EC_ASSIGN(*answer->mutable_response_txn(), run_from(operation.request_txn(), way, next, change));
        break;
      }
      case RequestOp::REQUEST_NOT_SET: break;
    }
  }
  response.mutable_header()->set_revision(change.revision());
  return response;
}

}  // namespace

Result<Way> choose_way(const TxnRequest& request, const View& view) {
  Way way;
  EC_TRY(choose(request, view, way));
  return way;
}

Result<v1::Refusal> check_way(const TxnRequest& request, const Way& way, const Meta& meta, const View& view) {
  return Checker(way, meta, view).check(request);
}

Result<v1::Refusal> check_put(const etcdserverpb::PutRequest& request, const View& view) {
  if (request.ignore_value() || request.ignore_lease()) {
    EC_ASSIGN(const auto existing, find_key(view, request.key()));
    if (!existing) return v1::KEY_NOT_FOUND;
  }
  if (request.lease() != 0) {
    EC_ASSIGN(const auto lease, find_lease(view, request.lease()));
    if (!lease) return v1::LEASE_NOT_FOUND;
  }
  return v1::NONE;
}

Result<TxnResponse> run(const TxnRequest& request, const Way& way, Change& change) {
  std::size_t next = 0;
  return run_from(request, way, next, change);
}

}  // namespace evercert::coordination
