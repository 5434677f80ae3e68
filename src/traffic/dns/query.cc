// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/query.h"

#include <algorithm>

namespace evercert::traffic::dns {
namespace {

constexpr std::uint16_t kDnssecOk = 0x8000, kCompactOk = 0x4000;  // RFC 3225, RFC 9824 section 5.1

// A question and at most one OPT record, which has the root's name: nothing else of a query is understood here. ldns
// follows pointers of names 65,535 times, so that names are let near it only where there can be no pointer.
bool well_formed(std::span<const std::uint8_t> message, std::size_t name_bytes) {
  const std::uint8_t* wire = message.data();
  if (LDNS_QDCOUNT(wire) != 1 || LDNS_ANCOUNT(wire) != 0 || LDNS_NSCOUNT(wire) != 0 || LDNS_ARCOUNT(wire) > 1)
    return false;
  if (name_bytes == 0) return false;
  if (LDNS_ARCOUNT(wire) == 0) return true;
  const std::size_t at = kHeaderBytes + name_bytes + 4;
  return message.size() >= at + 3 && wire[at] == 0 && ldns_read_uint16(wire + at + 1) == LDNS_RR_TYPE_OPT;
}

// False: the options are malformed.
bool read_options(Query& query) {
  if (ldns_pkt_edns_data(query.packet.get()) == nullptr) return true;
  if (ldns_rdf_size(ldns_pkt_edns_data(query.packet.get())) == 0) return true;
  const ldns_edns_option_list* options = ldns_pkt_edns_get_option_list(query.packet.get());
  if (options == nullptr) return false;
  for (std::size_t i = 0; i < ldns_edns_option_list_get_count(options); ++i) {
    const ldns_edns_option* option = ldns_edns_option_list_get_option(options, i);
    const int code = ldns_edns_get_code(option);  // a number: it may be one that the library has no name for
    if (code == LDNS_EDNS_NSID) query.wants_nsid = true;
    if (code != LDNS_EDNS_CLIENT_SUBNET) continue;
    query.subnet = read_client_subnet({ldns_edns_get_data(option), ldns_edns_get_size(option)});
    if (!query.subnet) return false;
  }
  return true;
}

}  // namespace

std::size_t question_name_bytes(std::span<const std::uint8_t> message) {
  for (std::size_t at = kHeaderBytes; at < message.size() && at - kHeaderBytes < LDNS_MAX_DOMAINLEN;) {
    const std::size_t label = message[at];
    if (label == 0) return at + 1 - kHeaderBytes;
    if (label > LDNS_MAX_LABELLEN) return 0;
    at += label + 1;
  }
  return 0;
}

std::optional<Query> read_query(std::span<const std::uint8_t> message) {
  if (message.size() < kHeaderBytes || LDNS_QR_WIRE(message.data())) return std::nullopt;
  Query query;
  if (LDNS_OPCODE_WIRE(message.data()) != LDNS_PACKET_QUERY) {
    query.rcode = LDNS_RCODE_NOTIMPL;
    return query;
  }
  query.name_bytes = question_name_bytes(message);
  ldns_pkt* parsed = nullptr;
  if (!well_formed(message, query.name_bytes) ||
      ldns_wire2pkt(&parsed, message.data(), message.size()) != LDNS_STATUS_OK) {
    query.rcode = LDNS_RCODE_FORMERR;
    return query;
  }
  query.packet.reset(parsed);
  const ldns_rr* question = ldns_rr_list_rr(ldns_pkt_question(parsed), 0);
  query.name = ldns_rr_owner(question);
  query.type = ldns_rr_get_type(question);
  query.kind = ldns_rr_get_class(question);
  query.edns = LDNS_ARCOUNT(message.data()) == 1;
  if (query.edns) {
    const std::uint16_t flags = ldns_pkt_edns_z(parsed);
    query.dnssec_ok = (flags & kDnssecOk) != 0;
    query.compact_ok = (flags & kCompactOk) != 0;
    query.udp_payload = std::max<std::uint16_t>(512, ldns_pkt_edns_udp_size(parsed));
    if (ldns_pkt_edns_version(parsed) != 0) {
      query.rcode = kBadVersion;
    } else if (!read_options(query)) {
      query.rcode = LDNS_RCODE_FORMERR;
    }
  }
  return query;
}

}  // namespace evercert::traffic::dns
