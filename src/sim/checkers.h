// SPDX-License-Identifier: Apache-2.0
// What must hold in every run, whatever fails. Each checker sees only what a user or an auditor could see: what was
// answered, what was read, what each replica applied.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/membership_checker.h"
#include "sim/record_specs.h"
#include "sim/world.h"

namespace evercert::sim {

struct CheckerOptions {
  bool leaders = true;          // one leader per term of a group
  bool logs = true;             // no two replicas apply different entries at an index
  bool freshness = true;        // a fresh read sees every write acknowledged before it began
  bool durability = true;       // at the end every replica that stores has everything acknowledged
  bool convergence = true;      // at the end all replicas are equal, and witnesses have no records
  bool linearizability = true;  // of every record: all that clients were told has an order that explains it
  bool membership = true;       // epochs, fences and floors (membership_checker.h)
  bool across_regions = true;   // of all regions' reads in one; otherwise each region's with all writes
  // Each region's home group acknowledges writes at least so often, from the first one on until the workload ends.
  std::optional<Duration> write_gap;
};

class Checkers {
 public:
  Checkers(World& world, CheckerOptions options);

  // --- what clients were told
  void issued(const std::string& serial);
  void revoked(const std::string& serial);
  void wrote(GroupId group);
  void end_of_writes();
  // The longest time in which a home group acknowledged nothing.
  Duration longest_silence() const { return longest_silence_; }
  // What a fresh read that began now must see at the least.
  struct Expectation {
    bool exists = false;
    bool revoked = false;
  };
  Expectation expectation(const std::string& serial) const;
  void read(NodeId where, const std::string& serial, Expectation expected, bool exists, bool revoked);

  // A CRL number that `signer` was given for a list of `issuer`, as it knew the membership in `epoch`.
  void crl_number(RegionId issuer, RegionId signer, std::uint64_t epoch, std::uint64_t number) {
    if (options_.membership) membership_.crl_number(issuer, signer, epoch, number);
  }

  Histories& histories() { return histories_; }
  // The operator whose word stands at the end.
  void set_operator(const Operator& person) { operator_ = &person; }
  // Fences, floors and re-admissions are done with; true when nobody looks.
  bool membership_finished() const { return !options_.membership || !membership_.unfinished(operator_); }
  std::uint64_t undecided() const { return undecided_; }

  // At the end, when all nodes are up and the network is whole.
  void check_end();

  void violation(std::string what);
  const std::optional<std::string>& found() const { return found_; }

 private:
  void check_linearizable();
  void check_durable();
  void check_convergence();
  void check_witness(NodeId node, GroupId group, const std::string& key);
  void check_leaders(NodeId node);
  void check_applied(NodeId node, GroupId group, LogIndex index, Term term, const std::string& data);

  World& world_;
  CheckerOptions options_;
  std::optional<std::string> found_;
  MembershipChecker membership_;
  const Operator* operator_ = nullptr;
  Histories histories_;
  std::uint64_t undecided_ = 0;  // histories too long to be judged
  std::map<GroupId, Instant> last_write_;
  Duration longest_silence_{};
  bool writes_ended_ = false;
  std::map<std::string, bool> acknowledged_;  // serial: revocation acknowledged too
  std::map<std::pair<GroupId, Term>, NodeId> leaders_;
  std::map<std::pair<GroupId, LogIndex>, std::pair<Term, std::size_t>> applied_;  // hash of the data
};

}  // namespace evercert::sim
