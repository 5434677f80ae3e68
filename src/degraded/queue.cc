// SPDX-License-Identifier: Apache-2.0
#include "degraded/queue.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/rfc3339.h"

namespace evercert::degraded {
namespace {

constexpr std::string_view kOperation = "operation/", kReport = "reconciliation/";

std::string operation_key(const std::string& id) { return std::string(kOperation) + id; }
std::string report_key(std::uint64_t number) {
  char text[32];
  std::snprintf(text, sizeof text, "%012llu", static_cast<unsigned long long>(number));
  return std::string(kReport) + text;
}

bool is_refusal(Code code) {
  return code == Code::kInvalid || code == Code::kDenied || code == Code::kNotFound || code == Code::kConflict ||
         code == Code::kUnsupported;
}

bool is_kind(v1::Kind kind) { return kind == v1::REVOCATION || kind == v1::RENEWAL || kind == v1::ISSUANCE; }

}  // namespace

Result<Queue> Queue::restore(QueueLimits limits, const std::map<std::string, std::string>& records) {
  Queue queue(limits);
  for (const auto& [key, bytes] : records) EC_TRY(queue.take(key, bytes));
  return queue;
}

Status Queue::take(const std::string& key, const std::string& bytes) {
  if (key.starts_with(kOperation)) {
    v1::Operation operation;
    if (!operation.ParseFromString(bytes) || operation_key(operation.id()) != key || !is_kind(operation.kind()))
      return fail(Code::kCorrupt, "the record '" + key + "' of the queue does not parse");
    index(operation);
    operations_[operation.id()] = std::move(operation);
    return {};
  }
  v1::Reconciliation report;
  if (!key.starts_with(kReport) || !report.ParseFromString(bytes) || report_key(report.number()) != key)
    return fail(Code::kCorrupt, "the record '" + key + "' of the queue does not parse");
  reports_[report.number()] = std::move(report);
  return {};
}

Queue::Place Queue::place_of(const v1::Operation& operation) const {
  return {limits_.bug == QueueBug::kFirstComeFirst ? 0 : static_cast<int>(operation.kind()), operation.sequence()};
}

void Queue::index(const v1::Operation& operation) {
  sequence_ = std::max(sequence_, operation.sequence());
  if (!operation.key().empty()) by_key_[{operation.caller(), operation.key()}] = operation.id();
  if (operation.state() == v1::QUEUED) {
    waiting_[place_of(operation)] = {operation.id(), operation.ByteSizeLong()};
    bytes_ += operation.ByteSizeLong();
    ++waiting_by_kind_[operation.kind()];
  } else {
    ended_.emplace(operation.ended_at_ms(), operation.id());
  }
}

// Issuances must not take the room that a revocation will need.
Status Queue::check_room(const v1::Operation& wanted) const {
  const std::size_t shares = wanted.kind() == v1::REVOCATION ? 4 : 3;
  const std::size_t most = limits_.most * shares / 4;
  const std::uint64_t bytes = limits_.bytes * shares / 4;
  if (waiting_.size() < most && bytes_ + wanted.ByteSizeLong() <= bytes) return {};
  return fail(Code::kUnavailable, "the queue of this node is full: " + std::to_string(waiting_.size()) +
                                      " operations of " + std::to_string(bytes_) +
                                      " bytes wait; ask another region, or later");
}

Result<Queue::Accepted> Queue::offer(v1::Operation wanted, const std::string& why, Moment now) {
  if (!wanted.key().empty()) {
    const auto known = by_key_.find({wanted.caller(), wanted.key()});
    if (known != by_key_.end()) {
      const v1::Operation& earlier = operations_.at(known->second);
      if (earlier.digest() != wanted.digest())
        return fail(Code::kConflict, "the idempotency key was used for another request");
      // What was given up may be asked for again.
      if (earlier.state() != v1::EXPIRED && earlier.state() != v1::DROPPED) return Accepted{earlier, true};
    }
  }
  EC_TRY(check_room(wanted));
  v1::Reconciliation& report = open_report(why, now.wall);
  tally(report, wanted.kind()).set_queued(tally(report, wanted.kind()).queued() + 1);
  touch(report);
  wanted.set_state(v1::QUEUED);
  wanted.set_sequence(sequence_ + 1);
  wanted.set_queued_at_ms(now.wall.ms);
  wanted.set_reconciliation(report.number());
  index(wanted);
  touch(wanted);
  v1::Operation& kept = operations_[wanted.id()] = std::move(wanted);
  return Accepted{kept, false};
}

std::vector<v1::Operation> Queue::begin(Moment now) {
  std::vector<v1::Operation> begun;
  std::optional<int> first_class;
  for (const auto& [place, waiting] : waiting_) {
    const std::string& id = waiting.id;
    if (under_way_ >= limits_.in_flight) break;
    if (first_class && place.first > *first_class) break;
    Attempts& attempts = attempts_[id];
    if (attempts.under_way && limits_.bug != QueueBug::kBeginTwice) {
      first_class = place.first;
      continue;
    }
    if (now.mono < attempts.not_before) continue;
    first_class = place.first;
    v1::Operation& operation = operations_.at(id);
    attempts.doubtful_before = operation.doubtful();
    attempts.under_way = true;
    ++under_way_;
    operation.set_doubtful(true);
    touch(operation);
    v1::Reconciliation& report = reports_.at(operation.reconciliation());
    if (report.began_at_ms() == 0) {
      report.set_began_at_ms(now.wall.ms);
      touch(report);
    }
    begun.push_back(operation);
    if (limits_.bug == QueueBug::kNewKeyPerAttempt)
      begun.back().set_repeat(begun.back().repeat() + std::to_string(now.mono.us));
  }
  return begun;
}

void Queue::attempted(const std::string& id, const Result<std::string>& outcome, Moment now) {
  const auto found = operations_.find(id);
  if (found == operations_.end() || found->second.state() != v1::QUEUED) return;
  v1::Operation& operation = found->second;
  Attempts& attempts = attempts_[id];
  attempts.under_way = false;
  --under_way_;
  if (outcome || (limits_.bug == QueueBug::kForgetUndone && outcome.error().code == Code::kUnknownOutcome)) {
    if (outcome) operation.set_serial(*outcome);
    operation.set_doubtful(false);
    return end(operation, v1::DONE, "", now.wall);
  }
  if (is_refusal(outcome.error().code)) {
    operation.set_doubtful(false);
    return end(operation, v1::REFUSED, outcome.error().message, now.wall);
  }
  // "Nothing was done" is said of this attempt, not of those before.
  if (outcome.error().code == Code::kUnavailable && !attempts.doubtful_before) operation.set_doubtful(false);
  operation.set_detail(outcome.error().message);
  touch(operation);
  attempts.pause = std::clamp(2 * attempts.pause, limits_.first_pause, limits_.longest_pause);
  attempts.not_before = now.mono + attempts.pause;
}

void Queue::expire(Moment now) {
  std::vector<std::string> late;
  for (const auto& [place, waiting] : waiting_) {
    const auto attempts = attempts_.find(waiting.id);
    if (attempts != attempts_.end() && attempts->second.under_way) continue;
    if (operations_.at(waiting.id).deadline_ms() <= now.wall.ms) late.push_back(waiting.id);
  }
  for (const auto& id : late) {
    v1::Operation& operation = operations_.at(id);
    std::string detail = "its time was over at " + rfc3339(operation.deadline_ms());
    if (operation.doubtful()) detail += "; an attempt was made of which the outcome is not known";
    if (!operation.detail().empty()) detail += "; the last attempt: " + operation.detail();
    end(operation, v1::EXPIRED, std::move(detail), now.wall);
  }
  const std::int64_t oldest = now.wall.ms - limits_.keep_ended.count() / 1000;
  while (!ended_.empty() && (ended_.size() > limits_.most_ended || ended_.begin()->first < oldest))
    forget(ended_.begin()->second);
  while (reports_.size() > limits_.most_reports && reports_.begin()->second.ended_at_ms() != 0) {
    dirty_.insert(report_key(reports_.begin()->first));
    reports_.erase(reports_.begin());
  }
}

Result<v1::Operation> Queue::drop(const std::string& id, const std::string& by, Moment now) {
  const auto found = operations_.find(id);
  if (found == operations_.end()) return fail(Code::kNotFound, "nothing is queued under this id");
  v1::Operation& operation = found->second;
  if (operation.state() != v1::QUEUED)
    return fail(Code::kConflict, "it has ended: it is " + std::string(to_string(operation.state())));
  const auto attempts = attempts_.find(id);
  if (attempts != attempts_.end() && attempts->second.under_way)
    return fail(Code::kConflict, "it is being carried out: it can be dropped no more");
  end(operation, v1::DROPPED, "dropped by " + by, now.wall);
  return operation;
}

void Queue::end(v1::Operation& operation, v1::State state, std::string detail, WallTime now) {
  const auto place = waiting_.find(place_of(operation));
  bytes_ -= place->second.bytes;
  --waiting_by_kind_[operation.kind()];
  waiting_.erase(place);
  attempts_.erase(operation.id());
  operation.set_state(state);
  operation.set_detail(std::move(detail));
  operation.set_ended_at_ms(now.ms);
  operation.clear_csr_pem();
  ended_.emplace(now.ms, operation.id());
  touch(operation);
  v1::Reconciliation& report = reports_.at(operation.reconciliation());
  v1::Tally& counts = tally(report, operation.kind());
  if (state == v1::DONE) counts.set_done(counts.done() + 1);
  if (state == v1::REFUSED) counts.set_refused(counts.refused() + 1);
  if (state == v1::EXPIRED) counts.set_expired(counts.expired() + 1);
  if (state == v1::DROPPED) counts.set_dropped(counts.dropped() + 1);
  report.set_longest_wait_ms(std::max<std::int64_t>(report.longest_wait_ms(), now.ms - operation.queued_at_ms()));
  if (waiting_.empty()) {
    report.set_ended_at_ms(std::max<std::int64_t>(now.ms, 1));
    newly_reported_.push_back(report);
  }
  touch(report);
  ++ended_counts_[state];
  newly_ended_.push_back(operation);
}

void Queue::forget(const std::string& id) {
  const v1::Operation& operation = operations_.at(id);
  const auto named = by_key_.find({operation.caller(), operation.key()});
  if (named != by_key_.end() && named->second == id) by_key_.erase(named);
  ended_.erase({operation.ended_at_ms(), id});
  touch(operation);
  operations_.erase(id);
}

v1::Reconciliation& Queue::open_report(const std::string& why, WallTime now) {
  if (!reports_.empty() && reports_.rbegin()->second.ended_at_ms() == 0) return reports_.rbegin()->second;
  const std::uint64_t number = reports_.empty() ? 1 : reports_.rbegin()->first + 1;
  v1::Reconciliation& report = reports_[number];
  report.set_number(number);
  report.set_why(why);
  report.set_first_queued_at_ms(now.ms);
  return report;
}

v1::Tally& Queue::tally(v1::Reconciliation& report, v1::Kind kind) {
  for (auto& one : *report.mutable_tallies()) {
    if (one.kind() == kind) return one;
  }
  v1::Tally& made = *report.add_tallies();
  made.set_kind(kind);
  return made;
}

void Queue::touch(const v1::Operation& operation) { dirty_.insert(operation_key(operation.id())); }
void Queue::touch(const v1::Reconciliation& report) { dirty_.insert(report_key(report.number())); }

std::vector<Change> Queue::take_changes() {
  std::vector<Change> changes;
  for (const auto& key : std::exchange(dirty_, {})) {
    if (key.starts_with(kOperation)) {
      const auto found = operations_.find(key.substr(kOperation.size()));
      changes.push_back(
          {key, found == operations_.end() ? std::nullopt : std::optional(found->second.SerializeAsString())});
    } else {
      const auto found = reports_.find(std::stoull(key.substr(kReport.size())));
      changes.push_back(
          {key, found == reports_.end() ? std::nullopt : std::optional(found->second.SerializeAsString())});
    }
  }
  return changes;
}

std::optional<v1::Operation> Queue::find(const std::string& id) const {
  const auto found = operations_.find(id);
  return found == operations_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<v1::Operation> Queue::waiting(std::size_t limit) const {
  std::vector<v1::Operation> out;
  for (const auto& [place, waiting] : waiting_) {
    if (out.size() == limit) break;
    out.push_back(operations_.at(waiting.id));
  }
  return out;
}

std::vector<v1::Reconciliation> Queue::reports() const {
  std::vector<v1::Reconciliation> out;
  for (auto report = reports_.rbegin(); report != reports_.rend(); ++report) out.push_back(report->second);
  return out;
}

QueueSummary Queue::summary() const {
  QueueSummary summary{waiting_.size(), bytes_, waiting_by_kind_, 0, ended_counts_};
  // Within a class they stand in the order in which they came.
  for (int of = 0; of <= static_cast<int>(v1::Kind_MAX); ++of) {
    const auto first = waiting_.lower_bound({of, 0});
    if (first == waiting_.end()) break;
    const std::int64_t queued = operations_.at(first->second.id).queued_at_ms();
    if (summary.oldest_ms == 0 || queued < summary.oldest_ms) summary.oldest_ms = queued;
  }
  return summary;
}

std::string_view to_string(v1::Kind kind) {
  switch (kind) {
    case v1::REVOCATION: return "revocation";
    case v1::RENEWAL: return "renewal";
    case v1::ISSUANCE: return "issuance";
    default: return "unknown";
  }
}

std::string_view to_string(v1::State state) {
  switch (state) {
    case v1::QUEUED: return "queued";
    case v1::DONE: return "done";
    case v1::REFUSED: return "refused";
    case v1::EXPIRED: return "expired";
    case v1::DROPPED: return "dropped";
    default: return "unknown";
  }
}

std::string describe(const v1::Reconciliation& report) {
  std::string text;
  for (const auto& tally : report.tallies()) {
    text += (text.empty() ? "" : "; ") + std::string(to_string(tally.kind())) + ": " + std::to_string(tally.queued()) +
            " queued, " + std::to_string(tally.done()) + " done";
    const auto add = [&](std::uint64_t count, const char* what) {
      if (count > 0) text += ", " + std::to_string(count) + " " + what;
    };
    add(tally.refused(), "refused");
    add(tally.expired(), "expired");
    add(tally.dropped(), "dropped");
  }
  return text;
}

}  // namespace evercert::degraded
