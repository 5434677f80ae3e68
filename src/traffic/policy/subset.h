// SPDX-License-Identifier: Apache-2.0
// A part of many endpoints for each client, so that not everybody holds a connection to everybody. By rendezvous
// hashing (Thaler and Ravishankar, 1998): the same for the same names everywhere, without agreement, and when an
// endpoint comes or goes, a client exchanges one member at most. Pure, without state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace evercert::traffic {

// A number for a name, the same in every process and release. Not for names that a stranger can choose (sip_hash.h).
std::uint64_t stable_hash(std::string_view name);
// Spreads the bits of a number over all of its result, reversibly.
std::uint64_t mix(std::uint64_t value);

// The places in `endpoints` (stable_hash of their names) that belong to `client`, best first; all when there are no
// more than `size`. For a change of members, not for each request: O(n log n), allocates.
std::vector<std::size_t> subset(std::uint64_t client, std::span<const std::uint64_t> endpoints, std::size_t size);

}  // namespace evercert::traffic
