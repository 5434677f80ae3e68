// SPDX-License-Identifier: Apache-2.0
#include "coordination/request_check.h"

#include <algorithm>
#include <set>
#include <vector>

#include "coordination/keyspace.h"

namespace evercert::coordination {
namespace {

using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using Operations = google::protobuf::RepeatedPtrField<RequestOp>;

// What the operations of one way write. The branches of a nested transaction exclude each other, but neither may touch
// what stands beside the transaction.
struct Written {
  std::set<std::string> puts;
  std::vector<KeyRange> deletes;

  bool clashes(const std::string& key) const {
    return puts.contains(key) ||
           std::any_of(deletes.begin(), deletes.end(), [&](const KeyRange& range) { return range.contains(key); });
  }
  // False: something is written twice.
  bool add(const Written& other) {
    if (std::any_of(other.puts.begin(), other.puts.end(), [&](const auto& key) { return clashes(key); })) return false;
    if (std::any_of(puts.begin(), puts.end(), [&](const auto& key) { return other.clashes(key); })) return false;
    unite(other);
    return true;
  }
  void unite(const Written& other) {
    puts.insert(other.puts.begin(), other.puts.end());
    deletes.insert(deletes.end(), other.deletes.begin(), other.deletes.end());
  }
};

int operations_in(const TxnRequest& request, int depth) {
  int count = request.success_size() + request.failure_size();
  if (depth > kDeepestTransaction) return count;
  for (const auto* branch : {&request.success(), &request.failure()}) {
    for (const RequestOp& operation : *branch) {
      if (operation.has_request_txn()) count += operations_in(operation.request_txn(), depth + 1);
    }
  }
  return count;
}

v1::Refusal check_transaction(const TxnRequest& request, int depth, Written& written);

v1::Refusal check_branch(const Operations& operations, int depth, Written& branch) {
  for (const RequestOp& operation : operations) {
    Written one;
    v1::Refusal refusal = v1::NONE;
    switch (operation.request_case()) {
      case RequestOp::kRequestRange: refusal = check(operation.request_range()); break;
      case RequestOp::kRequestPut:
        refusal = check(operation.request_put());
        one.puts.insert(operation.request_put().key());
        break;
      case RequestOp::kRequestDeleteRange: {
        const auto& request = operation.request_delete_range();
        refusal = check(request);
        one.deletes.push_back(key_range(request.key(), request.range_end()));
        break;
      }
      case RequestOp::kRequestTxn: refusal = check_transaction(operation.request_txn(), depth + 1, one); break;
      case RequestOp::REQUEST_NOT_SET: return v1::NOT_UNDERSTOOD;
    }
    if (refusal != v1::NONE) return refusal;
    if (!branch.add(one)) return v1::DUPLICATE_KEY;
  }
  return v1::NONE;
}

v1::Refusal check_transaction(const TxnRequest& request, int depth, Written& written) {
  if (depth > kDeepestTransaction || request.compare_size() > kMostOperations ||
      request.success_size() > kMostOperations || request.failure_size() > kMostOperations) {
    return v1::TOO_MANY_OPERATIONS;
  }
  for (const auto& compare : request.compare()) {
    if (compare.key().empty()) return v1::EMPTY_KEY;
    if (is_reserved(compare.key())) return v1::RESERVED_KEY;
  }
  for (const auto* branch : {&request.success(), &request.failure()}) {
    Written one;
    if (const auto refusal = check_branch(*branch, depth, one); refusal != v1::NONE) return refusal;
    written.unite(one);
  }
  return v1::NONE;
}

v1::Refusal check_key(const std::string& key) {
  if (key.empty()) return v1::EMPTY_KEY;
  return is_reserved(key) ? v1::RESERVED_KEY : v1::NONE;
}

}  // namespace

v1::Refusal check(const etcdserverpb::RangeRequest& request) { return check_key(request.key()); }
v1::Refusal check(const etcdserverpb::DeleteRangeRequest& request) { return check_key(request.key()); }

v1::Refusal check(const etcdserverpb::PutRequest& request) {
  if (const auto refusal = check_key(request.key()); refusal != v1::NONE) return refusal;
  if (request.ignore_value() && !request.value().empty()) return v1::VALUE_PROVIDED;
  if (request.ignore_lease() && request.lease() != 0) return v1::LEASE_PROVIDED;
  return v1::NONE;
}

v1::Refusal check(const TxnRequest& request) {
  if (operations_in(request, 1) > kMostOperationsInAll) return v1::TOO_MANY_OPERATIONS;
  Written written;
  return check_transaction(request, 1, written);
}

v1::Refusal check(const etcdserverpb::LeaseGrantRequest& request) {
  return request.ttl() > kLongestLeaseSeconds ? v1::LEASE_TTL_TOO_LARGE : v1::NONE;
}

bool only_reads(const TxnRequest& request) {
  for (const auto* branch : {&request.success(), &request.failure()}) {
    for (const RequestOp& operation : *branch) {
      if (operation.has_request_put() || operation.has_request_delete_range()) return false;
      if (operation.has_request_txn() && !only_reads(operation.request_txn())) return false;
    }
  }
  return true;
}

}  // namespace evercert::coordination
