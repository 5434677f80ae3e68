// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/signer.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>

#include "base/check.h"

namespace evercert::traffic::dns {
namespace {

constexpr std::uint16_t kFlags = 257;  // zone key, secure entry point: one key does both (RFC 6781 section 3.1)
constexpr std::size_t kRemembered = 4096;

bool is_p256(EVP_PKEY* key) {
  char group[32] = {};
  std::size_t size = 0;
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_group_name(key, group, sizeof group, &size) == 1 &&
         std::string_view(group, size) == "prime256v1";
}

}  // namespace

Result<std::unique_ptr<Signer>> Signer::create(const std::string& pem, const std::string& path, const std::string& zone,
                                               std::uint32_t ttl) {
  const std::unique_ptr<BIO, decltype([](BIO* b) { BIO_free(b); })> in(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::unique_ptr<Signer> signer(new Signer);
  signer->key_.reset(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  if (!signer->key_ || !is_p256(signer->key_.get())) {
    return fail(Code::kInvalid, path + ": no private key of the curve P-256 in PEM: make one with 'openssl genpkey " +
                                    "-algorithm EC -pkeyopt ec_paramgen_curve:P-256'");
  }
  signer->zone_ = zone;
  signer->ttl_ = ttl;
  EC_TRY(signer->take(signer->key_.get()));
  return signer;
}

std::unique_ptr<Signer> Signer::copy() const {
  std::unique_ptr<Signer> signer(new Signer);
  signer->key_ = key_;
  signer->zone_ = zone_;
  signer->ttl_ = ttl_;
  EC_CHECK(signer->take(key_.get()).has_value(), "a key that was taken once can be taken again");
  return signer;
}

Status Signer::take(EVP_PKEY* key) {
  ldns_key* made = ldns_key_new();
  keys_.reset(ldns_key_list_new());
  if (made == nullptr || !keys_ || !ldns_key_list_push_key(keys_.get(), made))
    return fail(Code::kInternal, "no memory for the zone's key");
  EVP_PKEY_up_ref(key);
  ldns_key_set_algorithm(made, LDNS_SIGN_ECDSAP256SHA256);
  ldns_key_set_evp_key(made, key);
  ldns_key_set_pubkey_owner(made, ldns_dname_new_frm_str(zone_.c_str()));
  ldns_key_set_flags(made, kFlags);
  ldns_key_set_origttl(made, ttl_);
  ldns_key_set_use(made, true);
  dnskey_.reset(ldns_key2rr(made));
  if (!dnskey_) return fail(Code::kInternal, "the zone's key has no DNSKEY form");
  ldns_rr_set_ttl(dnskey_.get(), ttl_);
  ldns_key_set_keytag(made, ldns_calc_keytag(dnskey_.get()));
  return {};
}

void Signer::set_time(WallTime now) {
  remembered_.clear();
  const std::int64_t hour = now.seconds() / kHour * kHour;
  ldns_key* key = ldns_key_list_key(keys_.get(), 0);
  ldns_key_set_inception(key, static_cast<std::uint32_t>(hour - kHour));
  ldns_key_set_expiration(key, static_cast<std::uint32_t>(hour + kValidSeconds));
}

std::string Signer::ds_text() const {
  const RecordPtr ds(ldns_key_rr2ds(dnskey_.get(), LDNS_SHA256));
  EC_CHECK(ds != nullptr, "a DNSKEY has a digest");
  char* raw = ldns_rr2str(ds.get());
  std::string text = raw == nullptr ? "" : raw;
  free(raw);
  return text;
}

Result<RecordPtr> Signer::sign(const ldns_rr_list* records) {
  const ldns_rr* first = ldns_rr_list_rr(records, 0);
  // The owner in lower case is what is signed (RFC 4034 section 6.2): a question in capitals needs no other signature.
  std::string key;
  const RecordsPtr canonical(ldns_rr_list_clone(records));
  const BufferPtr buffer(ldns_buffer_new(512));
  for (std::size_t i = 0; i < ldns_rr_list_rr_count(canonical.get()); ++i) {
    ldns_rr* record = ldns_rr_list_rr(canonical.get(), i);
    ldns_rr2canonical(record);
    ldns_buffer_clear(buffer.get());
    if (ldns_rr2buffer_wire(buffer.get(), record, LDNS_SECTION_ANSWER) != LDNS_STATUS_OK)
      return fail(Code::kInternal, "a record cannot be written for its signature");
    key.append(reinterpret_cast<const char*>(ldns_buffer_begin(buffer.get())), ldns_buffer_position(buffer.get()));
  }
  auto found = remembered_.find(key);
  if (found == remembered_.end()) {
    if (remembered_.size() >= kRemembered) remembered_.clear();
    ldns_rr_list_sort(canonical.get());
    const RecordsPtr made(ldns_sign_public(canonical.get(), keys_.get()));
    if (!made || ldns_rr_list_rr_count(made.get()) != 1) return fail(Code::kInternal, "the library made no signature");
    ++made_;
    found = remembered_.emplace(std::move(key), RecordPtr(ldns_rr_list_pop_rr(made.get()))).first;
  }
  RecordPtr signature(ldns_rr_clone(found->second.get()));
  ldns_rdf_deep_free(ldns_rr_owner(signature.get()));
  ldns_rr_set_owner(signature.get(), ldns_rdf_clone(ldns_rr_owner(first)));
  return signature;
}

RecordPtr denial(const ldns_rdf* name, std::vector<ldns_rr_type> types, std::uint32_t ttl) {
  // The name that follows at once has a label of one zero byte in front.
  if (ldns_rdf_size(name) + 2 > LDNS_MAX_DOMAINLEN) return nullptr;
  const std::string next = std::string("\1\0", 2) + wire_of(name);
  types.push_back(LDNS_RR_TYPE_RRSIG);
  types.push_back(LDNS_RR_TYPE_NSEC);
  std::sort(types.begin(), types.end());
  types.erase(std::unique(types.begin(), types.end()), types.end());
  RecordPtr record(ldns_rr_new());
  ldns_rr_set_owner(record.get(), ldns_rdf_clone(name));
  ldns_rr_set_type(record.get(), LDNS_RR_TYPE_NSEC);
  ldns_rr_set_class(record.get(), LDNS_RR_CLASS_IN);
  ldns_rr_set_ttl(record.get(), ttl);
  ldns_rr_push_rdf(record.get(), ldns_dname_new_frm_data(static_cast<std::uint16_t>(next.size()), next.data()));
  ldns_rr_push_rdf(record.get(), ldns_dnssec_create_nsec_bitmap(types.data(), types.size(), LDNS_RR_TYPE_NSEC));
  return record;
}

}  // namespace evercert::traffic::dns
