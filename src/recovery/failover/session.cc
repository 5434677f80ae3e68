// SPDX-License-Identifier: Apache-2.0
#include "recovery/failover/session.h"

#include "base/check.h"

namespace evercert::recovery {

Result<Session> Session::begin(Cluster cluster, Policy policy, Inheritance inheritance, std::string node,
                               std::int64_t token, Times now, Sign sign, Bug bug) {
  State state;
  if (inheritance.state) {
    EC_ASSIGN(state, parse_state(*inheritance.state, now));
  }
  return Session(Controller(std::move(cluster), std::move(policy), std::move(state), node, token, now, bug),
                 inheritance, node, token, std::move(sign), bug);
}

std::optional<Write> Session::look(Picture picture, const std::vector<Order>& orders, Instant now) {
  EC_CHECK(!writing_ && !over_, "a controller looks again when what it decided is written");
  picture.shares = shares_;
  Turn turn = controller_.advance(picture, orders, now);
  if (!turn.write) {
    // Only what is written already may be carried out: a repetition.
    if (turn.effect) effect_ = std::move(turn.effect);
    return std::nullopt;
  }
  Write write;
  write.token = bug_ == Bug::kUnfencedWrite ? 0 : token_;
  write.state_revision = state_revision_;
  write.shares_revision = shares_revision_;
  write.puts.emplace_back(kStateKey, to_json(controller_.state(), controller_.times(), controller_.cluster()));
  for (LogEntry& entry : turn.log) {
    entry.signature = sign_(signed_text(entry));
    write.puts.emplace_back(log_key(entry.number), to_json(entry));
  }
  if (turn.shares) write.puts.emplace_back(traffic::kSharesKey, to_json(*turn.shares));
  write.removes = std::move(turn.orders);
  if (turn.anchor) {
    LogAnchor anchor{std::move(*turn.anchor), node_, controller_.times().to_ms(now), {}};
    anchor.signature = sign_(signed_text(anchor));
    write.puts.emplace_back(kAnchorKey, to_json(anchor));
    for (const std::uint64_t number : turn.trimmed) write.removes.push_back(log_key(number));
  }
  shares_next_ = std::move(turn.shares);
  (bug_ == Bug::kActBeforeRecord ? effect_ : effect_next_) = std::move(turn.effect);
  writing_ = true;
  return write;
}

void Session::written(const Result<std::int64_t>& revision, Instant now) {
  EC_CHECK(writing_, "what was written was to be written");
  writing_ = false;
  if (!revision) {
    over_ = true;
    effect_next_.reset();
    return;
  }
  controller_.written(now);
  state_revision_ = *revision;
  if (shares_next_) {
    shares_ = std::move(*shares_next_);
    shares_revision_ = shares_.revision = *revision;
    shares_next_.reset();
  }
  if (effect_next_) effect_ = std::exchange(effect_next_, std::nullopt);
}

std::optional<Effect> Session::take_effect() { return std::exchange(effect_, std::nullopt); }

}  // namespace evercert::recovery
