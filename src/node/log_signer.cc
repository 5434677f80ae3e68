// SPDX-License-Identifier: Apache-2.0
#include "node/log_signer.h"

#include "base/encoding.h"
#include "base/log.h"
#include "base/os/system.h"
#include "keys/software_signer.h"
#include "pki/certificate.h"
#include "pki/pem.h"

namespace evercert::node {

Status LogSigner::load() {
  EC_ASSIGN(auto chain, read_file(os::disk(), certificate_file_));
  EC_ASSIGN(const auto ders, pki::from_pem("CERTIFICATE", chain));
  const std::string fingerprint = to_hex(sha256(ders.front()));
  if (key_ != nullptr && fingerprint == fingerprint_) return {};
  EC_ASSIGN(const auto facts, pki::read_certificate(ders.front()));
  EC_ASSIGN(const auto pem, read_file(os::disk(), key_file_));
  EC_ASSIGN(auto key, keys::software_signer(pem));
  if (key->spki_der() != facts.spki_der)
    return fail(Code::kInvalid, key_file_ + " is not the key of " + certificate_file_);
  key_ = std::move(key);
  chain_ = std::move(chain);
  fingerprint_ = fingerprint;
  return {};
}

recovery::Signature LogSigner::sign(const std::string& text) const {
  const auto signature = key_->sign(text);
  if (signature) return {fingerprint_, to_base64(*signature)};
  log_warning("failover: the log cannot be signed: " + signature.error().message);
  return {};
}

}  // namespace evercert::node
