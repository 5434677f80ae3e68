// SPDX-License-Identifier: Apache-2.0
#include "traffic/shares/agreement.h"

#include <algorithm>

#include "base/check.h"

namespace evercert::traffic {

bool SharesAgreement::said(std::size_t region, std::string_view document) {
  EC_CHECK(region < told_.size(), "a word is of a region that there is");
  auto parsed = parse_shares(document);
  if (!parsed) return false;
  told_[region] = std::move(*parsed);
  const Shares& word = told_[region];
  if (word.revision <= shares_.revision) return false;
  const auto alike = std::ranges::count_if(told_, [&](const Shares& other) {
    return other.revision == word.revision && other.percent == word.percent && other.nodes == word.nodes;
  });
  if (alike < static_cast<std::ptrdiff_t>(std::min<std::size_t>(2, told_.size()))) return false;
  shares_ = word;
  return true;
}

}  // namespace evercert::traffic
