// SPDX-License-Identifier: Apache-2.0
// Who is passed over in the election of the controller: the nodes of a region that a majority has fenced since it does
// not hear it. They would hold the lock until their leases lapse, and carry out nothing meanwhile. That one of them is
// alive does no harm: every write compares the lock's token. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace evercert::recovery {

struct Contender {
  std::string node;  // "us-east-1/1"
  std::int64_t lease = 0;
};

inline std::vector<Contender> passed_over(std::vector<Contender> contenders, const std::vector<std::string>& unheard) {
  std::erase_if(contenders, [&](const Contender& one) {
    const std::string_view region = std::string_view(one.node).substr(0, one.node.rfind('/'));
    // Without a lease it is a key that somebody has put there.
    return one.lease == 0 || std::ranges::find(unheard, region) == unheard.end();
  });
  return contenders;
}

}  // namespace evercert::recovery
