// SPDX-License-Identifier: Apache-2.0
// A query as it came in (RFC 1035, RFC 6891). ldns reads the message; what it would be expensive or pointless to read
// is refused before.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "traffic/dns/client_subnet.h"
#include "traffic/dns/ldns_handles.h"

namespace evercert::traffic::dns {

inline constexpr std::size_t kHeaderBytes = 12;
inline constexpr int kBadVersion = 16;  // RFC 6891 section 6.1.3: four bits in the header, the others in OPT
// What fits into a packet on every path (the DNS flag day of 2020).
inline constexpr std::uint16_t kUdpPayload = 1232;

struct Query {
  PacketPtr packet;
  int rcode = 0;                   // not 0: it is answered with this, and with nothing else
  const ldns_rdf* name = nullptr;  // of the question; null when there is none that could be repeated
  std::size_t name_bytes = 0;      // of it in the message
  ldns_rr_type type = LDNS_RR_TYPE_A;
  int kind = LDNS_RR_CLASS_IN;  // the class: any number, not only those that the library has names for
  bool edns = false, dnssec_ok = false, compact_ok = false, wants_nsid = false;
  std::uint16_t udp_payload = 512;
  std::optional<ClientSubnet> subnet;
};

// Bytes of the question's name, which lies behind the header, plainly spelled; 0: it is not, or is too long. Names in a
// question have nothing in front of them that they could point to.
std::size_t question_name_bytes(std::span<const std::uint8_t> message);

// Nothing: it must not be answered at all (too short for a header, or itself an answer).
std::optional<Query> read_query(std::span<const std::uint8_t> message);

}  // namespace evercert::traffic::dns
