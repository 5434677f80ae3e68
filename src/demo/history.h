// SPDX-License-Identifier: Apache-2.0
// What clients did and were told, and what follows from it. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"

namespace evercert::demo {

enum class Kind { kIssue, kRevoke, kOcsp, kGet, kCrl, kAcme };
std::string_view to_string(Kind kind);

struct Operation {
  Kind kind{};
  int region = 0;  // index of the client's region
  Instant begun, ended;
  bool ok = false;
  std::string record{};  // what it was about: a serial, or the region whose CRL it is; empty when nobody said
  // In the words of `history_file.h`: what was done or seen. Empty: the outcome is not known.
  std::string output{};
  std::string answered_by{};  // region, as the answer says
};

class History {
 public:
  void finished(Operation operation);
  void issued(const std::string& serial, int issuer);
  void revoked(const std::string& serial);
  void wrong_answer(std::string what);
  void failure(std::string what);

  // A certificate to work on: a recent one that is not being revoked; nullopt when there is none yet.
  struct Known {
    std::string serial;
    int issuer = 0;
    bool revoked = false;
  };
  std::optional<Known> pick(std::uint64_t random) const;
  std::optional<Known> pick_to_revoke(std::uint64_t random);
  Known expectation(const std::string& serial) const;

  struct Row {
    std::uint64_t requests = 0, failures = 0;
    double p50_ms = 0, p99_ms = 0;  // of issuing, in the last seconds
  };
  Row row(int region, Instant now) const;
  std::vector<Operation> operations() const;
  std::map<std::string, Known> certificates() const;
  std::uint64_t duplicates() const;
  std::vector<std::string> wrong_answers() const;
  std::vector<std::string> failures() const;

 private:
  mutable std::mutex mutex_;
  std::vector<Operation> operations_;
  std::map<std::string, Known> certificates_;
  std::vector<std::string> order_;
  std::set<std::string> being_revoked_;
  std::uint64_t duplicates_ = 0;
  std::vector<std::string> wrong_, failures_;
};

double quantile_ms(std::vector<double> values, double p);

}  // namespace evercert::demo
