// SPDX-License-Identifier: Apache-2.0
#include "demo/judge.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/encoding.h"
#include "sim/record_specs.h"

namespace evercert::demo {
namespace {

using sim::RecordKind;

bool writes(Kind kind) { return kind == Kind::kIssue || kind == Kind::kRevoke || kind == Kind::kAcme; }
double ms(Duration d) { return static_cast<double>(d.count()) / 1000; }

class Judge {
 public:
  Judge(const config::ClusterConfig& config, Judged& out) : config_(config), out_(out) {
    out_.regions.resize(config.regions.size());
  }

  void certificates(const std::vector<Operation>& operations, const std::vector<StoreAtEnd>& stores, Instant ended) {
    std::set<std::string> serials;
    for (const auto& operation : operations) {
      if (operation.kind == Kind::kCrl || operation.record.empty()) continue;
      serials.insert(operation.record);
      add(operation);
    }
    out_.certificates = serials.size();
    for (const auto& store : stores) {
      for (const auto& serial : serials) {
        const auto found = store.certificates.find(serial);
        const auto id =
            histories_.invoked(RecordKind::kCertificate, to_hex(serial), store.node, RegionId{0}, "read", ended);
        histories_.returned(id, found == store.certificates.end() ? "absent" : found->second, ended + 1us);
      }
    }
    if (const auto finding = histories_.judge_all(false, &out_.undecided))
      out_.violations.push_back(sim::to_text(*finding));
  }

  void lists(std::vector<Operation> operations) {
    std::map<std::pair<std::string, std::uint64_t>, std::string> bytes;  // by region and number
    struct Seen {
      std::uint64_t number = 0;
      Instant returned;
    };
    std::map<std::pair<std::string, std::string>, std::vector<Seen>> seen;  // by region and who answered
    std::sort(operations.begin(), operations.end(), [](const auto& a, const auto& b) { return a.ended < b.ended; });
    for (const auto& operation : operations) {
      if (operation.kind != Kind::kCrl || !operation.ok) continue;
      std::uint64_t number = 0;
      const auto end = operation.output.data() + operation.output.size();
      const auto [rest, error] = std::from_chars(operation.output.data(), end, number);
      const std::string list = "CRL " + std::to_string(number) + " of " + operation.record;
      if (error != std::errc()) {
        out_.violations.push_back("a CRL without a number: " + operation.output);
        continue;
      }
      const std::string digest(rest, end);
      if (bytes.try_emplace({operation.record, number}, digest).first->second != digest)
        out_.violations.push_back(list + " exists with two contents");
      auto& before = seen[{operation.record, operation.answered_by}];
      for (const Seen& earlier : before) {
        if (earlier.returned < operation.begun && earlier.number > number) {
          out_.violations.push_back(list + " was given by " + operation.answered_by + " after number " +
                                    std::to_string(earlier.number));
          break;
        }
      }
      if (before.empty() || before.back().number < number) before.push_back({number, operation.ended});
    }
  }

  void summarize(const std::vector<Operation>& operations) {
    if (operations.empty()) return;
    Instant begun = operations.front().begun, ended = operations.front().ended;
    for (const auto& operation : operations) {
      begun = std::min(begun, operation.begun);
      ended = std::max(ended, operation.ended);
      auto& region = out_.regions[static_cast<std::size_t>(operation.region)];
      ++region.operations;
      if (!operation.ok) {
        ++region.failed;
        region.reads_failed += writes(operation.kind) || operation.output == "refused" ? 0 : 1;
      }
      out_.unknown_outcomes += !operation.ok && writes(operation.kind) && operation.output.empty() ? 1 : 0;
      out_.refused += operation.output == "refused" ? 1 : 0;
      out_.stale += operation.output.starts_with("stale ") ? 1 : 0;
      out_.acme_orders += operation.kind == Kind::kAcme && operation.ok ? 1 : 0;
    }
    for (std::size_t r = 0; r < out_.regions.size(); ++r) {
      std::vector<Instant> times{begun};
      for (const auto& operation : operations) {
        if (operation.region == static_cast<int>(r) && operation.ok && writes(operation.kind))
          times.push_back(operation.ended);
      }
      std::sort(times.begin(), times.end());
      for (std::size_t i = 1; i < times.size(); ++i) {
        auto& longest = out_.regions[r].longest_write_gap_ms;
        longest = std::max(longest, ms(times[i] - times[i - 1]));
      }
      out_.regions[r].last_write_before_end_ms = ms(ended - times.back());
    }
  }

 private:
  void add(const Operation& operation) {
    const std::string client(config_.regions[static_cast<std::size_t>(operation.region)].name + " by " +
                             std::string(to_string(operation.kind)));
    const auto begin = [&](const char* input) {
      return histories_.invoked(RecordKind::kCertificate, to_hex(operation.record), client, RegionId{0}, input,
                                operation.begun);
    };
    switch (operation.kind) {
      case Kind::kIssue:
      case Kind::kAcme: histories_.returned(begin("issue"), "ok", operation.ended); return;
      case Kind::kRevoke: {
        const auto id = begin("revoke");
        if (operation.ok) histories_.returned(id, "ok", operation.ended);
        if (operation.output == "already revoked") histories_.returned(id, "conflict", operation.ended);
        if (operation.output == "refused") histories_.not_done(id);
        return;
      }
      case Kind::kOcsp:
      case Kind::kGet:
        if (operation.ok && !operation.output.starts_with("stale "))
          histories_.returned(begin("read"), operation.output == "unknown" ? "absent" : operation.output,
                              operation.ended);
        return;
      case Kind::kCrl: return;
    }
  }

  const config::ClusterConfig& config_;
  Judged& out_;
  sim::Histories histories_;
};

}  // namespace

Judged judge(const config::ClusterConfig& config, const std::vector<Operation>& operations,
             const std::vector<StoreAtEnd>& stores, Instant ended) {
  Judged out;
  Judge judge(config, out);
  judge.certificates(operations, stores, ended);
  judge.lists(operations);
  judge.summarize(operations);
  return out;
}

}  // namespace evercert::demo
