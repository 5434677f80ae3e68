// SPDX-License-Identifier: Apache-2.0
// DNSSEC by one key that signs what is answered when it is answered (RFC 4033 to 4035; ECDSA P-256, RFC 6605). The
// cryptography and the formats are ldns' and OpenSSL's.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "traffic/dns/ldns_handles.h"

namespace evercert::traffic::dns {

// A name that does not exist, in a bitmap of types (RFC 9824 section 3.5).
inline constexpr auto kNxName = static_cast<ldns_rr_type>(128);

// One thread; copy() for another.
class Signer {
 public:
  // A private key in PEM (`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`). `path` is for messages.
  // kInvalid: no such key, or one of another kind.
  static Result<std::unique_ptr<Signer>> create(const std::string& pem, const std::string& path,
                                                const std::string& zone, std::uint32_t ttl);
  std::unique_ptr<Signer> copy() const;

  // Signatures made from now on are good from an hour before to `kValid` after the hour in which `now` lies.
  void set_time(WallTime now);
  static constexpr std::int64_t kValidSeconds = 3 * 86400, kHour = 3600;

  const ldns_rr* dnskey() const { return dnskey_.get(); }
  std::string ds_text() const;  // for the parent zone (RFC 4509: SHA-256)

  // The RRSIG of records that have owner, type and TTL in common, with that owner. Remembered, so that the same records
  // are signed once. kInternal: the library failed.
  Result<RecordPtr> sign(const ldns_rr_list* records);
  std::size_t signatures_made() const { return made_; }

 private:
  using KeysPtr = Owned<ldns_key_list, ldns_key_list_free>;
  Signer() = default;
  Status take(EVP_PKEY* key);

  std::shared_ptr<EVP_PKEY> key_;
  std::string zone_;
  std::uint32_t ttl_ = 3600;
  KeysPtr keys_;
  RecordPtr dnskey_;
  std::unordered_map<std::string, RecordPtr> remembered_;
  std::size_t made_ = 0;
};

// What proves that `name` has no records but of `types`; with kNxName: that there is no such name (RFC 9824). Null: the
// name is so long that no other can follow it closely.
RecordPtr denial(const ldns_rdf* name, std::vector<ldns_rr_type> types, std::uint32_t ttl);

}  // namespace evercert::traffic::dns
