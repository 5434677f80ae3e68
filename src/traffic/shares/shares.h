// SPDX-License-Identifier: Apache-2.0
// How much of its usual traffic each region, and each node of a region, is to get, in per cent: a document of the key
// space, under kSharesKey, that the failover controller writes, and name servers and edges read. It narrows what health
// checks leave and never widens it. Whoever has none, or cannot reach anybody, goes on with the last one it had, and
// with 100 everywhere when it never had one: nothing waits for a controller. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/address_prefix.h"
#include "base/result.h"

namespace evercert::traffic {

inline constexpr std::string_view kSharesKey = "failover/shares";

struct Shares {
  std::map<std::string, int> percent;  // by region, 0 to 100; a region that is not named has 100
  std::map<std::string, int> nodes;    // the same by node ("eu-central-1/2"), of its region's traffic
  std::string by;                      // who wrote it, and for what
  std::int64_t revision = 0;           // of the key space, grows with each change; 0: there never was one

  int of(const std::string& region) const {
    const auto named = percent.find(region);
    return named == percent.end() ? 100 : named->second;
  }
  int of_node(const std::string& node) const {
    const auto named = nodes.find(node);
    return named == nodes.end() ? 100 : named->second;
  }
};

// Of a client's network and a word. The same on every server, whatever it has restarted since: so that answers agree.
std::uint64_t client_hash(const AddressPrefix& client, std::string_view of);
// Clients are turned away from a region (a node) and led back to it in a fixed order, by a hash of their network: those
// whose turn is below the share are led there. So it is always the same ones, and more of them as the share grows; and
// name servers and edges mean the same. `name`: of the region or node. 0 to 99.
int turn_of(const AddressPrefix& client, std::string_view name);

// Members are added without another "version": readers take no notice of those that they do not know, and refuse a
// version other than theirs, so that raising it would leave older name servers without shares.
std::string to_json(const Shares& shares);
// kInvalid: not such a document. Who leads traffic by it and finds that it leaves no region any does without it.
Result<Shares> parse_shares(std::string_view text);

}  // namespace evercert::traffic
