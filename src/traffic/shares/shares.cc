// SPDX-License-Identifier: Apache-2.0
#include "traffic/shares/shares.h"

#include <nlohmann/json.hpp>

namespace evercert::traffic {
namespace {

using nlohmann::json;

constexpr std::size_t kLongest = 64 << 10, kMostNames = 1024, kLongestName = 72, kLongestBy = 200;

std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9u;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

Status read(const json& in, const char* member, std::map<std::string, int>& into) {
  const auto found = in.find(member);
  if (found == in.end()) return {};
  if (!found->is_object() || found->size() > kMostNames)
    return fail(Code::kInvalid,
                std::string("a document of traffic shares: '") + member + "' is no object, or too large");
  for (const auto& [name, percent] : found->items()) {
    if (name.empty() || name.size() > kLongestName)
      return fail(Code::kInvalid, "a document of traffic shares names something strangely");
    if (!percent.is_number_integer() || percent < 0 || percent > 100)
      return fail(Code::kInvalid, "the traffic share of '" + name + "' is no whole number from 0 to 100");
    into[name] = percent.get<int>();
  }
  return {};
}

}  // namespace

std::uint64_t client_hash(const AddressPrefix& client, std::string_view of) {
  std::uint64_t h = mix(static_cast<std::uint64_t>(client.length) + (client.address.v6 ? 1000u : 0u));
  for (const std::uint8_t byte : client.address.bytes) h = mix(h ^ byte) + 0x9e3779b97f4a7c15u;
  for (const char c : of) h = mix(h ^ static_cast<std::uint8_t>(c)) + 0x9e3779b97f4a7c15u;
  return mix(h);
}

int turn_of(const AddressPrefix& client, std::string_view name) {
  // Regions are chosen by hashes of their names alone: this is another draw.
  return static_cast<int>(client_hash(client, "share of " + std::string(name)) % 100);
}

std::string to_json(const Shares& shares) {
  json out{{"version", 1}, {"shares", shares.percent}, {"by", shares.by}, {"revision", shares.revision}};
  if (!shares.nodes.empty()) out["nodes"] = shares.nodes;
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<Shares> parse_shares(std::string_view text) {
  if (text.size() > kLongest) return fail(Code::kInvalid, "a document of traffic shares is too long");
  const json in = json::parse(text, nullptr, false);
  if (!in.is_object() || !in.contains("version") || in["version"] != 1 || !in.contains("shares"))
    return fail(Code::kInvalid, "not a document of traffic shares (version 1)");
  Shares shares;
  EC_TRY(read(in, "shares", shares.percent));
  EC_TRY(read(in, "nodes", shares.nodes));
  if (const auto by = in.find("by"); by != in.end() && by->is_string())
    shares.by = by->get<std::string>().substr(0, kLongestBy);
  if (const auto revision = in.find("revision"); revision != in.end()) {
    if (!revision->is_number_integer() || *revision < 0)
      return fail(Code::kInvalid, "a document of traffic shares has a strange revision");
    shares.revision = revision->get<std::int64_t>();
  }
  return shares;
}

}  // namespace evercert::traffic
