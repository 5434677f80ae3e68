// SPDX-License-Identifier: Apache-2.0
// OCSP answers for every issuer of the cluster (RFC 6960), signed ahead of need and kept, dropped the moment a
// certificate changes.
#pragma once

#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/env.h"
#include "ca/status_changes.h"
#include "pki/ocsp.h"
#include "store/store.h"

namespace evercert::ca {

struct OcspIssuer {
  RegionId region;
  std::string certificate_der;
  std::string responder_certificate_der;  // delegated, issued by this issuer
  std::shared_ptr<pki::Signer> responder;
};

struct OcspOptions {
  RegionId region;  // that answers
  std::size_t regions = 0;
  std::int64_t validity_seconds = 3600;
  std::size_t cache_bytes = 24 << 20;
  Duration read_timeout = 2s;
  std::uint64_t incarnation = 1;  // of the list of changes: never the same again, see status_changes.h
};

// An answer to all requests with one CertID. Whoever holds it may give it out as long as the store says that reads of
// the record are fresh, *then* `dropped` is not set, and `renew_after` has not come.
struct OcspKept {
  std::string serial, id;  // id: DER of the CertID
  GroupId group;
  std::string record;
  std::shared_ptr<const std::string> der;
  std::int64_t renew_after = 0, next_update = 0;  // seconds
  std::atomic<bool> dropped{false};
};

struct OcspReply {
  std::shared_ptr<const std::string> der;
  bool stale = false;
  std::int64_t next_update = 0;          // 0: an error response
  std::shared_ptr<const OcspKept> kept;  // null: may not be kept
  StatusChanges::Position position;      // with `kept`: its state was read after this
};

class OcspResponder {
 public:
  static Result<std::unique_ptr<OcspResponder>> create(OcspOptions options, std::vector<OcspIssuer> issuers,
                                                       store::Store& store, WallClock& wall);
  Task<OcspReply> answer(Executor& on, std::string request_der);
  // A revocation of it waits for a majority: until released, nothing is signed about this certificate unless it is
  // known as revoked; the answer is tryLater. As many releases as holds.
  void hold(const std::string& serial);
  void release(const std::string& serial);
  // Revocations, in the order in which answers about them were dropped here.
  const StatusChanges& changes() const { return changes_; }
  // True, without waiting, when an answer that is kept may be given out now.
  // Not dropped, not to be renewed: of what was fresh before.
  bool kept_still(const OcspKept& kept) const {
    return !kept.dropped.load() && wall_.now().seconds() < kept.renew_after;
  }
  bool still_right(const OcspKept& kept) const;

 private:
  static constexpr std::size_t kShards = 16;
  struct Entry {
    std::shared_ptr<OcspKept> kept;
    std::list<std::string>::iterator place;
  };
  // Least recently *made* goes first. `generation` moves when a certificate of the shard changes: an answer that was
  // signed from a state read before may not enter the cache after.
  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::string, Entry> entries;  // by the DER of the CertID
    std::list<std::string> order;
    std::unordered_map<std::string, std::vector<std::string>> by_serial;
    std::size_t bytes = 0;
    std::uint64_t generation = 0;
  };
  struct Known {
    OcspIssuer issuer;
    pki::IssuerHashes hashes;
  };

  OcspResponder(OcspOptions options, store::Store& store, WallClock& wall)
      : options_(options), store_(store), wall_(wall), changes_(options.incarnation) {}
  const Known* issuer_of(const pki::OcspCertId& id) const;
  // The own region was removed from the cluster.
  bool left_behind() const;
  Shard& shard_of(const std::string& serial) { return shards_[std::hash<std::string>{}(serial) % kShards]; }
  std::shared_ptr<const OcspKept> cached(const pki::OcspCertId& id, std::int64_t now);
  // Null when something changed since the state was read.
  std::shared_ptr<const OcspKept> keep(const pki::OcspCertId& id, GroupId group, std::uint64_t generation,
                                       const std::shared_ptr<const std::string>& der, std::int64_t now,
                                       std::int64_t next_update);
  void changed(const store::v1::Certificate& certificate);
  void everything_changed();
  static void drop(Shard& shard, const std::string& key);
  void drop_kept(const std::string& serial);
  bool held(const std::string& serial) const;

  OcspOptions options_;
  store::Store& store_;
  WallClock& wall_;
  StatusChanges changes_;
  std::vector<Known> issuers_;
  Shard shards_[kShards];
  mutable std::mutex held_mutex_;
  std::atomic<std::size_t> held_count_{0};
  std::map<std::string, int> held_;  // by serial: how many revocations wait
};

}  // namespace evercert::ca
