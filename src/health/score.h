// SPDX-License-Identifier: Apache-2.0
// Scores of health from 0 to 100, and how those of parts make that of a whole, each with the reasons for what is
// missing, so that a person reads "eu-central-1 62: lag p99 180 ms, HSM 2 of 3" and not a number alone. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace evercert::health {

struct Reason {
  double points = 0;  // so many are missing for it
  std::string text;
};

struct Score {
  double points = 100;
  std::vector<Reason> reasons;  // the weightiest first

  // "62: lag p99 180 ms, HSM 2 of 3"; of reasons at most `most`.
  std::string to_text(std::size_t most = 4) const;
};

// 100 up to `good`, 0 from `bad` on, and a straight line between. good < bad.
double graded(double value, double good, double bad);

// A measured value, as a score. `text` is the reason, when there is one.
Score measured(double value, double good, double bad, std::string text);

// All are needed: the whole is as good as its worst part, a little worse for every other that is not well (a tenth of
// what that one lacks).
Score all_of(const std::vector<Score>& parts);

// Equal replicas, any of which does: the mean of them, and nothing while fewer than `least` are above 0. The reason is
// "HSM 2 of 3", with what the worst of them says.
Score any_of(std::string_view name, const std::vector<Score>& replicas, std::size_t least = 1);

// Parts of different weight (regions by what they can carry): the weighted mean. Weights above 0.
struct Weighted {
  std::string name;
  double weight = 1;
  Score score;
};
Score mean_of(const std::vector<Weighted>& parts);

}  // namespace evercert::health
