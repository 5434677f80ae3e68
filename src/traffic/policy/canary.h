// SPDX-License-Identifier: Apache-2.0
// A new release gets a share of the traffic first; when it does worse than the old one at the same time, the share goes
// back to nothing by itself and stays there until a person begins anew. Compared is with the old release now, not with
// a figure from yesterday: what hurts both is not the release's fault. Source: Google's "Canarying releases" (SRE
// Workbook); the comparison of error rates is the two-proportion z-test.
// Pure; one thread, or a mutex of the caller; a choice is O(1), a result O(1) but for one comparison a second.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "traffic/policy/latency_window.h"

namespace evercert::traffic {

enum class Release : std::uint8_t { kStable, kCanary };
enum class CanaryWish : std::uint8_t { kNone, kStable, kCanary };  // what a header asks for

// "always": the canary; "never": the stable one; anything else: no wish.
CanaryWish parse_canary_wish(std::string_view header);

struct CanaryOptions {
  std::uint64_t least_calls = 200;  // of each release in the window, before anything is compared
  Duration window = 60s;
  double errors_sigma = 4;      // by chance once in 30,000 comparisons
  double errors_margin = 0.01;  // and by so much more of all its calls
  double latency_quantile = 0.95;
  double latency_factor = 1.5;
  Duration latency_margin = 5ms;  // and by so much: below it nobody notices
  int comparisons_in_a_row = 3;   // for latency, which has no test of chance
  Duration compare_every = 1s;
};

class Canary {
 public:
  explicit Canary(CanaryOptions options = {});

  // From 0 to 10,000 (100 %). Also after a rollback: that is how a person begins anew; what was counted is forgotten.
  void begin(std::uint32_t per_ten_thousand);
  // `client`: a hash of what names the client (its account, else its address), so that it stays with what it has. When
  // the share grows, nobody goes back. After a rollback everybody gets the stable one, whatever the wish.
  Release choose(std::uint64_t client, CanaryWish wish = CanaryWish::kNone) const;
  // true: it was rolled back by this.
  bool finished(Release release, bool failed, Duration took, Instant now);

  // Until begin(). True.
  bool roll_back(std::string why);
  bool rolled_back() const { return rolled_back_; }
  const std::string& why() const { return why_; }  // for a person; empty before a rollback
  std::uint32_t share() const { return rolled_back_ ? 0 : share_; }

 private:
  static constexpr std::size_t kSlices = 6;
  struct Counts {
    std::uint64_t calls = 0, failed = 0;
  };
  struct Side {
    explicit Side(Duration window) : latencies(window) {}
    std::array<Counts, kSlices> slices{};
    std::int64_t at = 0;
    LatencyWindow latencies;
  };
  Counts recent(Side& side, Instant now) const;
  bool compare(Instant now);

  CanaryOptions options_;
  std::uint32_t share_ = 0;
  bool rolled_back_ = false;
  std::string why_;
  std::array<Side, 2> sides_;
  Instant compared_;
  int slower_in_a_row_ = 0;
};

}  // namespace evercert::traffic
