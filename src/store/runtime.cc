// SPDX-License-Identifier: Apache-2.0
#include "store/runtime.h"

#include <atomic>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "store/catalog.h"
#include "store/coordination_state.h"
#include "store/keys.h"
#include "store/kv/rocks_kv.h"

namespace evercert::store {
namespace {

class RuntimeImpl : public Runtime, private PeerSink {
 public:
  RuntimeImpl(RuntimeOptions options, Executor& executor, MonotonicClock& clock, WallClock& wall, Random& random,
              SendBatch send, std::function<void(Error)> on_fatal)
      : options_(std::move(options)),
        executor_(executor),
        clock_(clock),
        wall_(wall),
        random_(random),
        send_(std::move(send)),
        on_fatal_(std::move(on_fatal)),
        start_id_(static_cast<std::uint64_t>(wall.now().ms)),
        board_(kMostRegions + 1u) {}

  ~RuntimeImpl() override { stop(); }

  Status open(Disk& disk) {
    EC_TRY(disk.make_dirs(options_.data_dir + "/log"));
    EC_ASSIGN(log_, Log::open(disk, options_.data_dir + "/log", {}));
    EC_ASSIGN(kv_, open_rocks_kv(options_.data_dir + "/state", {}));
    EC_ASSIGN(engine_,
              Engine::open(options_.engine, *log_, *kv_, *this, random_, wall_, board_, start_id_, clock_.now()));
    engine_->on_certificate_changed = [this](const v1::Certificate& certificate) {
      std::lock_guard lock(callbacks_mutex_);
      for (auto& callback : callbacks_) callback(certificate);
    };
    engine_->on_coordination = [this](const coordination::Effects& effects) {
      std::lock_guard lock(callbacks_mutex_);
      for (auto& callback : coordination_callbacks_) callback(effects);
    };
    engine_->more_coming = [this] {
      std::lock_guard lock(inbox_mutex_);
      return !inbox_.empty();
    };
    engine_->on_records_replaced = [this] {
      std::lock_guard lock(callbacks_mutex_);
      for (auto& callback : replaced_callbacks_) callback();
    };
    update_status(clock_.now());
    schedule_tick();
    return {};
  }

  void received(NodeId from, std::string batch) override {
    {
      std::lock_guard lock(heard_mutex_);
      heard_[from] = clock_.now();
    }
    enqueue(options_.peers, [this, from, batch = std::move(batch)](Instant now) {
      v1::Batch parsed;
      if (parsed.ParseFromString(batch)) engine_->receive(from, parsed, now);
    });
  }
  void unreachable(NodeId node) override {
    enqueue(options_.peers, [this, node](Instant) { engine_->unreachable(node); });
  }

  std::map<NodeId, Instant> last_heard() override {
    std::lock_guard lock(heard_mutex_);
    return heard_;
  }

  void stop() override {
    std::unique_lock lock(inbox_mutex_);
    stopped_ = true;
    turn_ended_.wait(lock, [this] { return !in_turn_; });
  }

  bool recovering() override { return recovering_.load(); }
  bool doubted() const override { return engine_->options().doubted; }
  const std::string& cluster_id() const override { return engine_->options().cluster_id; }
  std::uint64_t start_id() const override { return start_id_; }

  Task<Result<v1::Outcome>> submit(Executor& on, GroupId group, v1::Command command, Duration timeout) override {
    const Instant deadline = clock_.now() + timeout;
    auto start = [this, group, deadline, bytes = command.SerializeAsString()](auto resolve) mutable {
      auto shared = std::make_shared<decltype(resolve)>(std::move(resolve));
      const bool taken =
          enqueue(options_.clients, [this, group, deadline, bytes = std::move(bytes), shared](Instant) mutable {
            engine_->submit(group, std::move(bytes), deadline,
                            [shared](Result<v1::Outcome> outcome) { (*shared)(std::move(outcome)); });
          });
      if (!taken) (*shared)(fail(Code::kUnavailable, "the node is stopping"));
    };
    auto answered = suspend_on<Result<v1::Outcome>>(on, std::move(start));
    auto result = co_await answered;
    if (!result) co_return fail(std::move(result).error());
    if (result->code() != 0) co_return fail(static_cast<Code>(result->code() - 1), result->message());
    co_return std::move(*result);
  }

