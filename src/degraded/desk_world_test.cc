// SPDX-License-Identifier: Apache-2.0
#include "degraded/desk_world_test.h"

namespace evercert::degraded {
namespace {

const std::string kDir = "/node/queue";
constexpr int kSteps = 400;

}  // namespace

DeskWorld::DeskWorld(std::uint64_t seed, QueueBug bug) : random_(seed) {
  limits_.bug = bug;
  limits_.most = 8 + random_.below(40);
  limits_.in_flight = 1 + random_.below(6);
  limits_.keep_ended = 30 * 24h;
  cluster_.began = [this](const v1::Operation& operation) { check_order(operation); };
}

std::optional<std::string> DeskWorld::run() {
  start_node();
  for (int i = 0; i < kSteps && !violated_; ++i) step();
  if (!violated_) check_end();
  clients_.reset();
  end_node(false);
  return violated_;
}

void DeskWorld::start_node() {
  attempted_.clear();
  waiting_.clear();
  clients_ = std::make_unique<TaskScope>();
  life_ = std::make_unique<testkit::MortalExecutor>(executor_);
  DeskOptions options{NodeId{257}, limits_, 200ms};
  desk_ = Desk::open(options, disk_, kDir, *life_, clocks_, wall_, random_);
  if (const auto why = desk_->summary().out_of_order; !why.empty()) violation("a sound disk is refused: " + why);
  desk_->start([this](Executor& on, v1::Operation operation) { return cluster_.perform(on, std::move(operation)); },
               [this] { return cluster_.majority || random_.chance(0.05); },
               {[this](const v1::Operation& operation) { waiting_[operation.id()] = operation.kind(); },
                [this](const v1::Operation& operation) { waiting_.erase(operation.id()); }});
}

void DeskWorld::end_node(bool power) {
  ++ends_;
  life_.reset();
  clients_.reset();
  desk_.reset();
  if (power) {
    disk_.crash(random_);
  } else {
    disk_.end_process();
  }
}

void DeskWorld::pass(Duration time) {
  // In small steps, so that clocks and timers agree.
  while (time > 0us) {
    const Duration part = std::min<Duration>(time, 10ms);
    clocks_.us += part.count();
    executor_.advance(part);
    time -= part;
  }
}

void DeskWorld::step() {
  switch (random_.below(20)) {
    case 0: cluster_.majority = !cluster_.majority; break;
    case 1:
      // Also with a write under way, or one whose sync has failed.
      if (random_.chance(0.3)) disk_.fail_next_sync();
      offer();
      if (random_.chance(0.5)) executor_.run();
      end_node(random_.chance(0.6));
      start_node();
      break;
    case 2: look_at_all(); break;
    case 3: drop_one(); break;
    case 4: pass(random_.between(1s, 40s)); break;
    default:
      for (auto many = random_.below(4); many > 0; --many) offer();
      if (random_.chance(0.5)) pass(random_.between(1ms, 800ms));
  }
}

void DeskWorld::offer() {
  v1::Operation wanted;
  wanted.set_kind(static_cast<v1::Kind>(1 + random_.below(3)));
  wanted.set_caller("client");
  wanted.set_digest("work " + std::to_string(++count_));
  if (random_.chance(0.4)) {
    wanted.set_key("key " + std::to_string(random_.below(60)));
    wanted.set_digest("work of " + wanted.key());
    wanted.set_kind(v1::REVOCATION);  // the same request each time
  }
  if (!wanted.key().empty()) wanted.set_repeat("client:" + wanted.key());
  const bool bad = wanted.key().empty() && random_.chance(0.1);
  if (bad) wanted.set_reason(SimulatedCluster::kBad);
  wanted.set_csr_pem(std::string(random_.below(300), 'c'));
  wanted.set_deadline_ms(wall_.now().ms + 20'000 + static_cast<std::int64_t>(random_.below(600'000)));
  const v1::Operation asked = wanted;
  clients_->spawn(desk_->offer(executor_, std::move(wanted), "no majority"),
                  [this, asked, bad](const Result<Queue::Accepted>& accepted) {
                    if (!accepted) return;
                    const v1::Operation& operation = accepted->operation;
                    if (accepted->repeated) ++repetitions_;
                    if (operation.digest() != asked.digest()) violation("another request is told to be this one");
                    told_.try_emplace(operation.id(), Told{operation.digest(), operation.kind(),
                                                           operation.deadline_ms(), bad, false, std::nullopt, ""});
                  });
}

