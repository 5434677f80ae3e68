// SPDX-License-Identifier: Apache-2.0
// The decisions of an edge that answers OCSP from copies, without I/O: time and events in, what to do out.
//
// The rule: a request that began after a revocation was acknowledged anywhere is never answered "good". A copy is given
// out only when a node has said, for a check that left after the request had come, that it still is what the node
// itself would answer. All requests that come until a check leaves share it; who comes while it is under way waits for
// the next one. So the cost of freshness does not grow with the load.
//
// Copies belong to one node's list of changes. When another node, or the same in another life, answers a check, all are
// dropped.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "net/ocsp_news.pb.h"

namespace evercert::traffic {

// Planted by tests: each breaks the rule, and the simulation must see it.
enum class OcspBug {
  kNone,
  kJoinUnderWay,
  kIgnorePending,
  kIgnoreEverything,
  kKeepLate,
  kIgnoreGroups,
  kForgetIncarnation
};

struct OcspCopy {
  std::string id, serial;
  std::shared_ptr<const std::string> der;
  Instant renew, expires;
  bool dropped = false;
  // The complete answers, made by whoever sends them.
  struct Prepared {
    std::int64_t max_age = -1;
    std::shared_ptr<const std::string> bytes;
  };
  Prepared get, post;

 private:
  friend class OcspCopies;
  std::list<std::shared_ptr<OcspCopy>>::iterator place;
  std::deque<std::string> keys;
};

// A request that waits for a check. Owned by whoever joins; stays where it is until it is settled.
struct OcspWaiter {
  std::shared_ptr<OcspCopy> copy;
  bool confirmed = false;  // may be answered with the copy; else it must be passed on
};

// One thread.
class OcspCopies {
 public:
  explicit OcspCopies(std::size_t max_bytes = 32 << 20, OcspBug bug = OcspBug::kNone)
      : max_bytes_(max_bytes), bug_(bug) {}

  // What a check might allow to answer a request with: `key` is how the request looks from outside, `id` what it asks
  // for. nullptr: nothing is kept, pass it on now.
  std::shared_ptr<OcspCopy> find(std::string_view key, Instant now) const;
  std::shared_ptr<OcspCopy> find_id(std::string_view key, const std::string& id, Instant now);

  // `waiter` will be settled by the next check. True: the caller must let one leave soon.
  bool join(OcspWaiter& waiter);
  // The check leaves: from now on others wait for the next one. Not while one is under way.
  net::v1::OcspCheck leave();
  // The check has ended; `news` is null when no node could answer it. These waiters are settled.
  std::vector<OcspWaiter*> ended(const net::v1::OcspNews* news, Instant now);
  // Others joined meanwhile: another check must leave soon.
  bool wanted() const { return !under_way_ && !joined_.empty(); }

  // A node answered a request that was passed on. Kept when the stamp allows it.
  void fetched(std::string_view key, const net::v1::OcspStamp& stamp, std::shared_ptr<const std::string> der,
               Instant now);

  std::size_t size() const { return by_id_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  template <class Value>
  using Map = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;

  void take_in(const net::v1::OcspNews& news);
  bool changed_since(const std::string& serial, std::uint64_t number) const;
  void add_key(const std::shared_ptr<OcspCopy>& copy, std::string_view key);
  void drop(std::shared_ptr<OcspCopy> copy);
  void drop_serial(const std::string& serial);
  void drop_all();
  static std::size_t weight(const OcspCopy& copy);

  std::size_t max_bytes_, bytes_ = 0;
  OcspBug bug_;
  Map<std::shared_ptr<OcspCopy>> by_key_, by_id_;
  Map<std::vector<std::shared_ptr<OcspCopy>>> by_serial_;
  std::list<std::shared_ptr<OcspCopy>> order_;  // the oldest first

  std::vector<OcspWaiter*> joined_, asking_;
  bool under_way_ = false;

  std::uint64_t incarnation_ = 0, number_ = 0;  // how far changes are known; 0: nothing is
  // The last changes, for answers that were under way while they came. All after `known_from_` are here.
  std::deque<std::pair<std::uint64_t, std::string>> changes_;
  std::uint64_t known_from_ = 0;
};

}  // namespace evercert::traffic
