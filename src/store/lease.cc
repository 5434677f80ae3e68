// SPDX-License-Identifier: Apache-2.0
#include "store/lease.h"

#include "base/check.h"
#include "base/probe.h"

namespace evercert::store {
namespace {

std::string to_text(Position position) {
  return "@" + std::to_string(position.term.value) + "." + std::to_string(position.index.value);
}

}  // namespace

// ------------------------------------------------------------------------------------------------- promises given

PromiseBook::PromiseBook(const Layout& layout, NodeId self, LeaseTiming timing, Instant start, Position last, Bug bug)
    : own_region_(region_bit(region_of(self))), regions_(layout.regions), timing_(timing), bug_(bug), last_(last) {
  // Of every region that there may ever be: one that was added may have asked before a restart, and be unknown after
  // it.
  given_.assign(kMostRegions + 1u, Promise{bug == Bug::kForgetPromises ? start : start + timing.ttl, last});
  history_.push_back({start, last});
}

void PromiseBook::log_at(Position last, Instant now) {
  if (last == last_) return;
  last_ = last;
  // Samples closer together than a sixteenth of near_lag are merged: the rule needs no more precision than that.
  if (history_.size() > 1 && now - history_[history_.size() - 2].at < timing_.near_lag / 16) {
    history_.back().last = last;
  } else {
    history_.push_back({now, last});
  }
  while (history_.size() > 2 && history_[1].at <= now - timing_.near_lag) history_.pop_front();
}

void PromiseBook::recovered(Position last, Instant now) {
  log_at(last, now);
  for (Promise& promise : given_) promise.floor = last;
}

Position PromiseBook::position_before(Instant at) const {
  Position found = history_.front().last;
  for (const Sample& sample : history_) {
    if (sample.at > at) break;
    found = sample.last;
  }
  return found;
}

std::optional<Position> PromiseBook::request(RegionId region, Position shown, Instant now) {
  EC_CHECK(region.value > 0 && region.value < given_.size(), "the transport admits members only");
  if (shown < position_before(now - timing_.near_lag) && bug_ != Bug::kGrantWithoutLogCheck) {
    EC_PROBE("a region that lags is promised nothing");
    return std::nullopt;
  }
  Promise& promise = given_[region.value];
  if (promise.until <= now) {
    EC_PROBE("a lapsed promise is given anew, with a new floor");
    if (bug_ != Bug::kOldFloor) promise.floor = last_;
  }
  promise.until = std::max(promise.until, now + timing_.ttl);
  if (bug_ == Bug::kGrantWithoutLogCheck) return Position{};
  return promise.floor;
}

RegionSet PromiseBook::promised(Instant now) const {
  RegionSet set = own_region_;
  for (std::size_t r = 1; r < given_.size(); ++r) {
    if (given_[r].until > now) set |= region_bit(RegionId{static_cast<std::uint8_t>(r)});
  }
  return set;
}

std::string PromiseBook::describe(Instant now) const {
  std::string text = to_text(last_);
  for (std::size_t r = 0; r <= regions_; ++r) {
    const Promise& promise = given_[r];
    if (promise.until > now) text += "g" + std::to_string((promise.until - now).count()) + to_text(promise.floor);
    else if (bug_ == Bug::kOldFloor) text += "o" + to_text(promise.floor);
    else text += "-";
  }
  // What the question "where was the log near_lag ago" can still be answered with.
  for (const Sample& sample : history_) {
    text += "h" + std::to_string(std::max<std::int64_t>((sample.at - now).count(), -timing_.near_lag.count())) +
            to_text(sample.last);
  }
  return text;
}

// -------------------------------------------------------------------------------------------------- promises held

LeaseHolder::LeaseHolder(const Layout& layout, NodeId self, LeaseTiming timing, Bug bug)
    : halves_{layout}, self_(self), timing_(timing), bug_(bug) {}

void LeaseHolder::granted(NodeId giver, Position floor, Instant sent, Instant received) {
  if (sent > received) return;  // not a time of this process: a late answer to an earlier one
  const Instant start = bug_ == Bug::kCountFromReceipt ? received : sent;
  // The giver's clock may run fast against ours: count less than it promised.
  const auto counted = Duration{static_cast<std::int64_t>(
      static_cast<double>(timing_.ttl.count()) * (bug_ == Bug::kCountFromReceipt ? 1.0 : 1.0 - timing_.drift_bound))};
  Held& held = held_[giver];
  if (held.until > Instant{0} && held.until <= received) EC_PROBE("a lapsed lease is regained");
  if (start + counted > held.until) held = {start + counted, floor};
}

void LeaseHolder::neighbour_at(NodeId node, Position last) {
  Position& known = neighbours_[node];
  known = std::max(known, last);
}

void LeaseHolder::forget_neighbour(NodeId node) { neighbours_.erase(node); }

Position LeaseHolder::region_position() const {
  std::optional<Position> least;
  for (const Layout& half : halves_) {
    if (half.replicas_in(region_of(self_)) == 0) continue;
    const Position reached = region_position(half);
    least = std::min(least.value_or(reached), reached);
  }
  return least.value_or(Position{});
}

Position LeaseHolder::region_position(const Layout& layout) const {
  const RegionId region = region_of(self_);
  std::vector<Position> reached;
  for (const NodeId node : layout.nodes) {
    if (region_of(node) != region) continue;
    const auto known = neighbours_.find(node);
    reached.push_back(node == self_ ? own_last_ : known == neighbours_.end() ? Position{} : known->second);
  }
  std::sort(reached.rbegin(), reached.rend());
  return reached[layout.region_quorum(region) - 1];
}

Instant LeaseHolder::leased_until() const {
  if (suspended_) return Instant{0};
  Instant until{INT64_MAX};
  if (bug_ == Bug::kAnswerByNewVoters) return leased_until(halves_.back());
  for (const Layout& half : halves_) until = std::min(until, leased_until(half));
  return until;
}

Instant LeaseHolder::leased_until(const Layout& layout) const {
  if (!layout.contains(self_)) return Instant{0};  // who only follows asks
  const RegionId region = region_of(self_);
  const std::size_t own = layout.replicas_in(region);
  if (own >= layout.majority()) return Instant{INT64_MAX};  // a single region needs nobody's promise
  const Position reached = region_position(layout);
  std::vector<Instant> untils;
  for (const auto& [giver, held] : held_) {
    const bool counts = bug_ == Bug::kCompareIndexes ? held.floor.index <= reached.index : held.floor <= reached;
    if (layout.contains(giver) && region_of(giver) != region && counts) untils.push_back(held.until);
  }
  const std::size_t needed = layout.majority() - own;
  if (untils.size() < needed) return Instant{0};
  std::sort(untils.rbegin(), untils.rend());
  return untils[needed - 1];
}

std::string LeaseHolder::describe(Instant now) const {
  std::string text = to_text(own_last_);
  for (const auto& [node, last] : neighbours_) text += "n" + std::to_string(node.value) + to_text(last);
  for (const auto& [giver, held] : held_) {
    if (held.until > now)
      text +=
          "h" + std::to_string(giver.value) + "," + std::to_string((held.until - now).count()) + to_text(held.floor);
  }
  return text;
}

// ------------------------------------------------------------------------------------------------- acknowledgements

void AckBook::clear() { acks_.clear(); }

std::string AckBook::describe() const {
  std::string text;
  for (const auto& [node, ack] : acks_) {
    text +=
        "a" + std::to_string(node.value) + "," + std::to_string(ack.index.value) + "," + std::to_string(ack.regions);
  }
  return text;
}

void AckBook::acknowledged(NodeId node, LogIndex index, RegionSet regions) {
  Ack& ack = acks_[node];
  if (index >= ack.index) ack = {index, regions};
}

LogIndex AckBook::answerable(LogIndex committed) const {
  LogIndex best{0};
  for (const auto& [node, ack] : acks_) {
    const LogIndex candidate = std::min(ack.index, committed);
    if (candidate > best && answerable_at(candidate)) best = candidate;
  }
  return best;
}

bool AckBook::answerable_at(LogIndex index) const {
  if (bug_ == Bug::kAnswerByNewVoters) return answerable_at(index, halves_.front());
  return std::all_of(halves_.begin(), halves_.end(), [&](const Layout& half) { return answerable_at(index, half); });
}

bool AckBook::answerable_at(LogIndex index, const Layout& layout) const {
  const auto has = [&](NodeId node, const Ack& ack) {
    return ack.index >= index && (layout.contains(node) || bug_ == Bug::kLearnersCount);
  };
  std::map<RegionId, std::size_t> durable;
  for (const auto& [node, ack] : acks_) {
    if (has(node, ack)) ++durable[region_of(node)];
  }
  // A region without a voter cannot read by itself: nobody waits for it, though it may still be named.
  RegionSet full = ~RegionSet{0};
  if (bug_ != Bug::kIgnorePromises) {
    for (const NodeId node : layout.nodes) {
      const RegionId region = region_of(node);
      if (durable[region] < layout.region_cover(region)) full &= ~region_bit(region);
    }
  }
  std::size_t members = 0;
  for (const auto& [node, ack] : acks_) {
    if (has(node, ack) && (ack.regions & ~full) == 0) ++members;
  }
  return members >= layout.majority();
}

}  // namespace evercert::store
