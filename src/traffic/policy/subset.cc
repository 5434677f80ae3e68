// SPDX-License-Identifier: Apache-2.0
#include "traffic/policy/subset.h"

#include <algorithm>
#include <numeric>

namespace evercert::traffic {

std::uint64_t stable_hash(std::string_view name) {
  // FNV-1a, whose high bits are poor for short names: mixed.
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return mix(hash);
}

std::uint64_t mix(std::uint64_t value) {
  // The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

std::vector<std::size_t> subset(std::uint64_t client, std::span<const std::uint64_t> endpoints, std::size_t size) {
  std::vector<std::size_t> places(endpoints.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  const std::uint64_t own = mix(client + 0x9e3779b97f4a7c15);
  const auto better = [&](std::size_t a, std::size_t b) {
    const std::uint64_t of_a = mix(own ^ endpoints[a]), of_b = mix(own ^ endpoints[b]);
    return of_a != of_b ? of_a > of_b : endpoints[a] < endpoints[b];
  };
  const std::size_t wanted = std::min(size, places.size());
  std::partial_sort(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(wanted), places.end(), better);
  places.resize(wanted);
  return places;
}

}  // namespace evercert::traffic
