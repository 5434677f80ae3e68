// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/health_words.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace evercert::traffic::dns {
namespace {

using nlohmann::json;

constexpr Duration kFresh = 15s;  // as health's own words
constexpr std::size_t kAgree = 2;

}  // namespace

HealthWords::HealthWords(std::vector<std::string> regions, Duration spacing)
    : regions_(std::move(regions)),
      spacing_(spacing),
      out_(regions_.size()),
      since_(regions_.size()),
      words_(regions_.size()) {}

void HealthWords::said(std::size_t region, std::string_view document, Instant now) {
  EC_CHECK(region < words_.size(), "a word is of a region that there is");
  if (document.size() > kLargestHealth) return;
  const json in = json::parse(document, nullptr, false);
  const auto listed = in.is_object() ? in.find("regions") : in.end();
  if (!in.is_object() || listed == in.end() || !listed->is_array()) return;
  Word word{std::vector<bool>(regions_.size()), now};
  for (const json& one : *listed) {
    if (!one.is_object() || !one.contains("region") || !one["region"].is_string() || !one.contains("out") ||
        !one["out"].is_boolean())
      return;
    // There may be regions that are no endpoints.
    const auto named = std::ranges::find(regions_, one["region"].get_ref<const std::string&>());
    if (named != regions_.end()) word.out[static_cast<std::size_t>(named - regions_.begin())] = one["out"].get<bool>();
  }
  words_[region] = std::move(word);
}

const std::vector<std::string>& HealthWords::review(Instant now) {
  for (std::size_t of = 0; of < regions_.size(); ++of) {
    std::size_t bad = 0, good = 0;
    std::string who;
    for (std::size_t by = 0; by < words_.size(); ++by) {
      if (!words_[by] || now - words_[by]->at > kFresh) continue;
      if (!words_[by]->out[of]) {
        ++good;
        continue;
      }
      ++bad;
      who += (who.empty() ? "" : " and ") + regions_[by];
    }
    if (bad >= kAgree) {
      if (out_[of].empty()) since_[of] = now;
      out_[of] = std::move(who);
    } else if (good >= kAgree && now - since_[of] >= spacing_) {
      out_[of].clear();
    }
  }
  return out_;
}

}  // namespace evercert::traffic::dns
