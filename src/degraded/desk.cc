// SPDX-License-Identifier: Apache-2.0
#include "degraded/desk.h"

#include "base/encoding.h"
#include "base/log.h"

namespace evercert::degraded {
namespace {

constexpr std::size_t kNodeBytes = 2, kRandomBytes = 12;

// The node that keeps it, then chance: whoever is asked for it knows whom to ask.
std::string make_id(NodeId node, Random& random) {
  const char place[kNodeBytes] = {static_cast<char>(node.value >> 8), static_cast<char>(node.value)};
  return to_hex({place, kNodeBytes}) + to_hex(random.bytes(kRandomBytes));
}

}  // namespace

Result<NodeId> keeper_of(const std::string& id) {
  const auto bytes = from_hex(id);
  if (!bytes || bytes->size() != kNodeBytes + kRandomBytes)
    return fail(Code::kInvalid, "this is no id of a queued operation: it has 28 hexadecimal digits");
  return NodeId{static_cast<std::uint64_t>(static_cast<unsigned char>((*bytes)[0])) << 8 |
                static_cast<unsigned char>((*bytes)[1])};
}

std::unique_ptr<Desk> Desk::open(DeskOptions options, Disk& disk, const std::string& dir, Executor& executor,
                                 MonotonicClock& clock, WallClock& wall, Random& random) {
  std::unique_ptr<Desk> desk(new Desk(options, executor, clock, wall, random));
  const auto load = [&]() -> Status {
    EC_ASSIGN(desk->disk_, QueueDisk::open(disk, dir, options.limits));
    EC_ASSIGN(desk->queue_, Queue::restore(options.limits, desk->disk_->records()));
    return {};
  };
  if (const Status loaded = load(); !loaded) {
    desk->out_of_order_ = loaded.error().message;
    desk->queue_.reset();
    log_error("queue: " + desk->out_of_order_);
  } else if (desk->queue_->waiting_count() > 0) {
    log_warning("queue: " + std::to_string(desk->queue_->waiting_count()) + " operations of an earlier life wait");
  }
  desk->publish();
  return desk;
}

void Desk::start(Perform perform, std::function<bool()> allowed, Watcher watcher) {
  perform_ = std::move(perform);
  allowed_ = std::move(allowed);
  watcher_ = std::move(watcher);
  executor_.post([this] {
    if (!well()) return;
    for (const auto& operation : queue_->waiting(queue_->waiting_count())) watcher_.queued(operation);
    look();
  });
}

Status Desk::well() const {
  if (out_of_order_.empty()) return {};
  return fail(Code::kUnavailable, "the queue of this node is out of order: " + out_of_order_);
}

// Runs `ask` on the executor, and gives what it says once all that was changed by then is on the disk.
template <class T, class Ask>
Task<Result<T>> Desk::ask(Executor& on, Ask ask) {
  auto start = [this, &ask](auto resolve) {
    executor_.post([this, ask = std::move(ask), resolve = std::move(resolve)]() mutable {
      if (const Status fit = well(); !fit) return resolve(Result<T>(fail(fit.error())));
      Result<T> told = ask();
      // Nothing of it waits for the disk.
      if (!queue_->changed() && answers_.empty()) return resolve(std::move(told));
      auto shared = std::make_shared<std::pair<Result<T>, decltype(resolve)>>(std::move(told), std::move(resolve));
      answer_later([shared](const Status& written) {
        shared->second(written ? std::move(shared->first) : Result<T>(fail(written.error())));
      });
    });
  };
  auto asked = suspend_on<Result<T>>(on, std::move(start));
  co_return co_await asked;
}

Task<Result<Queue::Accepted>> Desk::offer(Executor& on, v1::Operation wanted, std::string why) {
  auto offering = [this, wanted = std::move(wanted), why = std::move(why)]() mutable -> Result<Queue::Accepted> {
    wanted.set_id(make_id(options_.self, random_));
    if (wanted.repeat().empty()) wanted.set_repeat("queued:" + wanted.id());
    auto accepted = queue_->offer(std::move(wanted), why, now());
    if (accepted && !accepted->repeated && watcher_.queued) watcher_.queued(accepted->operation);
    return accepted;
  };
  return ask<Queue::Accepted>(on, std::move(offering));
}

Task<Result<v1::Operation>> Desk::find(Executor& on, std::string id) {
  auto finding = [this, id = std::move(id)]() -> Result<v1::Operation> {
    auto found = queue_->find(id);
    if (!found) return fail(Code::kNotFound, "nothing is queued under this id, or it was forgotten by now");
    return std::move(*found);
  };
  return ask<v1::Operation>(on, std::move(finding));
}

Task<Result<std::vector<v1::Operation>>> Desk::waiting(Executor& on, std::size_t limit) {
  auto listing = [this, limit]() -> Result<std::vector<v1::Operation>> { return queue_->waiting(limit); };
  return ask<std::vector<v1::Operation>>(on, std::move(listing));
}

Task<Result<std::vector<v1::Reconciliation>>> Desk::reports(Executor& on) {
  auto listing = [this]() -> Result<std::vector<v1::Reconciliation>> { return queue_->reports(); };
  return ask<std::vector<v1::Reconciliation>>(on, std::move(listing));
}

Task<Result<v1::Operation>> Desk::drop(Executor& on, std::string id, std::string by) {
  auto dropping = [this, id = std::move(id), by = std::move(by)] { return queue_->drop(id, by, now()); };
  return ask<v1::Operation>(on, std::move(dropping));
}

// With the planted bug at once, before the disk has it.
void Desk::answer_later(std::function<void(const Status&)> answer) {
  if (options_.limits.bug == QueueBug::kAnswerBeforeSync) {
    answer({});
  } else {
    answers_.push_back(std::move(answer));
  }
  // What is asked meanwhile shares the sync.
  if (!std::exchange(flush_posted_, true)) executor_.post([this] { flush(); });
}

void Desk::flush() {
  flush_posted_ = false;
  auto answers = std::exchange(answers_, {});
  Status written = well();
  if (written) {
    if (auto changes = queue_->take_changes(); !changes.empty()) {
      if (const Status wrote = disk_->write(std::move(changes)); !wrote) {
        out_of_order_ = wrote.error().message + ": start the node again";
        log_error("queue: " + out_of_order_);
        written = fail(Code::kUnknownOutcome, "the queue's disk refused: " + wrote.error().message);
      }
    }
  }
  if (written) tell();
  publish();
  for (auto& answer : answers) answer(written);
}

void Desk::look() {
  pump();
  executor_.post_after(options_.look, [this] { look(); });
}

void Desk::pump() {
  pump_posted_ = false;
  if (!well()) return;
  queue_->expire(now());
  std::vector<v1::Operation> begun;
  if (queue_->waiting_count() > 0 && allowed_()) begun = queue_->begin(now());
  if (queue_->changed()) flush();  // that they are doubtful from now on, before they are attempted
  if (!well()) return;
  for (auto& operation : begun) perform(std::move(operation));
}

void Desk::perform(v1::Operation operation) {
  std::string id = operation.id();
  performing_.spawn(perform_(executor_, std::move(operation)), [this, id](const Result<std::string>& outcome) {
    if (!well()) return;
    queue_->attempted(id, outcome, now());
    answer_later([](const Status&) {});
    // The next ones may begin.
    if (!std::exchange(pump_posted_, true)) executor_.post([this] { pump(); });
  });
}

// What is durable now.
void Desk::tell() {
  for (const auto& operation : queue_->take_ended()) {
    if (watcher_.ended) watcher_.ended(operation);
    log_info("queue: " + std::string(to_string(operation.kind())) + " " + operation.id() + " of " + operation.caller() +
             " is " + std::string(to_string(operation.state())) +
             (operation.detail().empty() ? "" : ": " + operation.detail()));
  }
  for (const auto& report : queue_->take_reports()) {
    log_warning("queue: reconciliation " + std::to_string(report.number()) + " is complete after " +
                std::to_string((report.ended_at_ms() - report.first_queued_at_ms()) / 1000) +
                " s: " + describe(report) + "; longest wait " + std::to_string(report.longest_wait_ms() / 1000) + " s");
  }
}

void Desk::publish() {
  std::lock_guard lock(mutex_);
  if (queue_) summary_.queue = queue_->summary();
  summary_.out_of_order = out_of_order_;
}

Desk::Summary Desk::summary() const {
  std::lock_guard lock(mutex_);
  return summary_;
}

}  // namespace evercert::degraded