  Task<Freshness> freshen(Executor& on, GroupId group, std::string record, Duration timeout) override {
    const Instant now = clock_.now();
    if (board_.fresh_now(group, record, now)) co_return Freshness::kFresh;
    auto start = [&](auto resolve) {
      auto shared = std::make_shared<decltype(resolve)>(std::move(resolve));
      const bool taken = enqueue(options_.peers, [this, group, record, deadline = now + timeout, shared](Instant at) {
        engine_->freshen(
            group, record, deadline, [shared](Freshness freshness) { (*shared)(freshness); }, at);
      });
      if (!taken) (*shared)(Freshness::kStale);
    };
    auto answered = suspend_on<Freshness>(on, std::move(start));
    co_return co_await answered;
  }

  bool fresh_now(GroupId group, std::string_view record) override {
    return board_.fresh_now(group, record, clock_.now());
  }

  std::vector<std::string> pending_revocations(GroupId group) override {
    return board_.tail(group).pending_revocations();
  }

  Result<std::optional<v1::Certificate>> certificate(std::string_view serial) override {
    EC_ASSIGN(const auto group, home_of_serial(serial, regions()));
    auto found = load<v1::Certificate>(group, certificate_record(serial));
    if (found && *found && is_void(**found)) return std::optional<v1::Certificate>{};
    return found;
  }
  Result<std::optional<v1::Account>> account(std::string_view id) override {
    EC_ASSIGN(const auto group, home_of_acme_id(id, regions()));
    return load<v1::Account>(group, account_record(id));
  }
  Result<std::optional<std::string>> account_of_key(std::string_view thumbprint) override {
    const auto view = engine_->membership().view();
    const GroupId group = home_group(home_of_thumbprint(thumbprint, {view->founding, view->witnesses}));
    EC_ASSIGN(const auto bound, load<v1::ClaimAccountKey>(group, account_key_record(thumbprint)));
    return bound ? std::optional(bound->account_id()) : std::nullopt;
  }
  Result<std::optional<v1::Order>> order(std::string_view id) override {
    EC_ASSIGN(const auto group, home_of_acme_id(id, regions()));
    return load<v1::Order>(group, order_record(id));
  }
  Result<std::optional<v1::Authorization>> authorization(std::string_view id) override {
    EC_ASSIGN(const auto group, home_of_acme_id(id, regions()));
    return load<v1::Authorization>(group, authorization_record(id));
  }
  Result<std::optional<v1::Crl>> crl(RegionId issuer) override {
    return load<v1::Crl>(home_group(issuer), crl_record(issuer));
  }

  Result<std::optional<BoundKey>> request_key(std::string_view key) override {
    const std::string record = request_key_record(key);
    for (std::uint32_t g = 0; g <= regions(); ++g) {
      const GroupId group{g};
      // The tail first: an entry that is applied in between is found in the state then.
      const bool pending = board_.tail(group).pending(record) != LogIndex{0};
      EC_ASSIGN(const auto bound, load<v1::ClaimRequestKey>(group, record));
      if (bound) return BoundKey{bound->serial(), bound->request_digest(), group, true};
      if (pending) return BoundKey{{}, {}, group, false};
    }
    return std::optional<BoundKey>{};
  }

  Result<std::vector<std::string>> order_ids(std::string_view account_id, std::string_view after,
                                             std::size_t limit) override {
    // The first letter of an id is its group, so groups in order are ids in order.
    std::vector<std::string> found;
    for (std::uint32_t g = 1; g <= regions() && found.size() < limit; ++g) {
      const std::string prefix = state_key(GroupId{g}, order_index_record(account_id));
      const std::string from = after.empty() ? prefix : prefix + std::string(after) + '\0';
      EC_TRY(kv_->scan(from, prefix + '\x7f', limit - found.size(), [&](std::string_view key, std::string_view) {
        found.emplace_back(key.substr(prefix.size()));
        return true;
      }));
    }
    return found;
  }

  Result<bool> alone_with_key(std::string_view key, std::string_view serial) override {
    const std::string record = request_key_record(key);
    EC_ASSIGN(const auto home, home_of_serial(serial, regions()));
    for (std::uint32_t g = 1; g <= regions(); ++g) {
      const GroupId group{g};
      const bool pending = board_.tail(group).pending(record) != LogIndex{0};  // first: see request_key()
      EC_ASSIGN(const auto bound, load<v1::ClaimRequestKey>(group, record));
      if (group == home ? !bound || bound->serial() != serial : pending || bound) return false;
    }
    return true;
  }