void DeskWorld::look_at_all() {
  for (const auto& [id, told] : told_) look_at(id);
  executor_.run();
}

void DeskWorld::look_at(const std::string& id) {
  clients_->spawn(desk_->find(executor_, id), [this, id](const Result<v1::Operation>& found) { judge(id, found); });
}

void DeskWorld::judge(const std::string& id, const Result<v1::Operation>& found) {
  if (!found && found.error().code != Code::kNotFound) return;  // after a failed sync it says nothing
  if (!found) return violation("an acknowledged operation is lost");
  Told& told = told_.at(id);
  if (found->digest() != told.digest || found->kind() != told.kind) return violation("it is another operation by now");
  if (told.ended && *told.ended != found->state()) return violation("what has ended is told to be something else");
  if (found->state() == v1::QUEUED) return;
  const int effects = cluster_.effects[told.digest];
  if (found->state() == v1::DONE && effects == 0) return violation("done is said of what was never carried out");
  if (found->state() == v1::REFUSED && !told.bad) return violation("refused is said of what breaks no rule");
  if (found->state() == v1::EXPIRED && told.deadline_ms > wall_.now().ms) return violation("it expired early");
  if (found->state() == v1::DROPPED && !told.dropped) return violation("nobody dropped it");
  if (told.ended && told.serial != found->serial()) return violation("its result has changed");
  told.ended = found->state();
  told.serial = found->serial();
}

void DeskWorld::drop_one() {
  if (told_.empty()) return;
  auto chosen = told_.begin();
  std::advance(chosen, random_.below(told_.size()));
  chosen->second.dropped = true;  // asked for; it may be too late
  clients_->spawn(desk_->drop(executor_, chosen->first, "operator"), [](const auto&) {});
}

// Nothing begins while something that goes before it has not been attempted.
void DeskWorld::check_order(const v1::Operation& begun) {
  attempted_.insert(begun.id());
  if (cluster_.begun_twice) return violation("more than one attempt of an operation is under way");
  for (const auto& [id, kind] : waiting_) {
    if (kind < begun.kind() && !attempted_.contains(id)) violation("a later kind begins first");
  }
}

// The majority stays: everything comes to an end, once.
void DeskWorld::check_end() {
  cluster_.majority = true;
  end_node(random_.chance(0.5));
  start_node();
  for (int i = 0; i < 200 && desk_->summary().queue.waiting + (i < 2) > 0; ++i) pass(5s);
  if (desk_->summary().queue.waiting > 0) violation("something waits for ever");
  look_at_all();
  for (const auto& [id, told] : told_) {
    if (!told.ended) return violation("an acknowledged operation has no end");
  }
  for (const auto& [digest, effects] : cluster_.effects) {
    if (effects > 1) return violation("carried out twice");
  }
  clients_->spawn(desk_->reports(executor_), [this](const Result<std::vector<v1::Reconciliation>>& reports) {
    for (const auto& report : *reports) {
      if (report.ended_at_ms() == 0) violation("a reconciliation does not end");
      for (const auto& tally : report.tallies()) {
        if (tally.queued() != tally.done() + tally.refused() + tally.expired() + tally.dropped())
          violation("the numbers of a reconciliation do not add up");
      }
    }
  });
  executor_.run();
}

}  // namespace evercert::degraded
