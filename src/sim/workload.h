// SPDX-License-Identifier: Apache-2.0
// Clients: they issue, revoke and read, compare and set accounts, finalize orders, claim idempotency keys and publish
// CRLs, through any node, and remember what they were told.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/checkers.h"
#include "sim/world.h"

namespace evercert::sim {

struct WorkloadOptions {
  std::uint32_t clients = 1;  // each does one thing after another, and waits for no answer
  Duration pause_min = 5ms, pause_max = 60ms;
  double writes = 0.4;
  double revocations = 0.4;  // of writes, once there is something to revoke
  double abroad = 0.2;       // of issuances, in another region's group, as for an order begun elsewhere
  double others = 0.2;       // of everything: accounts, orders, claims, CRL numbers
  std::uint32_t recent = 6;  // reads choose among so many of the latest certificates
};

class Workload {
 public:
  // `random` is the workload's own: faults that are left out leave it alone.
  Workload(World& world, Checkers& checkers, SeededRandom random, WorkloadOptions options);
  void start();
  void stop() { running_ = false; }
  // Through each region once more: an issuance, and then a read of it.
  void last_round();
  // A region in which the last round was not done, though it serves as far as `person` knows.
  std::optional<RegionId> idle_region(const Operator& person) const;

  std::uint64_t issued() const { return issued_; }
  std::uint64_t revoked() const { return revoked_; }
  std::uint64_t fresh_reads() const { return fresh_reads_; }
  std::uint64_t stale_reads() const { return stale_reads_; }
  std::uint64_t other_writes() const { return other_writes_; }

 private:
  // What an account or an order is known as, and what a client believes of it.
  struct Account {
    std::string id;
    std::uint64_t version = 0;
  };
  using Told = std::function<void(const store::v1::Outcome&)>;

  void step();
  void issue(NodeId through);
  void issue(NodeId through, RegionId home);
  void revoke(NodeId through);
  void read(NodeId through);
  void read(NodeId through, const std::string& serial);
  void other(NodeId through);
  void change_account(NodeId through);
  void read_account(NodeId through);
  void order(NodeId through);
  void read_order(NodeId through);
  void claim(NodeId through);
  void publish_crl(NodeId through);
  void put_crl(NodeId through, RegionId issuer, std::uint64_t epoch, std::uint64_t number);

  // Sends the command and writes its answer into the history: `word` of an Outcome that was done, otherwise "conflict"
  // or "missing". `done` after an answer that something was done.
  void submit(NodeId through, GroupId group, const store::v1::Command& command, Histories::Id id,
              std::function<std::string(const store::v1::Outcome&)> word, Told done = {});
  void freshen(NodeId through, GroupId group, const std::string& record, Histories::Id id,
               std::function<std::string(const std::optional<std::string>&)> word);
  std::string client(NodeId through);
  RegionId any_region();
  std::string new_serial(RegionId home);
  bool sign(NodeId through, const std::string& serial, store::v1::Certificate* certificate);

  World& world_;
  Checkers& checkers_;
  SeededRandom random_;
  WorkloadOptions options_;
  bool running_ = true;
  bool last_round_ = false;
  std::set<RegionId> served_;  // in it
  std::uint64_t last_number_ = 0;
  std::vector<std::string> known_;    // acknowledged serials
  std::vector<std::string> started_;  // serials, whether acknowledged or not
  std::vector<Account> accounts_;
  std::vector<std::string> orders_;
  std::uint64_t issued_ = 0, revoked_ = 0, fresh_reads_ = 0, stale_reads_ = 0, other_writes_ = 0;
};

}  // namespace evercert::sim
