// SPDX-License-Identifier: Apache-2.0
// What can be said of a request without looking at the state. The interfaces check before they propose, the state
// machine checks again what peers sent.
#pragma once

#include "coordination/proto/coordination.pb.h"

namespace evercert::coordination {

inline constexpr int kMostOperations = 128;        // in each list of a transaction, as in etcd
inline constexpr int kDeepestTransaction = 8;      // transactions within transactions
inline constexpr int kMostOperationsInAll = 4096;  // what is written twice is looked for among all of them
inline constexpr std::int64_t kLongestLeaseSeconds = 9'000'000'000;  // as in etcd

v1::Refusal check(const etcdserverpb::RangeRequest& request);
v1::Refusal check(const etcdserverpb::PutRequest& request);
v1::Refusal check(const etcdserverpb::DeleteRangeRequest& request);
// Also: no key is put twice, or put and deleted, on any way that the transaction may go.
v1::Refusal check(const etcdserverpb::TxnRequest& request);
v1::Refusal check(const etcdserverpb::LeaseGrantRequest& request);
// True when no branch writes anything.
bool only_reads(const etcdserverpb::TxnRequest& request);

}  // namespace evercert::coordination
