// SPDX-License-Identifier: Apache-2.0
#include "sim/record_specs.h"

#include <charconv>
#include <set>

namespace evercert::sim {
namespace {

using State = std::optional<std::string>;

// "put 3 x" -> {"put", "3 x"}
std::pair<std::string_view, std::string_view> split(std::string_view text) {
  const auto space = text.find(' ');
  if (space == std::string_view::npos) return {text, {}};
  return {text.substr(0, space), text.substr(space + 1)};
}

State when(bool possible, const std::string& then) { return possible ? State(then) : std::nullopt; }

class CertificateSpec : public Specification {
 public:
  std::string initial() const override { return "absent"; }
  State apply(const std::string& state, const Operation& op) const override {
    const bool known = op.returned.has_value();
    if (op.input == "read") return when(!known || op.output == state, state);
    if (op.input == "issue") {
      if (!known) return state == "absent" ? "good" : state;
      if (op.output == "conflict") return when(state != "absent", state);
      if (state == "absent") return "good";
      return when(op.output == "repeated", state);
    }
    // revoke
    if (!known) return state == "good" ? "revoked" : state;
    if (op.output == "missing") return when(state == "absent", state);
    if (op.output == "conflict") return when(state == "revoked", state);
    return when(state == "good", "revoked");
  }
};

// State: "VERSION VALUE", "0 " when there is none.
class AccountSpec : public Specification {
 public:
  std::string initial() const override { return "0 "; }
  State apply(const std::string& state, const Operation& op) const override {
    const bool known = op.returned.has_value();
    if (op.input == "read") return when(!known || op.output == state, state);
    const auto [expected, value] = split(split(op.input).second);
    const std::string_view version = split(state).first;
    const bool fits = version == expected;
    if (known && op.output == "conflict") return when(!fits, state);
    if (!fits) return when(!known, state);
    std::uint64_t number = 0;
    std::from_chars(version.data(), version.data() + version.size(), number);
    return std::to_string(number + 1) + " " + std::string(value);
  }
};

class OrderSpec : public Specification {
 public:
  std::string initial() const override { return "absent"; }
  State apply(const std::string& state, const Operation& op) const override {
    const bool known = op.returned.has_value();
    if (op.input == "read") return when(!known || op.output == state, state);
    if (op.input == "create") return state == "absent" ? "ready" : when(!known, state);
    const std::string wanted(split(op.input).second);
    if (!known) return state == "ready" ? wanted : state;
    if (op.output == "missing") return when(state == "absent", state);
    const std::string after = state == "ready" ? wanted : state;
    return when(state != "absent" && op.output == after, after);
  }
};

class ClaimSpec : public Specification {
 public:
  std::string initial() const override { return ""; }
  State apply(const std::string& state, const Operation& op) const override {
    const std::string after = state.empty() ? std::string(split(op.input).second) : state;
    return when(!op.returned || op.output == after, after);
  }
};

// Numbers may be left out: a command whose answer was lost takes one with every attempt.
class NumberSpec : public Specification {
 public:
  std::string initial() const override { return "0"; }
  State apply(const std::string& state, const Operation& op) const override {
    if (!op.returned) return state;
    return when(std::stoull(op.output) > std::stoull(state), op.output);
  }
};

std::string_view name(RecordKind kind) {
  switch (kind) {
    case RecordKind::kCertificate: return "certificate";
    case RecordKind::kAccount: return "account";
    case RecordKind::kOrder: return "order";
    case RecordKind::kClaim: return "idempotency key";
    case RecordKind::kCrlNumber: return "CRL number of region";
  }
  return "?";
}

}  // namespace

const Specification& specification(RecordKind kind) {
  static const CertificateSpec certificate;
  static const AccountSpec account;
  static const OrderSpec order;
  static const ClaimSpec claim;
  static const NumberSpec number;
  switch (kind) {
    case RecordKind::kCertificate: return certificate;
    case RecordKind::kAccount: return account;
    case RecordKind::kOrder: return order;
    case RecordKind::kClaim: return claim;
    case RecordKind::kCrlNumber: return number;
  }
  return certificate;
}

Histories::Id Histories::invoked(RecordKind kind, const std::string& record, std::string client, RegionId place,
                                 std::string input, Instant now) {
  if (on_event) on_event(record, client + ": " + input);
  auto& entries = records_[{kind, record}];
  entries.push_back({{std::move(client), now, std::nullopt, std::move(input), {}, place.value}});
  return {{kind, record}, entries.size() - 1};
}

void Histories::returned(const Id& id, std::string output, Instant now) {
  Operation& operation = records_.at(id.record)[id.operation].operation;
  operation.output = std::move(output);
  operation.returned = now;
  if (on_event) on_event(id.record.second, operation.client + ": " + operation.input + " -> " + operation.output);
}

void Histories::not_done(const Id& id) {
  Entry& entry = records_.at(id.record)[id.operation];
  entry.happened = false;
  if (on_event)
    on_event(id.record.second, entry.operation.client + ": " + entry.operation.input + " -> nothing was done");
}

std::size_t Histories::operations() const {
  std::size_t all = 0;
  for (const auto& [record, entries] : records_) all += entries.size();
  return all;
}

std::optional<Histories::Finding> Histories::judge_all(bool apart, std::uint64_t* undecided) const {
  for (const auto& [record, entries] : records_) {
    std::vector<Operation> all;
    std::set<std::uint32_t> places;
    for (const Entry& entry : entries) {
      const bool idle = entry.operation.input == "read" && !entry.operation.returned;  // says nothing
      if (!entry.happened || idle) continue;
      all.push_back(entry.operation);
      if (apart && entry.operation.input == "read") places.insert(entry.operation.place);
    }
    if (places.empty()) places.insert(0);
    for (const std::uint32_t place : places) {
      std::vector<Operation> history = all;
      std::erase_if(history, [&](const Operation& op) { return apart && op.input == "read" && op.place != place; });
      Judgement judgement = judge(specification(record.first), history, 300'000);
      if (judgement.verdict == Verdict::kUndecided) ++*undecided;
      if (judgement.verdict == Verdict::kNotLinearizable) return Finding{record, std::move(history), judgement};
    }
  }
  return std::nullopt;
}

std::string to_text(const Histories::Finding& finding) {
  const Operation& stuck = finding.history[finding.judgement.stuck];
  return "not linearizable: " + std::string(name(finding.record.first)) + " " + finding.record.second +
         ": no order of " + std::to_string(finding.history.size()) + " operations explains '" + stuck.client + ": " +
         stuck.input + " -> " + stuck.output + "'\n" + to_text(finding.history);
}

}  // namespace evercert::sim
