// SPDX-License-Identifier: Apache-2.0
// Rare branches, counted, so that a campaign of the simulator can say which of them it has reached and which not.
// EC_PROBE("a torn tail is cut off") stands on the branch. Costs a relaxed increment where it is passed and nothing
// elsewhere; it knows of itself before it is passed for the first time.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace evercert {

class Probe {
 public:
  explicit Probe(const char* name) : name_(name), next_(first_) { first_ = this; }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  void hit() { count_.fetch_add(1, std::memory_order_relaxed); }
  // Of the whole process, by name.
  static std::map<std::string, std::uint64_t> counts() {
    std::map<std::string, std::uint64_t> all;
    for (const Probe* probe = first_; probe != nullptr; probe = probe->next_) {
      all[probe->name_] += probe->count_.load(std::memory_order_relaxed);
    }
    return all;
  }

 private:
  const char* name_;
  const Probe* next_;
  std::atomic<std::uint64_t> count_{0};
  static inline constinit const Probe* first_ = nullptr;
};

template <std::size_t N>
struct ProbeName {
  char text[N];
  consteval ProbeName(const char (&name)[N]) { std::copy_n(name, N, text); }
};
// One object per name, made before main().
template <ProbeName Name>
struct NamedProbe {
  static inline Probe probe{Name.text};
};

}  // namespace evercert

#define EC_PROBE(name) ::evercert::NamedProbe<name>::probe.hit()
