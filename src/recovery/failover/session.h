// SPDX-License-Identifier: Apache-2.0
// One controller's time in office: what it writes, under which conditions, and when an effect may be carried out. It
// ends with the first write that fails; whoever is elected then begins anew from what is written. Pure; one thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "recovery/failover/controller.h"

namespace evercert::recovery {

// What lies in the key space when a controller begins.
struct Inheritance {
  std::optional<std::string> state;
  std::int64_t state_revision = 0, shares_revision = 0;  // of their last change; 0: there is none
  traffic::Shares shares;
};

// One transaction: all of it, or nothing. It compares that the lock's key was created at `token`, and that state and
// shares are as they were.
struct Write {
  std::int64_t token = 0;  // 0: not compared
  std::int64_t state_revision = 0, shares_revision = 0;
  std::vector<std::pair<std::string, std::string>> puts;
  std::vector<std::string> removes;
};

// Signs for the node that writes.
using Sign = std::function<Signature(const std::string& text)>;

class Session {
 public:
  // kInvalid: what lies there is not understood; nobody may act on it.
  static Result<Session> begin(Cluster cluster, Policy policy, Inheritance inheritance, std::string node,
                               std::int64_t token, Times now, Sign sign, Bug bug = Bug::kNone);

  // What is to be written now; nullopt: nothing. Then written() before the next one.
  std::optional<Write> look(Picture picture, const std::vector<Order>& orders, Instant now);
  // The revision in which it was done. Any error, also an unknown outcome, ends the session.
  void written(const Result<std::int64_t>& revision, Instant now);
  // What is to be carried out now; once each.
  std::optional<Effect> take_effect();
  void ended(const Effect& effect, Result<std::string> how, Instant now) {
    controller_.ended(effect, std::move(how), now);
  }
  bool over() const { return over_; }

  const Controller& controller() const { return controller_; }
  void set_policy(Policy policy) { controller_.set_policy(std::move(policy)); }
  const traffic::Shares& shares() const { return shares_; }

 private:
  Session(Controller controller, const Inheritance& inheritance, std::string node, std::int64_t token, Sign sign,
          Bug bug)
      : controller_(std::move(controller)),
        node_(std::move(node)),
        sign_(std::move(sign)),
        token_(token),
        bug_(bug),
        state_revision_(inheritance.state_revision),
        shares_revision_(inheritance.shares_revision),
        shares_(inheritance.shares) {}

  Controller controller_;
  std::string node_;
  Sign sign_;
  std::int64_t token_;
  Bug bug_;
  std::int64_t state_revision_, shares_revision_;
  traffic::Shares shares_;
  std::optional<traffic::Shares> shares_next_;
  std::optional<Effect> effect_, effect_next_;
  bool writing_ = false, over_ = false;
};

}  // namespace evercert::recovery
