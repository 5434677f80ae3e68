// SPDX-License-Identifier: Apache-2.0
// What one stored certificate, or one put into the key space, costs in three stores: their engines on one thread, with
// the real log, the real state and messages that are encoded and parsed as between processes, without gRPC:
//   taskset -c 0 build/store_bench FOLDER certificate [commands a turn] [turns] [bytes of a certificate]
//   taskset -c 0 build/store_bench FOLDER put [commands a turn] [turns] [bytes of a value]
//   taskset -c 0 build/store_bench FOLDER lock [commands a turn] [turns]    taken and given back: two commands
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "base/os/system.h"
#include "coordination/proposer.h"
#include "store/engine.h"
#include "store/kv/rocks_kv.h"

namespace {

using namespace evercert;

Instant now() { return os::monotonic_clock().now(); }

double cpu_us(int whose) {
  rusage used{};
  getrusage(whose, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
         static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

class Member : public store::PeerSink {
 public:
  Member(NodeId id, const store::Layout& layout, std::map<NodeId, std::unique_ptr<Member>>& members)
      : id_(id), members_(members), board_(layout.groups()) {}

  Status open(const store::Layout& layout, const std::string& dir) {
    EC_TRY(os::disk().make_dirs(dir));
    EC_ASSIGN(log_, store::Log::open(os::disk(), dir + "/log", {}));
    EC_ASSIGN(kv_, store::open_rocks_kv(dir + "/state", {}));
    store::EngineOptions options;
    options.layout = layout;
    options.self = id_;
    options.cluster_id = "bench";
    EC_ASSIGN(engine_, store::Engine::open(options, *log_, *kv_, *this, os::secure_random(), os::wall_clock(), board_,
                                           static_cast<std::uint64_t>(os::wall_clock().now().ms), now()));
    return {};
  }

  void send(NodeId to, const store::v1::Batch& batch) override {
    members_.at(to)->inbox_.emplace_back(id_, batch.SerializeAsString());
  }
  bool turn() {
    auto batches = std::exchange(inbox_, {});
    const bool any = !batches.empty();
    for (const auto& [from, bytes] : batches) {
      store::v1::Batch parsed;
      if (parsed.ParseFromString(bytes)) engine_->receive(from, parsed, now());
    }
    return any;
  }
  Status flush() { return engine_->flush(now()); }
  store::Engine& engine() { return *engine_; }

 private:
  NodeId id_;
  std::map<NodeId, std::unique_ptr<Member>>& members_;
  store::FreshnessBoard board_;
  std::unique_ptr<store::Log> log_;
  std::unique_ptr<store::Kv> kv_;
  std::unique_ptr<store::Engine> engine_;
  std::vector<std::pair<NodeId, std::string>> inbox_;
};

std::string issue_command(std::size_t der_bytes) {
  auto& random = os::secure_random();
  store::v1::Command command;
  auto* certificate = command.mutable_issue()->mutable_certificate();
  std::string serial = random.bytes(16);
  serial[0] = 1;
  certificate->set_serial(serial);
  certificate->set_der(random.bytes(der_bytes));
  certificate->set_issuer_region(1);
  certificate->set_profile("server");
  certificate->set_not_before(1'700'000'000);
  certificate->set_not_after(1'710'000'000);
  certificate->set_issued_at_ms(1'700'000'000'000);
  certificate->set_epoch(1);
  certificate->set_request_digest(random.bytes(32));
  certificate->set_spki_sha256(random.bytes(32));
  return command.SerializeAsString();
}

// Who submits what, in turn.
class Load {
 public:
  virtual ~Load() = default;
  virtual GroupId group() const = 0;
  virtual void submit(store::Engine& engine, NodeId at, std::function<void(bool)> done) = 0;
};

class Certificates : public Load {
 public:
  explicit Certificates(std::size_t bytes) : bytes_(bytes) {}
  GroupId group() const override { return GroupId{1}; }
  void submit(store::Engine& engine, NodeId, std::function<void(bool)> done) override {
    engine.submit(group(), issue_command(bytes_), now() + 10s,
                  [done](Result<store::v1::Outcome> outcome) { done(outcome && outcome->code() == 0); });
  }

 private:
  std::size_t bytes_;
};

// What clients ask of the key space, by way of the three nodes.
class Space : public Load {
 public:
  GroupId group() const override { return kGlobalGroup; }
  void submit(store::Engine& engine, NodeId at, std::function<void(bool)> done) override {
    auto& proposer = proposers_.try_emplace(at, at.value, 1).first->second;
    auto command = next();
    const auto waiting = std::make_shared<coordination::Proposed>(proposer, command);
    store::v1::Command entry;
    entry.set_coordination(command.SerializeAsString());
    engine.submit(group(), entry.SerializeAsString(), now() + 10s, [done, waiting](Result<store::v1::Outcome> outcome) {
      coordination::v1::Answer answer;
      done(outcome && outcome->code() == 0 && answer.ParseFromString(outcome->coordination()) &&
           answer.refusal() == coordination::v1::NONE);
    });
  }

 private:
  virtual coordination::v1::Command next() = 0;
  std::map<NodeId, coordination::Proposer> proposers_;
};

// As clients of a node put: 256 of them, each its own thousand keys, one after the other.
class Puts : public Space {
 public:
  explicit Puts(std::size_t bytes) : value_(bytes, 'v') {}

 private:
  coordination::v1::Command next() override {
    coordination::v1::Command command;
    const std::uint64_t client = count_ % 256, key = count_ / 256 % 1000;
    ++count_;
    command.mutable_put()->set_key("bench/" + std::to_string(client) + "/" + std::to_string(key));
    command.mutable_put()->set_value(value_);
    return command;
  }
  std::string value_;
  std::uint64_t count_ = 0;
};

// 256 clients, each with a lock and a lease of its own.
class LockPairs : public Space {
  static constexpr std::uint64_t kClients = 256;
  coordination::v1::Command next() override {
    coordination::v1::Command command;
    const std::uint64_t client = count_ % kClients, round = count_ / kClients;
    ++count_;
    const auto lease = static_cast<std::int64_t>(0x5eed'0000'0000'0001 + client);
    if (round == 0) {
      command.mutable_grant()->set_id(lease);
      command.mutable_grant()->set_ttl(300);
      return command;
    }
    const std::string key = "lock/" + std::to_string(client) + "/" + std::to_string(lease);
    if (round % 2 == 0) {
      command.mutable_delete_range()->set_key(key);
      return command;
    }
    auto* txn = command.mutable_txn();
    auto* compare = txn->add_compare();
    compare->set_target(etcdserverpb::Compare::CREATE);
    compare->set_key(key);
    auto* put = txn->add_success()->mutable_request_put();
    put->set_key(key);
    put->set_lease(lease);
    txn->add_failure()->mutable_request_range()->set_key(key);
    return command;
  }
  std::uint64_t count_ = 0;
};

Status run(const std::string& dir, Load& load, int a_turn, int turns) {
  store::Layout layout;
  layout.regions = 3;
  for (std::uint8_t r = 1; r <= 3; ++r) layout.nodes.push_back(node_id(RegionId{r}, 1));
  std::map<NodeId, std::unique_ptr<Member>> members;
  for (const NodeId node : layout.nodes) members[node] = std::make_unique<Member>(node, layout, members);
  for (auto& [id, member] : members) EC_TRY(member->open(layout, dir + "/" + std::to_string(id.value)));
  Instant next_tick = now();
  const auto round = [&]() -> Status {
    const bool tick = now() >= next_tick;
    if (tick) next_tick = now() + 50ms;
    for (auto& [id, member] : members) {
      if (tick) member->engine().tick(now());
      member->turn();
      EC_TRY(member->flush());
    }
    return {};
  };
  store::Engine& leader = members.begin()->second->engine();
  const auto leased = [&] {
    return std::all_of(members.begin(), members.end(), [&](const auto& m) {
      const auto status = m.second->engine().status(now());
      return std::all_of(status.begin(), status.end(), [](const auto& s) { return s.leased; });
    });
  };
  while (!leader.group(load.group()).leads() || !leased()) EC_TRY(round());

  long answered = 0, failed = 0, submitted = 0;
  double spent = 0;
  const double all_before = cpu_us(RUSAGE_SELF);
  const Instant begun = now();
  for (int i = 0; i < turns || answered < submitted; ++i) {
    const double from = cpu_us(RUSAGE_THREAD);
    for (int n = 0; n < a_turn && i < turns; ++n) {
      const auto at = std::next(members.begin(), load.group() == kGlobalGroup ? n % 3 : 0);
      ++submitted;
      load.submit(at->second->engine(), at->first, [&](bool well) {
        ++answered;
        failed += well ? 0 : 1;
      });
    }
    EC_TRY(round());
    spent += cpu_us(RUSAGE_THREAD) - from;
  }
  const double seconds = static_cast<double>((now() - begun).count()) / 1e6;
  const auto n = static_cast<double>(answered);
  std::printf(
      "%ld commands, %ld failed, %.0f a second; each costs in three stores %.1f us of this thread, %.1f us with "
      "RocksDB's own threads\n",
      answered, failed, n / seconds, spent / n, (cpu_us(RUSAGE_SELF) - all_before) / n);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 2 ? argv[2] : "certificate";
  if (argc < 2 || (what != "certificate" && what != "put" && what != "lock")) {
    std::fprintf(stderr, "usage: store_bench FOLDER certificate|put|lock [commands a turn] [turns] [bytes of one]\n");
    return 2;
  }
  const auto number = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  std::unique_ptr<Load> load;
  if (what == "put") {
    load = std::make_unique<Puts>(static_cast<std::size_t>(number(5, 256)));
  } else if (what == "lock") {
    load = std::make_unique<LockPairs>();
  } else {
    load = std::make_unique<Certificates>(static_cast<std::size_t>(number(5, 700)));
  }
  const Status done = run(argv[1], *load, number(3, what == "certificate" ? 12 : 120), number(4, 4000));
  if (!done) std::fprintf(stderr, "store_bench: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
