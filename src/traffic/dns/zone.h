// SPDX-License-Identifier: Apache-2.0
// The names of the zone and what is known of each beforehand. What depends on health or on the client is worked out by
// the responder. Immutable and thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "traffic/dns/address.h"
#include "traffic/dns/ldns_handles.h"

namespace evercert::traffic::dns {

struct NameServer {
  std::string name;                  // absolute
  std::vector<IpAddress> addresses;  // of one inside the zone: at least one
};

struct ZoneOptions {
  std::string name;                    // absolute: "api.certmanager.com."
  std::vector<std::string> endpoints;  // by region, absolute, inside the zone
  std::vector<NameServer> name_servers;
  std::string contact;           // absolute, with a '.' for the '@' (RFC 1035 section 3.3.13)
  std::vector<std::string> caa;  // "0 issue \"ca.example\"", at the zone's own name
  std::uint32_t ttl = 5;         // of what may change
  std::uint32_t static_ttl = 3600;
  std::uint32_t negative_ttl = 30;  // RFC 2308
  std::uint32_t first_serial = 1;   // a view's generation is added
};

class Zone {
 public:
  struct Node {
    std::map<ldns_rr_type, RecordsPtr> records;
    bool apex = false;
    std::optional<std::size_t> region;  // an endpoint's own name
    bool dynamic() const { return apex || region.has_value(); }
  };

  // `records`: further ones of a master file (RFC 1035 section 5), read from `path`. kInvalid: "path:line: what: how to
  // mend it", or an option that does not fit.
  static Result<Zone> create(ZoneOptions options, const std::string& path = "", const std::string& records = "");

  const ZoneOptions& options() const { return options_; }
  const ldns_rdf* name() const { return name_.get(); }
  bool contains(const ldns_rdf* name) const;
  // Null: no such name. One without any records has names below it.
  const Node* find(const ldns_rdf* name) const;
  RecordPtr soa(std::uint64_t generation) const;

 private:
  Status add_fixed();
  Status add_file(const std::string& path, const std::string& text);
  Status add(RecordPtr record);
  Node& node(const ldns_rdf* name);

  ZoneOptions options_;
  NamePtr name_;
  std::unordered_map<std::string, Node> nodes_;  // by folded wire name
};

// The longest name that all are below, absolute: what endpoints have in common. kInvalid: nothing.
Result<std::string> common_zone(const std::vector<std::string>& names);
// With a '.' at its end, in lower case. kInvalid: no DNS name.
Result<std::string> absolute_name(std::string_view text);

// kInvalid: ldns cannot read it; the message shows the text.
Result<RecordPtr> record_from(const std::string& text);

}  // namespace evercert::traffic::dns
