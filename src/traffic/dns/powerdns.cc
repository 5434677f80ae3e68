// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/powerdns.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

namespace evercert::traffic::dns {
namespace {

using nlohmann::json;

constexpr std::size_t kLongestPath = 2048;

net::HttpResponse result(json what) { return net::json_response(200, json{{"result", std::move(what)}}.dump()); }

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

// A segment of a path as it was meant (RFC 3986 section 2.1).
std::optional<std::string> decoded(std::string_view segment) {
  std::string text;
  for (std::size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] != '%') {
      text += segment[i];
      continue;
    }
    if (i + 2 >= segment.size()) return std::nullopt;
    const auto high = hex_digit(segment[i + 1]), low = hex_digit(segment[i + 2]);
    if (!high || !low) return std::nullopt;
    text += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return text;
}

std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    path.remove_prefix(1);  // the '/'
    const auto end = std::min(path.find('/'), path.size());
    parts.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return parts;
}

// Who asks: the client that a resolver speaks for (as a prefix), else the resolver. A link's name may hang on it.
std::optional<AddressPrefix> asker(const net::Headers& headers) {
  for (const std::string_view name : {"X-RemoteBackend-real-remote", "X-RemoteBackend-remote"}) {
    const auto value = headers.find(name);
    if (!value || value->empty()) continue;
    const auto slash = std::min(value->find('/'), value->size());
    const std::string_view plain = value->substr(0, std::min(value->find('%'), slash));
    const auto address = parse_address(plain);
    if (!address) continue;
    int length = address->bits();
    if (slash < value->size()) {
      const std::string digits(value->substr(slash + 1));
      if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != std::string::npos) continue;
      length = std::stoi(digits);
    }
    return prefix_of(*address, length);
  }
  return std::nullopt;
}

std::string content_of(const ldns_rr* record) {
  std::string text;
  for (std::size_t i = 0; i < ldns_rr_rd_count(record); ++i) {
    const std::unique_ptr<char, decltype(&free)> field(ldns_rdf2str(ldns_rr_rdf(record, i)), &free);
    text += (i == 0 ? "" : " ") + std::string(field ? field.get() : "");
  }
  return text;
}

}  // namespace

void PowerDns::use(std::shared_ptr<const View> view, WallTime now) {
  serial_ = zone_.options().first_serial + view->generation();
  responder_.use(std::move(view), now);
}

std::string PowerDns::domain() const { return zone_.options().name; }

net::HttpResponse PowerDns::answer(const net::HttpRequest& request) {
  if (request.method != "GET") return net::problem(405, "Method Not Allowed", "this zone is only read");
  if (request.path.size() > kLongestPath) return net::problem(400, "Bad Request", "no name is so long");
  if (!request.path.starts_with(std::string(kBase) + "/"))
    return net::problem(404, "Not Found", "PowerDNS's connection string ends with " + std::string(kBase));
  std::vector<std::string> parts;
  for (const std::string_view segment : segments(std::string_view(request.path).substr(kBase.size()))) {
    auto part = decoded(segment);
    if (!part) return net::problem(400, "Bad Request", "the path is not escaped as RFC 3986 says");
    parts.push_back(std::move(*part));
  }
  const std::string& what = parts.front();
  const json zone{{"id", kZoneId},     {"zone", domain()},           {"kind", "native"},
                  {"serial", serial_}, {"notified_serial", serial_}, {"masters", json::array()}};
  if (what == "lookup" && parts.size() == 3) return lookup(parts[1], parts[2], request.headers);
  if (what == "getAllDomains") return result(json::array({zone}));
  if (what == "getDomainInfo" && parts.size() == 2) {
    const auto name = absolute_name(parts[1]);
    return result(name && *name == domain() ? zone : json(false));
  }
  if (what == "getAllDomainMetadata") return result(json::object());
  if (what == "getDomainMetadata" || what == "getDomainKeys") return result(json::array());
  return result(false);
}

net::HttpResponse PowerDns::lookup(std::string_view name, std::string_view type, const net::Headers& headers) {
  // PowerDNS writes other bytes of a name as \\DDD (RFC 1035 section 5.1).
  const bool plain = std::ranges::all_of(name, [](char c) { return c > ' ' && c <= '~'; });
  const NamePtr owner(plain ? ldns_dname_new_frm_str(std::string(name).c_str()) : nullptr);
  if (!owner)
    return net::problem(400, "Bad Request",
                        (plain ? "'" + std::string(name) + "'" : "what is asked for") + " is no DNS name");
  if (!zone_.contains(owner.get())) return result(false);
  const auto kind = ldns_get_rr_type_by_name(std::string(type).c_str());
  if (kind == 0) return net::problem(400, "Bad Request", "no such type of records");
  const auto client = asker(headers);
  const Found found = responder_.find(owner.get(), kind, client.value_or(AddressPrefix{}));
  json records = json::array();
  for (std::size_t i = 0; i < ldns_rr_list_rr_count(found.records.get()); ++i) {
    const ldns_rr* record = ldns_rr_list_rr(found.records.get(), i);
    const std::unique_ptr<char, decltype(&free)> type_name(ldns_rr_type2str(ldns_rr_get_type(record)), &free);
    json one{{"qname", name}, {"qtype", type_name.get()}, {"content", content_of(record)}, {"ttl", ldns_rr_ttl(record)},
             {"auth", 1},     {"domain_id", kZoneId}};
    if (found.scope > 0) one["scopeMask"] = found.scope;
    records.push_back(std::move(one));
  }
  return result(std::move(records));
}

}  // namespace evercert::traffic::dns
