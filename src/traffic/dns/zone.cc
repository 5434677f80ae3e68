// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/zone.h"

#include <algorithm>
#include <cstdio>

#include "base/check.h"

namespace evercert::traffic::dns {
namespace {

// What is answered from health, or made here: a file cannot set it too.
bool reserved(const Zone::Node& node, ldns_rr_type type) {
  return node.dynamic() && (type == LDNS_RR_TYPE_A || type == LDNS_RR_TYPE_AAAA || type == LDNS_RR_TYPE_HTTPS);
}

// These change how names below or beside them are answered, in ways that this server does not offer.
bool unsupported(ldns_rr_type type) {
  switch (type) {
    case LDNS_RR_TYPE_SOA:
    case LDNS_RR_TYPE_NS:
    case LDNS_RR_TYPE_DS:
    case LDNS_RR_TYPE_CNAME:
    case LDNS_RR_TYPE_DNAME:
    case LDNS_RR_TYPE_DNSKEY:
    case LDNS_RR_TYPE_RRSIG:
    case LDNS_RR_TYPE_NSEC:
    case LDNS_RR_TYPE_NSEC3:
    case LDNS_RR_TYPE_NSEC3PARAM: return true;
    default: return false;
  }
}

std::string text_of(ldns_rr_type type) {
  char* raw = ldns_rr_type2str(type);
  std::string text = raw == nullptr ? "?" : raw;
  free(raw);
  return text;
}

std::string text_of(const ldns_rdf* name) {
  char* raw = ldns_rdf2str(name);
  std::string text = raw == nullptr ? "?" : raw;
  free(raw);
  return text;
}

}  // namespace

Result<std::string> absolute_name(std::string_view text) {
  std::string name(text);
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  if (!name.ends_with('.')) name += '.';
  const NamePtr parsed(ldns_dname_new_frm_str(name.c_str()));
  if (!parsed || text.empty() || name == ".")
    return fail(Code::kInvalid, "'" + std::string(text) + "' is no DNS name: write it as api.example.com");
  return name;
}

Result<std::string> common_zone(const std::vector<std::string>& names) {
  std::string common;
  for (std::size_t i = 0; i < names.size(); ++i) {
    EC_ASSIGN(const std::string name, absolute_name(names[i]));
    // What an endpoint is below: without its own label.
    const std::string above = name.substr(name.find('.') + 1);
    if (i == 0) common = above;
    while (!common.empty() && above != common && !above.ends_with("." + common)) {
      common = common.substr(common.find('.') + 1);
    }
  }
  if (std::count(common.begin(), common.end(), '.') < 2)
    return fail(Code::kInvalid, "the endpoints have no zone in common: name one with --zone");
  return common;
}

Result<RecordPtr> record_from(const std::string& text) {
  ldns_rr* made = nullptr;
  const auto status = ldns_rr_new_frm_str(&made, text.c_str(), 3600, nullptr, nullptr);
  if (status != LDNS_STATUS_OK)
    return fail(Code::kInvalid, "'" + text + "' is no DNS record: " + ldns_get_errorstr_by_id(status));
  return RecordPtr(made);
}

Result<Zone> Zone::create(ZoneOptions options, const std::string& path, const std::string& records) {
  Zone zone;
  zone.options_ = std::move(options);
  zone.name_.reset(ldns_dname_new_frm_str(zone.options_.name.c_str()));
  if (!zone.name_) return fail(Code::kInvalid, "'" + zone.options_.name + "' is no DNS name");
  EC_TRY(zone.add_fixed());
  EC_TRY(zone.add_file(path, records));
  return zone;
}

Zone::Node& Zone::node(const ldns_rdf* name) {
  // Names between it and the zone's exist too, without records (RFC 8020).
  NamePtr above(ldns_rdf_clone(name));
  while (ldns_dname_compare(above.get(), name_.get()) != 0) {
    nodes_.try_emplace(folded(wire_of(above.get())));
    above.reset(ldns_dname_left_chop(above.get()));
    EC_CHECK(above != nullptr, "a name of the zone is below it");
  }
  nodes_.try_emplace(folded(wire_of(above.get())));
  return nodes_[folded(wire_of(name))];
}

Status Zone::add(RecordPtr record) {
  const auto type = ldns_rr_get_type(record.get());
  RecordsPtr& records = node(ldns_rr_owner(record.get())).records[type];
  if (!records) records.reset(ldns_rr_list_new());
  if (!ldns_rr_list_push_rr(records.get(), record.get())) return fail(Code::kInternal, "no memory for a DNS record");
  static_cast<void>(record.release());  // the list owns it
  return {};
}

Status Zone::add_fixed() {
  const std::string ttl = " " + std::to_string(options_.static_ttl) + " IN ";
  node(name_.get()).apex = true;
  for (std::size_t r = 0; r < options_.endpoints.size(); ++r) {
    const NamePtr endpoint(ldns_dname_new_frm_str(options_.endpoints[r].c_str()));
    if (!endpoint || !ldns_dname_is_subdomain(endpoint.get(), name_.get())) {
      return fail(Code::kInvalid, "endpoint '" + options_.endpoints[r] + "' is not below the zone '" + options_.name +
                                      "': mend the endpoint, or name another zone with --zone");
    }
    Node& own = node(endpoint.get());
    if (own.region) return fail(Code::kInvalid, "endpoint '" + options_.endpoints[r] + "' is that of two regions");
    own.region = r;
  }
  if (options_.name_servers.empty()) return fail(Code::kInvalid, "the zone has no name server: use --name-server");
  for (const NameServer& server : options_.name_servers) {
    EC_ASSIGN(RecordPtr ns, record_from(options_.name + ttl + "NS " + server.name));
    EC_TRY(add(std::move(ns)));
    const NamePtr host(ldns_dname_new_frm_str(server.name.c_str()));
    if (!contains(host.get())) continue;
    if (server.addresses.empty())
      return fail(Code::kInvalid, "name server '" + server.name + "' is inside the zone and has no address: write " +
                                      "--name-server " + server.name + "=192.0.2.53");
    if (node(host.get()).dynamic())
      return fail(Code::kInvalid, "name server '" + server.name + "' has an endpoint's name: give it one of its own");
    for (const IpAddress& address : server.addresses) {
      EC_ASSIGN(RecordPtr at, record_from(server.name + ttl + (address.v6 ? "AAAA " : "A ") + to_string(address)));
      EC_TRY(add(std::move(at)));
    }
  }
  for (const std::string& caa : options_.caa) {
    EC_ASSIGN(RecordPtr record, record_from(options_.name + ttl + "CAA " + caa));
    EC_TRY(add(std::move(record)));
  }
  // To see that what becomes of the options is a record.
  EC_ASSIGN(const RecordPtr start, record_from(options_.name + ttl + "SOA " + options_.name_servers.front().name + " " +
                                               options_.contact + " 1 3600 600 604800 30"));
  return {};
}

Status Zone::add_file(const std::string& path, const std::string& text) {
  if (text.empty()) return {};
  const std::unique_ptr<FILE, decltype([](FILE* f) { std::fclose(f); })> file(
      fmemopen(const_cast<char*>(text.data()), text.size(), "r"));
  if (!file) return fail(Code::kIo, path + ": cannot be read");
  std::uint32_t ttl = options_.static_ttl;
  ldns_rdf* origin = ldns_rdf_clone(name_.get());
  ldns_rdf* previous = nullptr;
  int line = 1;
  const auto read_all = [&]() -> Status {
    while (!std::feof(file.get())) {
      ldns_rr* made = nullptr;
      const int began = line;
      const auto status = ldns_rr_new_frm_fp_l(&made, file.get(), &ttl, &origin, &previous, &line);
      RecordPtr record(made);
      if (status == LDNS_STATUS_SYNTAX_EMPTY || status == LDNS_STATUS_SYNTAX_TTL || status == LDNS_STATUS_SYNTAX_ORIGIN)
        continue;
      const std::string where = path + ":" + std::to_string(began) + ": ";
      if (status != LDNS_STATUS_OK)
        return fail(Code::kInvalid, where + "no DNS record: " + ldns_get_errorstr_by_id(status));
      const auto type = ldns_rr_get_type(record.get());
      if (unsupported(type) || ldns_dname_is_wildcard(ldns_rr_owner(record.get())))
        return fail(Code::kInvalid, where + "wildcards and records of type " + text_of(type) +
                                        " are not served from this file: leave it out");
      if (!contains(ldns_rr_owner(record.get())))
        return fail(Code::kInvalid, where + text_of(ldns_rr_owner(record.get())) + " is not in the zone " +
                                        options_.name + ": mend the name");
      if (reserved(node(ldns_rr_owner(record.get())), type))
        return fail(Code::kInvalid, where + "the " + text_of(type) +
                                        " records of this name are those of the regions' " + "edges: leave it out");
      EC_TRY(add(std::move(record)));
    }
    return {};
  };
  auto done = read_all();
  ldns_rdf_deep_free(origin);
  ldns_rdf_deep_free(previous);
  return done;
}

bool Zone::contains(const ldns_rdf* name) const {
  return ldns_dname_compare(name, name_.get()) == 0 || ldns_dname_is_subdomain(name, name_.get());
}

const Zone::Node* Zone::find(const ldns_rdf* name) const {
  const auto found = nodes_.find(folded(wire_of(name)));
  return found == nodes_.end() ? nullptr : &found->second;
}

RecordPtr Zone::soa(std::uint64_t generation) const {
  const auto serial = static_cast<std::uint32_t>(options_.first_serial + generation);
  auto made = record_from(options_.name + " " + std::to_string(options_.static_ttl) + " IN SOA " +
                          options_.name_servers.front().name + " " + options_.contact + " " + std::to_string(serial) +
                          " 3600 600 604800 " + std::to_string(options_.negative_ttl));
  EC_CHECK(made.has_value(), "the same was read when the zone was made");
  return std::move(*made);
}

}  // namespace evercert::traffic::dns
