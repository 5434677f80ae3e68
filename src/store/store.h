// SPDX-License-Identifier: Apache-2.0
// The store as the CA and the interfaces see it: commands go to a record's home group, reads are local and fresh.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/task.h"
#include "store/lag_meter.h"
#include "store/membership_board.h"
#include "store/proto/records.pb.h"
#include "store/sweep.h"

namespace evercert::store {

// kFresh: every write acknowledged before the read began is seen. kStale: this region holds no lease and no leader
// could be asked in time; what is read may be old, and an answer made from it must say so.
enum class Freshness { kFresh, kStale };

// How far one group has come on this node, for status and metrics.
struct GroupStatus {
  GroupId group;
  Term term;
  NodeId leader;  // 0: none known
  bool leads_here = false;
  LogIndex commit, applied, last;
  bool leased = false;  // this region may answer fresh reads itself
  // How long no leader has been found, once that is so long that no majority can be reached from here.
  std::optional<std::int64_t> quorum_lost_ms;
  std::uint64_t promised_regions = 0;
  // Replication lag: from the proposal of an entry to its being durable in this node's log, over the last 5 s.
  std::int64_t lag_p50_ms = 0, lag_p99_ms = 0;
  LagCounts lag_counts;  // the same, of all entries since the start
  // Replicas whose state of the group is another than this one's (store/state_digest.h).
  std::vector<NodeId> differing;
  NodeId copied_from;  // whose state this is a copy of, which nobody else has confirmed yet; 0: nobody's
};

// All methods may be called from any thread. Coroutines come back on the executor given.
class Store {
 public:
  virtual ~Store() = default;

  // Proposes `command` in `group`, wherever its leader is, and waits until it is durable on a majority and on a quorum
  // of every live region, and applied here or on the leader.
  // The Outcome is the state machine's answer (its own refusals are errors with the Outcome's code and message).
  // kUnavailable: nothing was done. kUnknownOutcome: it may have happened; proposing the same command again is safe.
  virtual Task<Result<v1::Outcome>> submit(Executor& on, GroupId group, v1::Command command, Duration timeout) = 0;

  // Waits until reads of `record` (see keys.h) in `group` are fresh, at most `timeout`.
  virtual Task<Freshness> freshen(Executor& on, GroupId group, std::string record, Duration timeout) = 0;
  // True when they are fresh right now: the hot path of OCSP. Never blocks.
  virtual bool fresh_now(GroupId group, std::string_view record) = 0;

  // For who keeps answers about certificates: serials in `group` whose revocation is in the log and not applied yet.
  // After freshen() of any record of the group (an empty one will do) every acknowledged revocation is among them, or
  // was told by on_certificate_changed() before.
  virtual std::vector<std::string> pending_revocations(GroupId group) = 0;

  // Local reads, without any claim to freshness: call freshen() first. nullopt: no such record. kCorrupt, kIo.
  virtual Result<std::optional<v1::Certificate>> certificate(std::string_view serial) = 0;
  virtual Result<std::optional<v1::Account>> account(std::string_view id) = 0;
  // The account that an account key was bound to by a change of keys (ClaimAccountKey).
  virtual Result<std::optional<std::string>> account_of_key(std::string_view thumbprint) = 0;
  virtual Result<std::optional<v1::Order>> order(std::string_view id) = 0;
  // Up to `limit` ids of the account's orders that are not invalid, after `after` (empty: from the first), in order.
  virtual Result<std::vector<std::string>> order_ids(std::string_view account_id, std::string_view after,
                                                     std::size_t limit) = 0;
  virtual Result<std::optional<v1::Authorization>> authorization(std::string_view id) = 0;
  virtual Result<std::optional<v1::Crl>> crl(RegionId issuer) = 0;
  // Serial bound to an idempotency key in any group, as this replica knows it. What the global group says is final; a
  // home group only says that a certificate was stored under the key. An entry that is in the log and not yet
  // applied is told as `committed` false, without a serial: freshen() the key in that group and ask again.
  struct BoundKey {
    std::string serial;
    std::string request_digest;
    GroupId group;
    bool committed = true;
  };
  virtual Result<std::optional<BoundKey>> request_key(std::string_view key) = 0;
  // Whether, as far as this replica's logs and state say, `serial` is the first certificate under the key in its home
  // group, and no other group has one or is about to have one.
  virtual Result<bool> alone_with_key(std::string_view key, std::string_view serial) = 0;
  // Up to `limit` certificates with serials after `after` (empty: from the first), in order of their serials.
  virtual Result<std::vector<v1::Certificate>> list_certificates(std::string_view after, std::size_t limit) = 0;
  // Calls `each` for every revoked, unexpired certificate of an issuer (for its CRL), in order of serials.
  virtual Status revoked_certificates(RegionId issuer, std::int64_t now_seconds,
                                      const std::function<void(const v1::Certificate&)>& each) = 0;

  // What of a group's records a sweep may remove, among the next `most` from `place` on (store/sweep.h).
  virtual Result<v1::Sweep> find_swept(GroupId group, const SweepLimits& limits, std::size_t most,
                                       SweepPlace& place) = 0;

  // Called on the store's thread after a certificate was stored or revoked (OCSP answers are made on change).
  virtual void on_certificate_changed(std::function<void(const v1::Certificate&)> callback) = 0;

  // Called on the store's thread after a snapshot took the place of a group's records: any may have changed.
  virtual void on_records_replaced(std::function<void()> callback) = 0;

  virtual std::vector<GroupStatus> group_status() = 0;
  virtual std::uint64_t certificate_count() = 0;
  // This node's wall clock is close to the median of its peers' (RFC 5280 dates depend on it). False: do not sign.
  virtual bool clock_trusted() = 0;
  // This clock minus that median, in milliseconds. 0 as long as fewer than two peers are heard.
  virtual std::int64_t clock_offset_ms() = 0;
  // The epoch of the membership as this node knows it, and the whole of it.
  virtual Epoch epoch() = 0;
  virtual std::shared_ptr<const MembershipView> membership() = 0;
  // The epoch to be written into what this region's issuing key signs now; see MembershipBoard. Never blocks.
  virtual Result<Epoch> signing_epoch() = 0;
};

}  // namespace evercert::store
