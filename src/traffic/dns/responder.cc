// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/responder.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/log.h"

namespace evercert::traffic::dns {
namespace {

constexpr std::size_t kMostTcp = 65535;

RecordsPtr no_records() { return RecordsPtr(ldns_rr_list_new()); }

void push(RecordsPtr& list, RecordPtr record) {
  EC_CHECK(record && ldns_rr_list_push_rr(list.get(), record.get()), "a record finds room in a list");
  static_cast<void>(record.release());
}

RecordPtr record_of(const ldns_rdf* owner, ldns_rr_type type, std::uint32_t ttl) {
  RecordPtr record(ldns_rr_new());
  ldns_rr_set_owner(record.get(), ldns_rdf_clone(owner));
  ldns_rr_set_type(record.get(), type);
  ldns_rr_set_class(record.get(), LDNS_RR_CLASS_IN);
  ldns_rr_set_ttl(record.get(), ttl);
  return record;
}

// Records under the name as the client spelled it: resolvers compare the letters' case to detect forged answers.
void push_as(RecordsPtr& list, const ldns_rr_list* records, const ldns_rdf* owner) {
  for (std::size_t i = 0; i < ldns_rr_list_rr_count(records); ++i) {
    RecordPtr record(ldns_rr_clone(ldns_rr_list_rr(records, i)));
    ldns_rdf_deep_free(ldns_rr_owner(record.get()));
    ldns_rr_set_owner(record.get(), ldns_rdf_clone(owner));
    push(list, std::move(record));
  }
}

std::string option(int code, const std::string& data) {
  const auto high = [](std::size_t v) { return static_cast<char>(v >> 8); };
  const auto low = [](std::size_t v) { return static_cast<char>(v & 0xff); };
  const auto number = static_cast<std::size_t>(code);
  return std::string{high(number), low(number), high(data.size()), low(data.size())} + data;
}

}  // namespace

struct Responder::Draft {
  int rcode = 0;
  ResponseKind kind = ResponseKind::kAnswer;
  bool authoritative = false, by_source = false, keep = false;
  int scope = 0;
  RecordsPtr answer = no_records(), authority = no_records(), additional = no_records();
};

Responder::Responder(const Zone& zone, const Geography& geography, std::unique_ptr<Signer> signer,
                     ResponderOptions options)
    : zone_(zone),
      geography_(geography),
      signer_(std::move(signer)),
      options_(std::move(options)),
      buffer_(ldns_buffer_new(4096)) {
  EC_CHECK(options_.answers >= 1 && options_.answers <= Choice::kMost, "an answer names one region at least");
}

void Responder::use(std::shared_ptr<const View> view, WallTime now) {
  view_ = std::move(view);
  if (signer_) signer_->set_time(now);
}

Choice Responder::choice_for(const IpAddress& client) const {
  return view_->choose(client, client.bits(), geography_.locate(client), options_.answers);
}

Choice Responder::choice_for(const Query& query, const IpAddress& from, Draft& draft) const {
  if (!query.subnet || query.subnet->prefix.length == 0) {
    draft.by_source = true;
    return choice_for(from);
  }
  const AddressPrefix& prefix = query.subnet->prefix;
  Choice choice = view_->choose(prefix.address, prefix.length, geography_.locate(prefix.address), options_.answers);
  draft.scope = choice.scope;
  return choice;
}

std::optional<Response> Responder::respond(std::span<const std::uint8_t> message, const IpAddress& from, bool tcp) {
  EC_CHECK(view_ != nullptr, "there is a view before there are queries");
  const auto query = read_query(message);
  if (!query) return std::nullopt;
  Draft draft;
  draft.rcode = query->rcode;
  if (draft.rcode == 0) answer(*query, from, draft);
  if (draft.rcode != 0 && draft.rcode != LDNS_RCODE_NXDOMAIN) draft.kind = ResponseKind::kError;
  Response response;
  response.bytes = write(message, *query, draft, false);
  const std::size_t room = tcp ? kMostTcp : std::min(query->udp_payload, kUdpPayload);
  if (response.bytes.size() > room) response.bytes = write(message, *query, draft, true);
  response.rcode = draft.rcode;
  response.kind = draft.kind;
  response.by_source = draft.by_source;
  response.keep = draft.keep;
  response.name_bytes = query->name == nullptr ? 0 : query->name_bytes;
  return response;
}

Found Responder::find(const ldns_rdf* name, ldns_rr_type type, const AddressPrefix& client) {
  EC_CHECK(view_ != nullptr, "there is a view before there are queries");
  Found found{no_records(), 0};
  const Zone::Node* node = zone_.find(name);
  if (node == nullptr) return found;
  std::vector<ldns_rr_type> types{type};
  if (type == LDNS_RR_TYPE_ANY) types = types_of(*node);
  std::ranges::sort(types);
  types.erase(std::unique(types.begin(), types.end()), types.end());
  for (const ldns_rr_type one : types) {
    if (one == LDNS_RR_TYPE_DNSKEY && !signer_) continue;
    Query query;
    query.name = name;
    query.type = one;
    query.subnet = ClientSubnet{client};
    Draft draft;
    answer_name(query, *node, client.address, draft);
    if (draft.kind != ResponseKind::kAnswer) continue;
    found.scope = std::max(found.scope, draft.scope);
    push_as(found.records, draft.answer.get(), name);
  }
  return found;
}

std::optional<Response> Responder::truncated(std::span<const std::uint8_t> message) {
  const auto query = read_query(message);
  if (!query) return std::nullopt;
  Draft draft;
  draft.rcode = query->rcode;
  Response response;
  response.bytes = write(message, *query, draft, true);
  response.rcode = draft.rcode;
  return response;
}

void Responder::answer(const Query& query, const IpAddress& from, Draft& draft) {
  switch (static_cast<int>(query.type)) {
    case LDNS_RR_TYPE_AXFR:
    case LDNS_RR_TYPE_IXFR: draft.rcode = LDNS_RCODE_REFUSED; return;
    case LDNS_RR_TYPE_OPT:
    case LDNS_RR_TYPE_TKEY:
    case LDNS_RR_TYPE_TSIG:
    case LDNS_RR_TYPE_MAILA:
    case LDNS_RR_TYPE_MAILB: draft.rcode = LDNS_RCODE_NOTIMPL; return;
    case kNxName: draft.rcode = LDNS_RCODE_FORMERR; return;  // RFC 9824 section 3.5
    default: break;
  }
  if (query.kind != LDNS_RR_CLASS_IN || !zone_.contains(query.name)) {
    draft.rcode = LDNS_RCODE_REFUSED;
    return;
  }
  draft.authoritative = true;
  const Zone::Node* node = zone_.find(query.name);
  if (node == nullptr) {
    say_no(query, nullptr, draft);
  } else {
    draft.keep = true;
    answer_name(query, *node, from, draft);
  }
  if (query.dnssec_ok && signer_) sign(draft);
}

void Responder::answer_name(const Query& query, const Zone::Node& node, const IpAddress& from, Draft& draft) {
  const auto& options = zone_.options();
  if (query.type == LDNS_RR_TYPE_ANY) {  // as little as is allowed: RFC 8482 section 4.2
    RecordPtr record = record_of(query.name, LDNS_RR_TYPE_HINFO, options.static_ttl);
    ldns_rr_push_rdf(record.get(), ldns_rdf_new_frm_str(LDNS_RDF_TYPE_STR, "RFC8482"));
    ldns_rr_push_rdf(record.get(), ldns_rdf_new_frm_str(LDNS_RDF_TYPE_STR, ""));
    push(draft.answer, std::move(record));
    return;
  }
  if (node.apex && query.type == LDNS_RR_TYPE_SOA) {
    const RecordsPtr soa = no_records();
    RecordPtr record = zone_.soa(view_->generation());
    ldns_rr_list_push_rr(soa.get(), record.release());
    push_as(draft.answer, soa.get(), query.name);
    return;
  }
  if (node.apex && signer_ && query.type == LDNS_RR_TYPE_DNSKEY) {
    const RecordsPtr keys = no_records();
    ldns_rr_list_push_rr(keys.get(), ldns_rr_clone(signer_->dnskey()));
    push_as(draft.answer, keys.get(), query.name);
    return;
  }
  if (node.dynamic() && answer_dynamic(query, node, from, draft)) return;
  if (const auto found = node.records.find(query.type); found != node.records.end()) {
    push_as(draft.answer, found->second.get(), query.name);
    if (query.type != LDNS_RR_TYPE_NS) return;
    for (const NameServer& server : options.name_servers) {  // their addresses, where they are ours to tell
      const NamePtr host(ldns_dname_new_frm_str(server.name.c_str()));
      const Zone::Node* at = zone_.contains(host.get()) ? zone_.find(host.get()) : nullptr;
      for (const auto type : {LDNS_RR_TYPE_A, LDNS_RR_TYPE_AAAA}) {
        if (at == nullptr || !at->records.contains(type)) continue;
        push_as(draft.additional, at->records.at(type).get(), host.get());
      }
    }
    return;
  }
  say_no(query, &node, draft);
}

// True: it has answered. The zone's own name leads to the best regions for the client, an endpoint's to its region, and
// when that is out to the best of the others: who has learnt the name by heart is served too.
bool Responder::answer_dynamic(const Query& query, const Zone::Node& node, const IpAddress& from, Draft& draft) {
  if (query.type != LDNS_RR_TYPE_A && query.type != LDNS_RR_TYPE_AAAA && query.type != LDNS_RR_TYPE_HTTPS) return false;
  Choice choice;
  const bool own = node.region && view_->leads_to(*node.region);
  if (own) {
    choice.regions[0] = {static_cast<std::uint8_t>(*node.region), 0};
    choice.count = 1;
  } else {
    choice = choice_for(query, from, draft);
  }
  return query.type == LDNS_RR_TYPE_HTTPS ? push_https(query, choice, own, draft)
                                          : push_addresses(query, choice, draft);
}

bool Responder::push_addresses(const Query& query, const Choice& choice, Draft& draft) const {
  const bool v6 = query.type == LDNS_RR_TYPE_AAAA;
  std::set<IpAddress> said;
  for (std::size_t i = 0; i < choice.count; ++i) {
    const auto& [region, first] = choice.regions[i];
    const auto serving = view_->serving_edges(region);
    for (std::size_t k = 0; k < serving.size(); ++k) {
      const auto& edge = view_->facts()[region].edges[serving[(first + k) % serving.size()]];
      for (const IpAddress& address : edge.addresses) {
        if (address.v6 != v6 || !said.insert(address).second) continue;
        RecordPtr record = record_of(query.name, query.type, zone_.options().ttl);
        ldns_rr_push_rdf(record.get(), ldns_rdf_new_frm_data(v6 ? LDNS_RDF_TYPE_AAAA : LDNS_RDF_TYPE_A, address.size(),
                                                             address.bytes.data()));
        push(draft.answer, std::move(record));
      }
    }
  }
  return !said.empty();
}

// One record a region, whose priority is the order that resolvers and clients keep (they shuffle addresses).
bool Responder::push_https(const Query& query, const Choice& choice, bool own_name, Draft& draft) const {
  for (std::size_t i = 0; i < choice.count; ++i) {
    const auto& [region, first] = choice.regions[i];
    const RegionFacts& facts = view_->facts()[region];
    const auto serving = view_->serving_edges(region);
    std::string four, six;
    for (std::size_t k = 0; k < serving.size(); ++k) {
      for (const IpAddress& address : facts.edges[serving[(first + k) % serving.size()]].addresses) {
        std::string& hints = address.v6 ? six : four;
        hints += (hints.empty() ? "" : ",") + to_string(address);
      }
    }
    const std::uint16_t port = facts.edges[serving[first % serving.size()]].https_port;
    auto record = record_from(". " + std::to_string(zone_.options().ttl) + " IN HTTPS " + std::to_string(i + 1) + " " +
                              (own_name ? "." : facts.endpoint) + " alpn=http/1.1" +
                              (port == 443 ? "" : " port=" + std::to_string(port)) +
                              (four.empty() ? "" : " ipv4hint=" + four) + (six.empty() ? "" : " ipv6hint=" + six));
    EC_CHECK(record.has_value(), "an HTTPS record of our own making is one");
    const RecordsPtr one = no_records();
    ldns_rr_list_push_rr(one.get(), record->release());
    push_as(draft.answer, one.get(), query.name);
  }
  return choice.count > 0;
}

std::vector<ldns_rr_type> Responder::types_of(const Zone::Node& node) const {
  std::vector<ldns_rr_type> types;
  for (const auto& [type, records] : node.records) types.push_back(type);
  if (node.apex) types.insert(types.end(), {LDNS_RR_TYPE_SOA, LDNS_RR_TYPE_DNSKEY});
  if (!node.dynamic()) return types;
  types.push_back(LDNS_RR_TYPE_HTTPS);
  for (const RegionFacts& region : view_->facts()) {
    for (const EdgeFacts& edge : region.edges) {
      for (const IpAddress& address : edge.addresses) types.push_back(address.v6 ? LDNS_RR_TYPE_AAAA : LDNS_RR_TYPE_A);
    }
  }
  return types;
}

// No such name (null), or not of this type: RFC 2308.
void Responder::say_no(const Query& query, const Zone::Node* node, Draft& draft) {
  draft.kind = ResponseKind::kNegative;
  const bool proof = query.dnssec_ok && signer_;
  // With a proof, a name that is not there is one without records (RFC 9824 section 3); the code that says more is for
  // those that ask for it.
  if (node == nullptr && (!proof || query.compact_ok)) draft.rcode = LDNS_RCODE_NXDOMAIN;
  const std::uint32_t ttl = std::min(zone_.options().negative_ttl, zone_.options().static_ttl);
  RecordPtr soa = zone_.soa(view_->generation());
  ldns_rr_set_ttl(soa.get(), ttl);
  push(draft.authority, std::move(soa));
  if (!proof) return;
  std::vector<ldns_rr_type> types{kNxName};
  if (node != nullptr) {
    types = types_of(*node);
    std::erase(types, query.type);  // of this type there is nothing for this client now
  }
  if (RecordPtr nsec = denial(query.name, std::move(types), ttl)) push(draft.authority, std::move(nsec));
}

void Responder::sign(Draft& draft) {
  for (RecordsPtr* section : {&draft.answer, &draft.authority}) {
    const std::size_t count = ldns_rr_list_rr_count(section->get());
    std::vector<RecordPtr> signatures;
    for (std::size_t begin = 0; begin < count;) {
      const RecordsPtr set = no_records();
      std::size_t end = begin;
      for (; end < count; ++end) {
        const ldns_rr* record = ldns_rr_list_rr(section->get(), end);
        if (ldns_rr_get_type(record) != ldns_rr_get_type(ldns_rr_list_rr(section->get(), begin))) break;
        ldns_rr_list_push_rr(set.get(), ldns_rr_clone(record));
      }
      auto signature = signer_->sign(set.get());
      if (!signature) {
        log_error("dns: " + signature.error().message);
        draft.rcode = LDNS_RCODE_SERVFAIL;
        draft.keep = false;
        draft.answer = no_records();
        draft.authority = no_records();
        return;
      }
      signatures.push_back(std::move(*signature));
      begin = end;
    }
    for (RecordPtr& signature : signatures) push(*section, std::move(signature));
  }
}

RecordPtr Responder::options_record(const Query& query, const Draft& draft) const {
  RecordPtr record(ldns_rr_new());
  ldns_rr_set_owner(record.get(), ldns_dname_new_frm_str("."));
  ldns_rr_set_type(record.get(), LDNS_RR_TYPE_OPT);
  ldns_rr_set_class(record.get(), static_cast<ldns_rr_class>(kUdpPayload));
  ldns_rr_set_ttl(record.get(), static_cast<std::uint32_t>(draft.rcode >> 4) << 24 | (query.dnssec_ok ? 0x8000u : 0u) |
                                    (query.compact_ok && signer_ ? 0x4000u : 0u));
  std::string options;
  if (query.wants_nsid && !options_.nsid.empty()) options += option(LDNS_EDNS_NSID, options_.nsid);
  if (query.subnet) options += option(LDNS_EDNS_CLIENT_SUBNET, write_client_subnet(*query.subnet, draft.scope));
  if (!options.empty())
    ldns_rr_push_rdf(record.get(), ldns_rdf_new_frm_data(LDNS_RDF_TYPE_UNKNOWN, options.size(), options.data()));
  return record;
}

// `cut`: without the records, to be asked for again by TCP.
std::string Responder::write(std::span<const std::uint8_t> message, const Query& query, const Draft& draft,
                             bool cut) const {
  const PacketPtr packet(ldns_pkt_new());
  const std::uint8_t* wire = message.data();
  ldns_pkt_set_id(packet.get(), LDNS_ID_WIRE(wire));
  ldns_pkt_set_qr(packet.get(), true);
  ldns_pkt_set_opcode(packet.get(), static_cast<ldns_pkt_opcode>(LDNS_OPCODE_WIRE(wire)));
  ldns_pkt_set_rd(packet.get(), LDNS_RD_WIRE(wire) != 0);
  ldns_pkt_set_cd(packet.get(), LDNS_CD_WIRE(wire) != 0);
  ldns_pkt_set_aa(packet.get(), draft.authoritative && !cut);
  ldns_pkt_set_tc(packet.get(), cut);
  ldns_pkt_set_rcode(packet.get(), static_cast<std::uint8_t>(draft.rcode & 0xf));
  if (query.name != nullptr) {
    ldns_pkt_push_rr(packet.get(), LDNS_SECTION_QUESTION,
                     ldns_rr_clone(ldns_rr_list_rr(ldns_pkt_question(query.packet.get()), 0)));
  }
  if (!cut) {
    const auto copy = [&](ldns_pkt_section section, const RecordsPtr& records) {
      for (std::size_t i = 0; i < ldns_rr_list_rr_count(records.get()); ++i)
        ldns_pkt_push_rr(packet.get(), section, ldns_rr_clone(ldns_rr_list_rr(records.get(), i)));
    };
    copy(LDNS_SECTION_ANSWER, draft.answer);
    copy(LDNS_SECTION_AUTHORITY, draft.authority);
    copy(LDNS_SECTION_ADDITIONAL, draft.additional);
  }
  if (query.edns) ldns_pkt_push_rr(packet.get(), LDNS_SECTION_ADDITIONAL, options_record(query, draft).release());
  ldns_buffer_clear(buffer_.get());
  EC_CHECK(ldns_pkt2buffer_wire(buffer_.get(), packet.get()) == LDNS_STATUS_OK, "an answer of our own can be written");
  return {reinterpret_cast<const char*>(ldns_buffer_begin(buffer_.get())), ldns_buffer_position(buffer_.get())};
}

}  // namespace evercert::traffic::dns
