// SPDX-License-Identifier: Apache-2.0
// From a query to its answer: what an authoritative server says (RFC 1034, 1035, 2308, 6891, 7871, 8482, 9460, 9824).
// Without sockets, threads or clocks. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "traffic/dns/geography.h"
#include "traffic/dns/query.h"
#include "traffic/dns/rate_limit.h"
#include "traffic/dns/signer.h"
#include "traffic/dns/zone.h"

namespace evercert::traffic::dns {

struct ResponderOptions {
  std::string nsid;         // RFC 5001; empty: not told
  std::size_t answers = 2;  // regions in an answer, 1 to Choice::kMost
};

struct Response {
  std::string bytes;
  int rcode = 0;
  ResponseKind kind = ResponseKind::kAnswer;
  // Asked by somebody else from another place, the answer might be another.
  bool by_source = false;
  // Worth keeping: the name exists, and the message was well-formed.
  bool keep = false;
  std::size_t name_bytes = 0;  // of the question, which lies behind the header in both messages
};

// Records for somebody who writes messages himself (PowerDNS).
struct Found {
  RecordsPtr records;
  int scope = 0;  // so many bits of the client's address count for them; 0: none
};

class Responder {
 public:
  // `zone` and `geography` outlive it. `signer`: null when the zone is not signed.
  Responder(const Zone& zone, const Geography& geography, std::unique_ptr<Signer> signer, ResponderOptions options);

  // Answers follow this from now on; signatures are made for this time.
  void use(std::shared_ptr<const View> view, WallTime now);
  // What is chosen for a client that asks itself.
  Choice choice_for(const IpAddress& client) const;
  // Nothing: the message must not be answered. `tcp`: the answer may be 65,535 bytes long, and needs no truncation.
  std::optional<Response> respond(std::span<const std::uint8_t> message, const IpAddress& from, bool tcp);
  // The records of the name, or of all types (LDNS_RR_TYPE_ANY), for clients in a prefix. None: there are none.
  Found find(const ldns_rdf* name, ldns_rr_type type, const AddressPrefix& client);
  // The answer that has no room, or no right to more: question alone, TC set. Nothing: see respond().
  std::optional<Response> truncated(std::span<const std::uint8_t> message);

 private:
  struct Draft;
  void answer(const Query& query, const IpAddress& from, Draft& draft);
  void answer_name(const Query& query, const Zone::Node& node, const IpAddress& from, Draft& draft);
  bool answer_dynamic(const Query& query, const Zone::Node& node, const IpAddress& from, Draft& draft);
  bool push_addresses(const Query& query, const Choice& choice, Draft& draft) const;
  bool push_https(const Query& query, const Choice& choice, bool own_name, Draft& draft) const;
  void say_no(const Query& query, const Zone::Node* node, Draft& draft);
  std::vector<ldns_rr_type> types_of(const Zone::Node& node) const;
  Choice choice_for(const Query& query, const IpAddress& from, Draft& draft) const;
  void sign(Draft& draft);
  std::string write(std::span<const std::uint8_t> message, const Query& query, const Draft& draft, bool cut) const;
  RecordPtr options_record(const Query& query, const Draft& draft) const;

  const Zone& zone_;
  const Geography& geography_;
  std::unique_ptr<Signer> signer_;
  ResponderOptions options_;
  std::shared_ptr<const View> view_;
  BufferPtr buffer_;
};

}  // namespace evercert::traffic::dns