  Result<std::vector<v1::Certificate>> list_certificates(std::string_view after, std::size_t limit) override {
    // The first byte of a serial number is its group, so groups in order are serials in order.
    std::vector<v1::Certificate> found;
    const std::uint32_t first = after.empty() ? 1 : static_cast<std::uint8_t>(after[0]);
    for (std::uint32_t g = std::max(1u, first); g <= regions() && found.size() < limit; ++g) {
      const GroupId group{g};
      std::string from = state_key(group, certificate_record(""));
      if (g == first && !after.empty()) from = state_key(group, certificate_record(after)) + '\0';
      bool sound = true;
      EC_TRY(kv_->scan(from, state_key(group, "c0"), SIZE_MAX, [&](std::string_view, std::string_view value) {
        if (found.size() == limit) return false;
        if (value.empty()) return true;  // voided
        sound = found.emplace_back().ParseFromArray(value.data(), static_cast<int>(value.size()));
        return sound;
      }));
      if (!sound) return fail(Code::kCorrupt, "a stored certificate does not parse");
    }
    return found;
  }

  Status revoked_certificates(RegionId issuer, std::int64_t now_seconds,
                              const std::function<void(const v1::Certificate&)>& each) override {
    for (std::uint32_t g = 1; g <= regions(); ++g) {
      const GroupId group{g};
      std::vector<std::string> serials;
      const std::string prefix = state_key(group, revoked_index_record(issuer, ""));
      const std::string end =
          state_key(group, revoked_index_record(RegionId{static_cast<std::uint8_t>(issuer.value + 1)}, ""));
      EC_TRY(kv_->scan(prefix, end, SIZE_MAX, [&](std::string_view key, std::string_view value) {
        std::int64_t not_after = 0;
        std::from_chars(value.data(), value.data() + value.size(), not_after);
        if (not_after >= now_seconds) serials.emplace_back(key.substr(prefix.size()));
        return true;
      }));
      for (const auto& serial : serials) {
        EC_ASSIGN(const auto found, load<v1::Certificate>(group, certificate_record(serial)));
        if (found) each(*found);
      }
    }
    return {};
  }

  Result<v1::Sweep> find_swept(GroupId group, const SweepLimits& limits, std::size_t most, SweepPlace& place) override {
    return store::find_swept(*kv_, group, limits, most, place);
  }

  void on_certificate_changed(std::function<void(const v1::Certificate&)> callback) override {
    std::lock_guard lock(callbacks_mutex_);
    callbacks_.push_back(std::move(callback));
  }

  void on_records_replaced(std::function<void()> callback) override {
    std::lock_guard lock(callbacks_mutex_);
    replaced_callbacks_.push_back(std::move(callback));
  }

  std::unique_ptr<coordination::View> coordination_view() override { return store::coordination_view(*kv_); }
  void on_coordination(std::function<void(const coordination::Effects&)> applied,
                       std::function<void()> replaced) override {
    std::lock_guard lock(callbacks_mutex_);
    coordination_callbacks_.push_back(std::move(applied));
    replaced_callbacks_.push_back(std::move(replaced));
  }
  std::optional<Duration> lease_remaining(std::int64_t lease) override {
    return engine_->coordination_leases().remaining(lease, clock_.now());
  }

  std::vector<GroupStatus> group_status() override {
    std::lock_guard lock(status_mutex_);
    return status_;
  }

  std::uint64_t certificate_count() override {
    std::uint64_t total = 0;
    for (std::uint32_t g = 1; g <= regions(); ++g) {
      const auto stored = kv_->get(state_key(GroupId{g}, certificate_count_record()));
      std::uint64_t count = 0;
      if (stored && *stored) std::from_chars((*stored)->data(), (*stored)->data() + (*stored)->size(), count);
      total += count;
    }
    return total;
  }

  bool clock_trusted() override { return clock_trusted_.load(); }
  std::int64_t clock_offset_ms() override { return clock_offset_ms_.load(); }
  Epoch epoch() override { return engine_->membership().epoch(); }
  std::shared_ptr<const MembershipView> membership() override { return engine_->membership().view(); }
  Result<Epoch> signing_epoch() override { return engine_->membership().signing_epoch(clock_.now()); }

 private:
  using Event = std::move_only_function<void(Instant)>;

  // Those that the cluster has and those that its file names: one may be ahead of the other.
  std::uint8_t regions() const { return std::max(options_.engine.layout.regions, engine_->membership().regions()); }

