// SPDX-License-Identifier: Apache-2.0
#include "api/failover/log_check.h"

#include <algorithm>
#include <charconv>

#include "base/encoding.h"
#include "pki/certificate.h"
#include "pki/pem.h"
#include "pki/public_key.h"

namespace evercert::api {
namespace {

constexpr std::int64_t kClockSlackSeconds = 300;  // between the node that writes and whoever made its certificate

struct Signer {
  pki::PublicKey key;
  std::string node;  // "us-east-1/1"
  std::int64_t not_before = 0, not_after = 0;
};

// Of "evercert://CLUSTER/node/257".
std::string node_named(const pki::CertificateFacts& facts, const LogTrust& trust) {
  const std::string prefix = "evercert://" + trust.cluster + "/node/";
  for (const pki::Name& name : facts.names) {
    if (name.kind != pki::NameKind::kUri || !name.value.starts_with(prefix)) continue;
    std::uint64_t number = 0;
    const char* end = name.value.data() + name.value.size();
    const auto read = std::from_chars(name.value.data() + prefix.size(), end, number);
    if (read.ec == std::errc{} && read.ptr == end) return trust.name_of(NodeId{number});
  }
  return {};
}

// kInvalid: it is nobody of this cluster.
Result<Signer> signer_of(const std::string& fingerprint, const std::string& pem, const LogTrust& trust) {
  EC_ASSIGN(auto chain, pki::from_pem("CERTIFICATE", pem));
  if (to_hex(sha256(chain.front())) != fingerprint)
    return fail(Code::kInvalid, "the certificate kept for it is another");
  EC_ASSIGN(const auto facts, pki::read_certificate(chain.front()));
  const std::vector<std::string> issuers(chain.begin() + 1, chain.end());
  // As it was when the certificate was valid: a log is read long after.
  EC_TRY(pki::verify_chain(chain.front(), issuers, trust.root_der, facts.not_before + 1));
  const std::string node = node_named(facts, trust);
  if (node.empty()) return fail(Code::kInvalid, "its certificate is of no node of this cluster");
  EC_ASSIGN(auto key, pki::PublicKey::from_spki(facts.spki_der));
  return Signer{std::move(key), node, facts.not_before, facts.not_after};
}

class Check {
 public:
  Check(const std::map<std::string, std::string>& signers, const LogTrust& trust) : pems_(signers), trust_(trust) {}

  Status signature(const recovery::Signature& by, const std::string& text, const recovery::LogEntry& entry,
                   const std::string& what) {
    const auto corrupt = [&](const std::string& why) { return fail(Code::kCorrupt, what + ": " + why); };
    if (by.value.empty()) return corrupt("it is not signed");
    auto known = signers_.find(by.signer);
    if (known == signers_.end()) {
      const auto pem = pems_.find(by.signer);
      if (pem == pems_.end()) return corrupt("the certificate of its signer is missing");
      auto signer = signer_of(by.signer, pem->second, trust_);
      if (!signer) return corrupt("its signer: " + signer.error().message);
      known = signers_.emplace(by.signer, std::move(*signer)).first;
    }
    const Signer& signer = known->second;
    if (signer.node != entry.by)
      return corrupt("it says that it is by " + entry.by + ", and " + signer.node + " has signed it");
    const std::int64_t at = entry.at_ms / 1000;
    if (at < signer.not_before - kClockSlackSeconds || at > signer.not_after)
      return corrupt("its signer's certificate was not valid then");
    const auto value = from_base64(by.value);
    if (!value || !signer.key.verify_x509(text, *value)) return corrupt("its signature is not that of " + signer.node);
    return {};
  }

 private:
  const std::map<std::string, std::string>& pems_;
  const LogTrust& trust_;
  std::map<std::string, Signer> signers_;
};

}  // namespace

Status check_log(const std::vector<recovery::LogEntry>& entries, const std::optional<recovery::LogAnchor>& anchor,
                 const std::map<std::string, std::string>& signers, const LogTrust& trust) {
  EC_TRY(recovery::verify(entries, anchor ? &*anchor : nullptr));
  Check check(signers, trust);
  for (const auto& entry : entries) {
    EC_TRY(check.signature(entry.signature, recovery::signed_text(entry), entry,
                           "entry " + std::to_string(entry.number) + " of the failover log"));
  }
  if (!anchor) return {};
  // Whoever has removed entries has signed the last of them as what the rest follows.
  recovery::LogEntry by = anchor->last;
  by.by = anchor->by;
  by.at_ms = anchor->at_ms;
  return check.signature(anchor->signature, recovery::signed_text(*anchor), by,
                         "the anchor of the failover log, entry " + std::to_string(anchor->last.number));
}

}  // namespace evercert::api
