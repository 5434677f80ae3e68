// SPDX-License-Identifier: Apache-2.0
#include "health/score.h"

#include <algorithm>
#include <cmath>

namespace evercert::health {
namespace {

void sort(std::vector<Reason>& reasons) {
  std::stable_sort(reasons.begin(), reasons.end(),
                   [](const Reason& a, const Reason& b) { return a.points > b.points; });
}

}  // namespace

std::string Score::to_text(std::size_t most) const {
  std::string text = std::to_string(std::lround(points));
  for (std::size_t i = 0; i < std::min(most, reasons.size()); ++i) text += (i == 0 ? ": " : ", ") + reasons[i].text;
  if (reasons.size() > most) text += ", and " + std::to_string(reasons.size() - most) + " more";
  return text;
}

double graded(double value, double good, double bad) {
  if (value <= good) return 100;
  if (!(value < bad)) return 0;  // also what is not a number
  return 100 * (bad - value) / (bad - good);
}

Score measured(double value, double good, double bad, std::string text) {
  const double points = graded(value, good, bad);
  if (points >= 100) return {100, {}};
  return {points, {{100 - points, std::move(text)}}};
}

Score all_of(const std::vector<Score>& parts) {
  Score whole;
  const auto worst =
      std::min_element(parts.begin(), parts.end(), [](const Score& a, const Score& b) { return a.points < b.points; });
  if (worst == parts.end()) return whole;
  double others = 0;
  for (auto part = parts.begin(); part != parts.end(); ++part) {
    if (part != worst) others += 100 - part->points;
    const double share = part == worst ? 1 : 0.1;
    for (const Reason& reason : part->reasons) whole.reasons.push_back({reason.points * share, reason.text});
  }
  whole.points = std::clamp(worst->points - others / 10, 0.0, 100.0);
  sort(whole.reasons);
  return whole;
}

Score any_of(std::string_view name, const std::vector<Score>& replicas, std::size_t least) {
  const auto well = static_cast<std::size_t>(
      std::count_if(replicas.begin(), replicas.end(), [](const Score& each) { return each.points > 0; }));
  Score whole;
  double sum = 0;
  const Score* worst = nullptr;
  for (const Score& each : replicas) {
    sum += each.points;
    if (worst == nullptr || each.points < worst->points) worst = &each;
  }
  whole.points = well < std::max<std::size_t>(least, 1) ? 0 : sum / static_cast<double>(replicas.size());
  if (whole.points >= 100) return whole;
  std::string text(name);
  if (well < replicas.size() || replicas.empty())
    text += " " + std::to_string(well) + " of " + std::to_string(replicas.size());
  if (worst != nullptr && !worst->reasons.empty()) text += " (" + worst->reasons.front().text + ")";
  whole.reasons.push_back({100 - whole.points, std::move(text)});
  return whole;
}

Score mean_of(const std::vector<Weighted>& parts) {
  Score whole;
  double sum = 0, weights = 0;
  for (const Weighted& part : parts) weights += part.weight;
  if (!(weights > 0)) return {0, {{100, "there is nothing"}}};
  for (const Weighted& part : parts) {
    sum += part.weight * part.score.points;
    const double lost = (100 - part.score.points) * part.weight / weights;
    if (lost > 0) whole.reasons.push_back({lost, part.name + " " + part.score.to_text(2)});
  }
  whole.points = sum / weights;
  sort(whole.reasons);
  return whole;
}

}  // namespace evercert::health