  template <class Record>
  Result<std::optional<Record>> load(GroupId group, const std::string& record) {
    EC_ASSIGN(const auto bytes, kv_->get(state_key(group, record)));
    if (!bytes) return std::optional<Record>{};
    Record parsed;
    if (!parsed.ParseFromString(*bytes)) return fail(Code::kCorrupt, "a stored record does not parse");
    return std::optional<Record>{std::move(parsed)};
  }

  bool enqueue(const RuntimeOptions::Rest& rest, Event event) {
    std::lock_guard lock(inbox_mutex_);
    if (stopped_) return false;
    inbox_.push_back(std::move(event));
    const Instant due = last_turn_ended_ + std::min(rest.per_turn * last_turn_, rest.longest);
    if (due >= next_turn_) return true;  // a turn is coming that will do
    next_turn_ = due;
    auto next = [this, alive = std::weak_ptr<int>(alive_)] {
      if (alive.lock()) turn();
    };
    const Duration wait = due - clock_.now();
    if (wait > Duration{0}) {
      executor_.post_after(wait, std::move(next));
    } else {
      executor_.post(std::move(next));
    }
    return true;
  }

  void turn() {
    std::vector<Event> events;
    {
      std::lock_guard lock(inbox_mutex_);
      if (stopped_ || inbox_.empty()) return;  // empty: a turn that was due earlier has taken everything
      next_turn_ = kNoTurn;
      in_turn_ = true;
      events.swap(inbox_);
    }
    const Instant now = clock_.now();
    for (auto& event : events) event(now);
    const Status flushed = engine_->flush(clock_.now());
    if (now >= next_status_) {
      next_status_ = now + 200ms;
      update_status(now);
    }
    {
      std::lock_guard lock(inbox_mutex_);
      in_turn_ = false;
      if (!flushed) stopped_ = true;
      last_turn_ended_ = clock_.now();
      last_turn_ = last_turn_ended_ - now;
    }
    turn_ended_.notify_all();
    if (!flushed) on_fatal_(flushed.error());
  }

  void schedule_tick() {
    executor_.post_after(options_.engine.tick, [this, alive = std::weak_ptr<int>(alive_)] {
      if (!alive.lock()) return;
      if (enqueue(options_.peers, [this](Instant now) { engine_->tick(now); })) schedule_tick();
    });
  }

  void update_status(Instant now) {
    auto fresh = engine_->status(now);
    clock_trusted_.store(engine_->clock_trusted(now));
    clock_offset_ms_.store(engine_->clock_offset_ms(now));
    recovering_.store(engine_->recovering());
    std::lock_guard lock(status_mutex_);
    status_ = std::move(fresh);
  }

  void send(NodeId to, const v1::Batch& batch) override { send_(to, batch.SerializeAsString()); }

  RuntimeOptions options_;
  Executor& executor_;
  MonotonicClock& clock_;
  WallClock& wall_;
  Random& random_;
  SendBatch send_;
  std::function<void(Error)> on_fatal_;
  std::uint64_t start_id_;
  FreshnessBoard board_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<Kv> kv_;
  std::unique_ptr<Engine> engine_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);

  std::mutex inbox_mutex_;
  std::condition_variable turn_ended_;
  std::vector<Event> inbox_;
  static constexpr Instant kNoTurn{INT64_MAX};
  Instant next_turn_ = kNoTurn;  // is scheduled for then
  Instant last_turn_ended_;
  Duration last_turn_{0};
  bool in_turn_ = false;
  bool stopped_ = false;

  std::mutex heard_mutex_;
  std::map<NodeId, Instant> heard_;  // the transport has proved who they are

  std::mutex callbacks_mutex_;
  std::vector<std::function<void(const v1::Certificate&)>> callbacks_;
  std::vector<std::function<void()>> replaced_callbacks_;
  std::vector<std::function<void(const coordination::Effects&)>> coordination_callbacks_;
  std::mutex status_mutex_;
  std::vector<GroupStatus> status_;
  Instant next_status_;
  std::atomic<bool> clock_trusted_{true};
  std::atomic<std::int64_t> clock_offset_ms_{0};
  std::atomic<bool> recovering_{true};
};

}  // namespace

Result<std::unique_ptr<Runtime>> Runtime::open(RuntimeOptions options, Executor& executor, MonotonicClock& clock,
                                               WallClock& wall, Random& random, Disk& disk, SendBatch send,
                                               std::function<void(Error)> on_fatal) {
  auto runtime = std::make_unique<RuntimeImpl>(std::move(options), executor, clock, wall, random, std::move(send),
                                               std::move(on_fatal));
  EC_TRY(runtime->open(disk));
  return runtime;
}

}  // namespace evercert::store
