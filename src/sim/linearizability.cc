// SPDX-License-Identifier: Apache-2.0
#include "sim/linearizability.h"

#include <algorithm>
#include <unordered_set>

namespace evercert::sim {
namespace {

constexpr std::size_t kNone = SIZE_MAX;

// An invocation or a return, in a doubly linked list in the order of time.
struct Event {
  std::size_t operation;
  std::size_t partner = kNone;  // of an invocation: its return; kNone for a return and for an unknown outcome
  bool invocation = true;
  std::size_t previous = kNone, next = kNone;
};

class Search {
 public:
  Search(const Specification& specification, const std::vector<Operation>& history)
      : specification_(specification),
        history_(history),
        state_(specification.initial()),
        taken_((history.size() + 7) / 8, '\0') {
    link();
  }

  Judgement run(std::uint64_t max_steps) {
    Judgement result;
    std::size_t at = events_[kHead].next;
    std::size_t deepest = 0;
    while (returns_left_ > 0) {
      if (at != kNone && events_[at].invocation) {
        if (++result.steps > max_steps) {
          result.verdict = Verdict::kUndecided;
          return result;
        }
        at = try_to_take(at) ? events_[kHead].next : events_[at].next;
        continue;
      }
      // A return of what could not be taken before it, or the end: go back by one.
      if (order_.size() >= deepest && at != kNone) {
        deepest = order_.size();
        result.stuck = events_[at].operation;
        result.longest.clear();
        for (const Taken& taken : order_) result.longest.push_back(events_[taken.invocation].operation);
      }
      if (order_.empty()) {
        result.verdict = Verdict::kNotLinearizable;
        return result;
      }
      at = take_back();
    }
    result.longest.clear();
    return result;
  }

 private:
  struct Taken {
    std::size_t invocation;
    std::string state_before;
  };
  static constexpr std::size_t kHead = 0;

  void link() {
    struct Mark {
      Instant at;
      bool returns;
      std::size_t operation;
    };
    std::vector<Mark> marks;
    for (std::size_t i = 0; i < history_.size(); ++i) {
      marks.push_back({history_[i].invoked, false, i});
      if (history_[i].returned) marks.push_back({*history_[i].returned, true, i});
    }
    // What returns at the instant at which another begins overlaps with it.
    std::sort(marks.begin(), marks.end(), [](const Mark& a, const Mark& b) {
      return std::tie(a.at, a.returns, a.operation) < std::tie(b.at, b.returns, b.operation);
    });
    events_.reserve(marks.size() + 1);
    events_.push_back({});
    std::vector<std::size_t> invocations(history_.size());
    for (const Mark& mark : marks) {
      const std::size_t here = events_.size();
      events_.push_back({mark.operation, kNone, !mark.returns, here - 1, kNone});
      events_[here - 1].next = here;
      if (mark.returns) {
        events_[invocations[mark.operation]].partner = here;
        ++returns_left_;
      } else {
        invocations[mark.operation] = here;
      }
    }
  }

  bool try_to_take(std::size_t invocation) {
    const std::size_t operation = events_[invocation].operation;
    auto next = specification_.apply(state_, history_[operation]);
    if (!next) return false;
    flip(operation);
    if (!seen_.insert(taken_ + *next).second) {
      flip(operation);
      return false;
    }
    order_.push_back({invocation, std::move(state_)});
    state_ = std::move(*next);
    lift(invocation);
    if (const std::size_t partner = events_[invocation].partner; partner != kNone) {
      lift(partner);
      --returns_left_;
    }
    return true;
  }

  // Returns where the search goes on.
  std::size_t take_back() {
    Taken last = std::move(order_.back());
    order_.pop_back();
    state_ = std::move(last.state_before);
    flip(events_[last.invocation].operation);
    if (const std::size_t partner = events_[last.invocation].partner; partner != kNone) {
      put_back(partner);
      ++returns_left_;
    }
    put_back(last.invocation);
    return events_[last.invocation].next;
  }

  void flip(std::size_t operation) { taken_[operation / 8] ^= static_cast<char>(1 << operation % 8); }
  void lift(std::size_t event) {
    const Event& e = events_[event];
    events_[e.previous].next = e.next;
    if (e.next != kNone) events_[e.next].previous = e.previous;
  }
  void put_back(std::size_t event) {
    const Event& e = events_[event];
    events_[e.previous].next = event;
    if (e.next != kNone) events_[e.next].previous = event;
  }

  const Specification& specification_;
  const std::vector<Operation>& history_;
  std::vector<Event> events_;
  std::string state_;
  std::string taken_;  // one bit per operation; all of one length, so that a state can follow
  std::vector<Taken> order_;
  std::size_t returns_left_ = 0;
  std::unordered_set<std::string> seen_;
};

}  // namespace

Judgement judge(const Specification& specification, const std::vector<Operation>& history, std::uint64_t max_steps) {
  return Search(specification, history).run(max_steps);
}

std::string to_text(const std::vector<Operation>& history) {
  std::vector<const Operation*> sorted;
  for (const Operation& operation : history) sorted.push_back(&operation);
  std::stable_sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return a->invoked < b->invoked; });
  std::string text;
  const auto ms = [](Instant at) { return std::to_string(at.us / 1000) + "." + std::to_string(at.us / 100 % 10); };
  for (const Operation* operation : sorted) {
    text += "  " + ms(operation->invoked) + " to " + (operation->returned ? ms(*operation->returned) : "?") + " ms  " +
            operation->client + ": " + operation->input + " -> " + (operation->returned ? operation->output : "?") +
            "\n";
  }
  return text;
}

}  // namespace evercert::sim
