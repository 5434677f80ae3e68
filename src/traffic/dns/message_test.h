// SPDX-License-Identifier: Apache-2.0
// For the tests of the server: messages to ask with and to look into. Written and read by ldns.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "traffic/dns/geography.h"
#include "traffic/dns/ldns_handles.h"
#include "traffic/dns/view.h"
#include "traffic/dns/zone.h"

namespace evercert::traffic::dns {

struct Ask {
  std::string name;
  int type = LDNS_RR_TYPE_A;
  std::uint16_t id = 0x1234;
  bool edns = false, dnssec_ok = false;
  std::uint16_t payload = 1232;
  int version = 0, extra_flags = 0;
  std::vector<std::pair<int, std::string>> options = {};
  int kind = LDNS_RR_CLASS_IN;

  std::vector<std::uint8_t> bytes() const {
    const auto low = [](int v) { return static_cast<std::uint8_t>(v & 0xff); };
    const auto high = [](int v) { return static_cast<std::uint8_t>(v >> 8); };
    std::vector<std::uint8_t> out{high(id), low(id), 1, 0, 0, 1,
                                  0,        0,       0, 0, 0, static_cast<std::uint8_t>(edns ? 1 : 0)};
    const NamePtr wire(ldns_dname_new_frm_str(name.c_str()));
    const std::string owner = wire_of(wire.get());
    out.insert(out.end(), owner.begin(), owner.end());
    for (const int v : {type, kind}) out.insert(out.end(), {high(v), low(v)});
    if (!edns) return out;
    std::string data;
    for (const auto& [code, value] : options) {
      data += {static_cast<char>(high(code)), static_cast<char>(low(code)),
               static_cast<char>(high(static_cast<int>(value.size()))),
               static_cast<char>(low(static_cast<int>(value.size())))};
      data += value;
    }
    const int flags = (dnssec_ok ? 0x8000 : 0) | extra_flags;
    out.insert(out.end(), {0, 0, 41, high(payload), low(payload), 0, low(version), high(flags), low(flags),
                           high(static_cast<int>(data.size())), low(static_cast<int>(data.size()))});
    out.insert(out.end(), data.begin(), data.end());
    return out;
  }
};

// An answer, read again.
class Told {
 public:
  explicit Told(std::span<const std::uint8_t> bytes) : size(bytes.size()) {
    ldns_pkt* parsed = nullptr;
    EXPECT_EQ(ldns_wire2pkt(&parsed, bytes.data(), bytes.size()), LDNS_STATUS_OK);
    packet.reset(parsed);
  }
  explicit Told(const std::string& bytes)
      : Told(std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size())) {}

  int rcode() const { return ldns_pkt_get_rcode(packet.get()) | ldns_pkt_edns_extended_rcode(packet.get()) << 4; }
  bool aa() const { return ldns_pkt_aa(packet.get()); }
  bool tc() const { return ldns_pkt_tc(packet.get()); }
  std::uint16_t id() const { return ldns_pkt_id(packet.get()); }

  static std::string text(char* raw) {
    std::string out = raw == nullptr ? "" : raw;
    free(raw);
    while (!out.empty() && out.back() == '\n') out.pop_back();
    for (char& c : out) c = c == '\t' ? ' ' : c;
    return out;
  }
  static std::vector<std::string> texts(const ldns_rr_list* records) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < ldns_rr_list_rr_count(records); ++i)
      out.push_back(text(ldns_rr2str(ldns_rr_list_rr(records, i))));
    return out;
  }
  std::vector<std::string> answer() const { return texts(ldns_pkt_answer(packet.get())); }
  std::vector<std::string> authority() const { return texts(ldns_pkt_authority(packet.get())); }
  std::vector<std::string> additional() const { return texts(ldns_pkt_additional(packet.get())); }
  std::string question() const { return texts(ldns_pkt_question(packet.get())).at(0); }
  // The data of the first field, as of addresses.
  std::vector<std::string> data() const {
    std::vector<std::string> out;
    const ldns_rr_list* records = ldns_pkt_answer(packet.get());
    for (std::size_t i = 0; i < ldns_rr_list_rr_count(records); ++i)
      out.push_back(text(ldns_rdf2str(ldns_rr_rdf(ldns_rr_list_rr(records, i), 0))));
    return out;
  }
  // An EDNS option's data; nothing: it is not there.
  std::optional<std::string> option(int code) const {
    const auto* list = ldns_pkt_edns_get_option_list(packet.get());
    if (list == nullptr) return std::nullopt;
    for (std::size_t i = 0; i < ldns_edns_option_list_get_count(list); ++i) {
      const auto* one = ldns_edns_option_list_get_option(list, i);
      if (static_cast<int>(ldns_edns_get_code(one)) == code)
        return std::string(reinterpret_cast<const char*>(ldns_edns_get_data(one)), ldns_edns_get_size(one));
    }
    return std::nullopt;
  }
  bool edns() const { return ldns_pkt_edns(packet.get()); }

  PacketPtr packet;
  std::size_t size;
};

inline std::vector<RegionFacts> test_regions() {
  const auto one = [](const char* name, const char* four, const char* six, std::uint16_t port) {
    RegionFacts facts;
    facts.name = name;
    facts.endpoint = std::string(name) + ".api.test.";
    facts.coordinates = well_known_coordinates(name);
    facts.edges.push_back({{*parse_address(four)}, port});
    if (six != nullptr) facts.edges.back().addresses.push_back(*parse_address(six));
    return facts;
  };
  return {one("us-east-1", "192.0.2.1", "2001:db8::1", 443), one("us-west-2", "192.0.2.2", nullptr, 443),
          one("eu-central-1", "192.0.2.3", nullptr, 8443)};
}

// Clients of 10.1/16 are in the east, of 10.2/16 in the west, of 10.3/16 in Europe.
inline std::unique_ptr<Geography> test_geography() {
  return std::move(*read_geography_table("t",
                                         "10.1.0.0/16 us-east-1\n10.2.0.0/16 us-west-2\n10.3.0.0/16 eu-central-1\n",
                                         {"us-east-1", "us-west-2", "eu-central-1"}));
}

inline ZoneOptions test_zone_options() {
  ZoneOptions options;
  options.name = "api.test.";
  for (const auto& region : test_regions()) options.endpoints.push_back(region.endpoint);
  options.name_servers = {{"ns1.api.test.", {*parse_address("192.0.2.53"), *parse_address("2001:db8::53")}},
                          {"ns.elsewhere.test.", {}}};
  options.contact = "hostmaster.api.test.";
  options.caa = {"0 issue \"ca.test\""};
  options.first_serial = 1000;
  return options;
}

}  // namespace evercert::traffic::dns
