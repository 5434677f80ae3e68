// SPDX-License-Identifier: Apache-2.0
#include "sim/space/space_clients.h"

#include "coordination/keyspace.h"

namespace evercert::sim {
namespace {

namespace cv1 = coordination::v1;
const std::string kCount = "count/it";

std::int64_t number_of(const std::optional<mvccpb::KeyValue>& kv) { return kv ? std::stoll(kv->value()) : 0; }

}  // namespace

void Writer::step() {
  cv1::Command command;
  const std::string key = "w/" + std::to_string(random_.below(5));
  const std::string value = "once/" + std::to_string(number_) + "/" + std::to_string(++last_);
  command.mutable_put()->set_key(key);
  command.mutable_put()->set_value(value);
  nodes_.submit(somewhere(), std::move(command), [this, key, value](auto answer) {
    if (answer && answer->refusal() == cv1::NONE) checker_.acknowledged(answer->put().header().revision(), key, value);
  });
  again(random_.between(10ms, 300ms));
}

void Counter::step() {
  nodes_.read(somewhere(), [this](const coordination::View* view) {
    if (view == nullptr) return again(100ms);
    const auto before = coordination::find_key(*view, kCount);
    if (!before) return checker_.violation("the key space cannot be read");
    const std::int64_t next = number_of(*before) + 1;
    cv1::Command command;
    auto* txn = command.mutable_txn();
    auto* compare = txn->add_compare();
    compare->set_key(kCount);
    compare->set_target(etcdserverpb::Compare::MOD);
    compare->set_mod_revision(*before ? (*before)->mod_revision() : 0);
    auto* put = txn->add_success()->mutable_request_put();
    put->set_key(kCount);
    put->set_value(std::to_string(next));
    // Another counter may come in between.
    world_.at(random_.between(0ms, 100ms), [this, command, next] {
      nodes_.submit(somewhere(), command, [this, next](auto answer) {
        if (answer && answer->refusal() == cv1::NONE && answer->txn().succeeded()) checker_.counted(next);
        again(random_.between(10ms, 200ms));
      });
    });
  });
}

void Compactor::step() {
  const auto at = checker_.last_revision() - static_cast<std::int64_t>(random_.below(30));
  if (at > 1) {
    cv1::Command command;
    command.mutable_compact()->set_revision(at);
    nodes_.submit(somewhere(), std::move(command), [](auto) {});
  }
  again(random_.between(1s, 5s));
}

void Watcher::attach(NodeId node) {
  if (attached()) hub_->remove(watch_);
  node_ = node;
  hub_ = nodes_.hub(node);
  life_ = nodes_.life(node);
  if (hub_ == nullptr) return;
  coordination::WatchRequest wanted{coordination::key_range(prefix_, coordination::end_of(prefix_)), next_, true, true};
  const auto added = hub_->add(std::move(wanted), [] {});
  if (!added) return checker_.violation("the key space cannot be read");
  watch_ = *added;
}

bool Watcher::take() {
  const auto news = hub_->take(watch_, 200);
  if (!news) {
    checker_.violation("the history cannot be read");
    return false;
  }
  if (news->compacted) {
    gaps_.emplace_back(next_, *news->compacted);
    next_ = *news->compacted;
    attach(node_);
    return true;
  }
  for (const auto& event : news->events) {
    events_.push_back(seen(*event));
    next_ = event->kv().mod_revision() + 1;
  }
  return !news->events.empty() || news->more;
}

void Watcher::step() {
  if (!attached() || random_.chance(0.05)) attach(somewhere());
  if (attached()) take();
  again(random_.chance(0.1) ? random_.between(1s, 3s) : random_.between(10ms, 200ms));
}

void Watcher::finish() {
  if (!attached()) attach(world_.nodes().front());
  for (int round = 0; attached() && round < 100'000 && take();) ++round;
  checker_.watched(prefix_, events_, checker_.last_revision(), gaps_);
}

}  // namespace evercert::sim
