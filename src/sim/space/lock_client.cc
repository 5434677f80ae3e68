// SPDX-License-Identifier: Apache-2.0
#include "sim/space/lock_client.h"

namespace evercert::sim {
namespace {

namespace cv1 = coordination::v1;
constexpr std::int64_t kTtlSeconds = 3;
constexpr Duration kTtl = 3s;

}  // namespace

NodeId LockClient::somewhere() { return world_.nodes()[random_.below(world_.nodes().size())]; }

void LockClient::later(Duration delay, std::function<void()> work) {
  world_.at(delay, [this, attempt = attempt_, work = std::move(work)] {
    if (attempt == attempt_ && running_) work();
  });
}

void LockClient::begin() {
  ++attempt_;
  contender_.reset();
  holds_ = renewing_ = false;
  lease_ = static_cast<std::int64_t>(random_.next() >> 2 | 1);
  cv1::Command command;
  command.mutable_grant()->set_id(lease_);
  command.mutable_grant()->set_ttl(kTtlSeconds);
  const Instant sent = world_.now();
  nodes_.submit(somewhere(), std::move(command), [this, sent, attempt = attempt_](auto answer) {
    if (attempt != attempt_ || !running_) return;
    if (!answer || answer->refusal() != cv1::NONE) return later(300ms, [this] { begin(); });
    counts_on_ = sent + kTtl;
    renew_in_time();
    contend();
  });
}

// Now and then in the last moment, when the lease's end may be on its way already.
void LockClient::renew_in_time() {
  const Duration last_moment = counts_on_ - world_.now() + random_.between(-200ms, 100ms);
  later(random_.chance(0.2) ? std::max<Duration>(last_moment, 50ms) : Duration{700ms}, [this] { renew(); });
}

void LockClient::renew() {
  if (renewing_) return later(300ms, [this] { renew(); });
  renewing_ = true;
  cv1::Command command;
  command.mutable_renew()->set_id(lease_);
  const Instant sent = world_.now();
  nodes_.submit(somewhere(), std::move(command), [this, sent, attempt = attempt_](auto answer) {
    if (attempt != attempt_ || !running_) return;
    renewing_ = false;
    if (answer && answer->refusal() == cv1::LEASE_NOT_FOUND) {
      if (world_.now() < counts_on_) checker_.lease_gone_early(number_);
      return lose();
    }
    if (answer && answer->refusal() == cv1::NONE) counts_on_ = std::max(counts_on_, sent + kTtl);
    renew_in_time();
  });
}

void LockClient::contend() {
  cv1::Command command;
  auto* txn = command.mutable_txn();
  auto* compare = txn->add_compare();
  compare->set_key(key());
  compare->set_target(etcdserverpb::Compare::CREATE);
  auto* put = txn->add_success()->mutable_request_put();
  put->set_key(key());
  put->set_lease(lease_);
  txn->add_failure()->mutable_request_range()->set_key(key());
  nodes_.submit(somewhere(), std::move(command), [this, attempt = attempt_](auto answer) {
    if (attempt != attempt_ || !running_) return;
    if (!answer) return later(200ms, [this] { contend(); });
    if (answer->refusal() != cv1::NONE) return lose();
    const auto& txn_answer = answer->txn();
    token_ = txn_answer.header().revision();
    if (!txn_answer.succeeded()) {
      const auto& own = txn_answer.responses(0).response_range();
      if (own.kvs_size() == 0) return lose();
      token_ = own.kvs(0).create_revision();
    }
    look();
  });
}

// Asks one node for its place until it is the first; now and then another one, as who lost his connection does.
void LockClient::look() {
  if (contender_ == nullptr || nodes_.contenders(asked_) != table_ || random_.chance(0.1)) {
    contender_.reset();
    asked_ = somewhere();
    table_ = nodes_.contenders(asked_);
    if (table_ != nullptr) contender_ = std::make_unique<coordination::LockTable::Contender>(*table_, lock_, [] {});
  }
  if (contender_ != nullptr) {
    const auto standing = contender_->standing(token_);
    if (!standing) return checker_.violation("the key space cannot be read");
    using Place = coordination::LockTable::Place;
    if (standing->place == Place::kGone) return lose();
    if (standing->place == Place::kFirst && world_.now() < counts_on_) return acquired();
  }
  later(random_.between(30ms, 250ms), [this] { look(); });
}

void LockClient::acquired() {
  holds_ = true;
  checker_.holds(number_, lock_, token_);
  const Instant ends = world_.now() + random_.between(100ms, 6s);
  const bool dies = random_.chance(0.3);
  const auto watch = std::make_shared<std::function<void()>>();
  *watch = [this, ends, dies, again = std::weak_ptr(watch), attempt = attempt_] {
    if (attempt != attempt_ || !running_) return;
    const Instant now = world_.now();
    if (now >= counts_on_) return lose();  // it could not be renewed: not to be relied on any more
    if (now >= ends) {
      if (!dies) return release();
      return lose();
    }
    const auto next = std::min(std::min(ends - now, counts_on_ - now), Duration{50ms});
    later(next, [keep = again.lock()] { (*keep)(); });
  };
  (*watch)();
}

void LockClient::release() {
  checker_.holds_no_more(number_, lock_);
  holds_ = false;
  cv1::Command command;
  auto* txn = command.mutable_txn();
  auto* compare = txn->add_compare();
  compare->set_key(key());
  compare->set_target(etcdserverpb::Compare::CREATE);
  compare->set_create_revision(token_);
  txn->add_success()->mutable_request_delete_range()->set_key(key());
  nodes_.submit(somewhere(), std::move(command), [](auto) {});
  ++attempt_;
  later(random_.between(10ms, 400ms), [this] { begin(); });
}

// The lease is left to run out.
void LockClient::lose() {
  if (std::exchange(holds_, false)) checker_.holds_no_more(number_, lock_);
  ++attempt_;
  later(random_.between(10ms, 800ms), [this] { begin(); });
}

}  // namespace evercert::sim
