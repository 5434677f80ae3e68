// SPDX-License-Identifier: Apache-2.0
// What is true of the regions at one moment, and which of them a client is sent to. Immutable, so that any number of
// threads answer from one. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "traffic/dns/address.h"

namespace evercert::traffic::dns {

struct Coordinates {
  double latitude = 0, longitude = 0;  // degrees, north and east
};
// Great-circle distance (haversine).
double kilometres(Coordinates a, Coordinates b);

// The policies of the specification's document.
enum class Policy {
  kWeightedLatency,  // the nearest, by weight among those that are about as near
  kWeighted,         // by weight alone
  kLatency,          // the nearest, whatever the weights
  kGeographic,       // as weighted_latency, by distance alone: how fast a region answers does not count
};

struct EdgeFacts {
  std::vector<IpAddress> addresses;  // what the world reaches it by
  std::uint16_t https_port = 443;
  bool spare = false;  // is not run in calm times: that it does not answer says nothing about its region
};

// Of a region, what never changes while a server runs.
struct RegionFacts {
  std::string name, endpoint;  // endpoint: its own DNS name, absolute
  int priority = 1;            // regions of a higher number are used when there is none of a lower
  double weight = 1;           // 0: behind all others of its priority
  std::optional<Coordinates> coordinates;
  std::vector<EdgeFacts> edges;
};

struct RegionState {
  bool in = true;
  std::vector<bool> serving;  // by edge; at least one where `in`
  int share = 100;            // of its usual traffic, in per cent: 0 to 100
  Duration measured{0};       // how long its checks take, seen from here; 0: none yet
  Duration excess{0};         // what its checks take beyond what they usually do
};

// Where a client is, for what is known of its address.
struct Place {
  std::optional<std::size_t> region;  // a table names the region itself
  std::optional<Coordinates> coordinates;
  int scope = 0;  // all addresses that share so many bits with the one asked for are at the same place
};

// Regions in the order in which the client should try them, as many as an answer names.
struct Choice {
  static constexpr std::size_t kMost = 4;
  struct One {
    std::uint8_t region = 0;
    std::uint8_t first_edge = 0;  // of those that serve; the others follow in turn
    friend bool operator==(const One&, const One&) = default;
  };
  std::array<One, kMost> regions{};
  std::uint8_t count = 0;
  // Clients that share so many bits of their address get the same choice.
  int scope = 0;

  // Equal when the answers are.
  std::uint64_t key() const {
    std::uint64_t key = ~std::uint64_t{0};
    for (std::size_t i = 0; i < count; ++i)
      key = key << 16 | static_cast<unsigned>(regions[i].region) << 8 | regions[i].first_edge;
    return key;
  }
};

inline constexpr std::size_t kMostRegions = 250, kMostEdges = 250;

class View {
 public:
  // Of 1 to 250 regions of 1 to 250 edges each, all of which serve, but for spare ones.
  View(std::vector<RegionFacts> facts, Policy policy);

  // `known`: how many bits of the address are the client's (an EDNS client subnet gives some of them only); `most`:
  // regions in an answer.
  Choice choose(const IpAddress& client, int known, const Place& place, std::size_t most) const;

  const std::vector<RegionFacts>& facts() const { return facts_; }
  const std::vector<RegionState>& states() const { return states_; }
  std::vector<std::size_t> serving_edges(std::size_t region) const;
  std::uint64_t generation() const { return generation_; }
  bool blind() const { return blind_; }
  // By health and share. Where the shares leave no region that is in, they do not count.
  bool leads_to(std::size_t region) const;

 private:
  friend class Brain;
  struct Candidate;
  double cost_ms(std::size_t region, const Place& place) const;
  bool order(std::vector<Candidate>& candidates) const;
  bool shares_count() const;

  std::vector<RegionFacts> facts_;
  Policy policy_;
  std::vector<int> priorities_;  // rising
  std::vector<RegionState> states_;
  std::uint64_t generation_ = 0;
  bool blind_ = false;
};

}  // namespace evercert::traffic::dns
