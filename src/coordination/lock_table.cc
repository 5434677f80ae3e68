// SPDX-License-Identifier: Apache-2.0
#include "coordination/lock_table.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/probe.h"
#include "coordination/keyspace.h"

namespace evercert::coordination {
namespace {

constexpr std::size_t kMostOfIdle = 1000;  // contenders; of a name with more nothing is kept when nobody asks for it

}  // namespace

struct LockTable::Lock {
  explicit Lock(std::string n) : name(std::move(n)) {}

  void change(const mvccpb::Event& event);
  void wake(std::int64_t token) {
    const auto [first, last] = waiting.equal_range(token);
    std::vector<Contender*> woken;
    for (auto it = first; it != last; ++it) woken.push_back(it->second);
    waiting.erase(first, last);
    for (Contender* contender : woken) contender->wake_();
  }
  void wait_no_more(const Contender& contender) {
    const auto [first, last] = waiting.equal_range(contender.token_);
    const auto entry = std::find_if(first, last, [&](const auto& one) { return one.second == &contender; });
    if (entry != last) waiting.erase(entry);
  }
  void wake_all() {
    for (auto& [token, contender] : std::exchange(waiting, {})) contender->wake_();
  }

  const std::string name;
  enum class State { kUnknown, kLoading, kLoaded } state = State::kUnknown;
  std::set<std::pair<std::int64_t, std::string>> keys;  // create revision and key: in the order in which they hold it
  std::int64_t loaded_at = 0;                           // the revision of the view from which they were read
  std::vector<std::shared_ptr<const mvccpb::Event>> meanwhile;  // came while it was read
  std::multimap<std::int64_t, Contender*> waiting;              // by token
  std::size_t users = 0;
  std::optional<std::list<Lock*>::iterator> idle;
};

void LockTable::Lock::change(const mvccpb::Event& event) {
  const auto& kv = event.kv();
  if (kv.mod_revision() <= loaded_at) return;
  if (event.type() == mvccpb::Event::PUT) {
    if (keys.emplace(kv.create_revision(), kv.key()).second) wake(kv.create_revision());
    return;
  }
  const std::int64_t token = event.prev_kv().create_revision();
  const auto gone = keys.find({token, kv.key()});
  if (gone == keys.end()) return;
  const bool held = gone == keys.begin();
  keys.erase(gone);
  wake(token);
  if (held && !keys.empty()) wake(keys.begin()->first);
}

void LockTable::applied(const Effects& effects) {
  std::lock_guard lock(mutex_);
  revision_ = effects.meta.revision;
  if (locks_.empty()) return;
  for (const auto& event : effects.events) {
    const std::string_view key = event->kv().key();
    for (auto slash = key.find('/'); slash != std::string_view::npos; slash = key.find('/', slash + 1)) {
      const auto found = locks_.find(key.substr(0, slash));
      if (found == locks_.end()) continue;
      Lock& concerned = *found->second;
      if (concerned.state == Lock::State::kLoaded) concerned.change(*event);
      if (concerned.state == Lock::State::kLoading) concerned.meanwhile.push_back(event);
    }
  }
}

void LockTable::replaced() {
  std::lock_guard lock(mutex_);
  for (auto& [name, one] : locks_) {
    one->state = Lock::State::kUnknown;
    one->wake_all();
  }
}

// Reads who contends. What is applied while it reads is either in what it reads or told to it, or both.
Status LockTable::load(Lock& lock, std::unique_lock<std::mutex>& held) {
  lock.state = Lock::State::kLoading;
  lock.meanwhile.clear();
  held.unlock();
  const auto view = view_();
  etcdserverpb::RangeRequest request;
  request.set_key(lock.name + "/");
  request.set_range_end(end_of(lock.name + "/"));
  const auto meta = read_meta(*view);
  const auto found = read_range(*view, request);
  held.lock();
  if (lock.state != Lock::State::kLoading) return {};  // replaced meanwhile: once more
  lock.state = Lock::State::kUnknown;
  lock.wake_all();  // those who came while it was read
  if (!meta) return fail(meta.error());
  if (!found) return fail(found.error());
  lock.state = Lock::State::kLoaded;
  lock.loaded_at = meta->revision;
  lock.keys.clear();
  for (const auto& kv : found->kvs()) lock.keys.emplace(kv.create_revision(), kv.key());
  for (const auto& event : std::exchange(lock.meanwhile, {})) lock.change(*event);
  return {};
}

LockTable::Place LockTable::judge(const Lock& lock, std::int64_t token) const {
  const auto& keys = lock.keys;
  if (bug_ == Bug::kHoldUnseen) return keys.empty() || keys.begin()->first >= token ? Place::kFirst : Place::kBehind;
  const auto own = keys.lower_bound({token, ""});
  if (own == keys.end() || own->first != token)
    return std::max(revision_, lock.loaded_at) < token ? Place::kUnseen : Place::kGone;
  return keys.begin()->first == token ? Place::kFirst : Place::kBehind;
}

LockTable::Contender::Contender(LockTable& table, const std::string& name, std::function<void()> wake)
    : table_(table), wake_(std::move(wake)) {
  std::lock_guard lock(table_.mutex_);
  const auto found = table_.locks_.find(name);
  if (found != table_.locks_.end()) {
    lock_ = found->second;
  } else {
    lock_ = std::make_shared<Lock>(name);
    table_.locks_.emplace(lock_->name, lock_);
  }
  if (lock_->idle) table_.idle_.erase(*std::exchange(lock_->idle, std::nullopt));
  ++lock_->users;
  ++table_.contenders_;
}

LockTable::Contender::~Contender() { table_.take_leave(*this); }

void LockTable::take_leave(Contender& contender) {
  std::lock_guard lock(mutex_);
  const auto left = contender.lock_;
  left->wait_no_more(contender);
  --contenders_;
  if (--left->users > 0) return;
  if (left->keys.size() > kMostOfIdle) {
    locks_.erase(left->name);
    return;
  }
  left->idle = idle_.insert(idle_.end(), left.get());
  if (idle_.size() <= most_idle_) return;
  const auto oldest = locks_.find(idle_.front()->name)->second;
  idle_.pop_front();
  locks_.erase(oldest->name);
}

Result<LockTable::Standing> LockTable::Contender::standing(std::int64_t token) {
  std::unique_lock held(table_.mutex_);
  lock_->wait_no_more(*this);
  token_ = token;
  while (lock_->state == Lock::State::kUnknown) EC_TRY(table_.load(*lock_, held));
  const Place place = lock_->state == Lock::State::kLoading ? Place::kUnseen : table_.judge(*lock_, token);
  if (place == Place::kUnseen || place == Place::kBehind) lock_->waiting.emplace(token, this);
  if (place == Place::kUnseen) EC_PROBE("a contender's key is not applied yet where he asks");
  return Standing{place, std::max(table_.revision_, lock_->loaded_at)};
}

std::size_t LockTable::contenders() const {
  std::lock_guard lock(mutex_);
  return contenders_;
}

}  // namespace evercert::coordination
