// SPDX-License-Identifier: Apache-2.0
// Signs the entries of the failover log with the node's own key, so that whoever may write the key space cannot write
// another log. One thread.
#pragma once

#include <memory>
#include <string>

#include "pki/signer.h"
#include "recovery/failover/model.h"

namespace evercert::node {

class LogSigner {
 public:
  // PEM files; the certificate's holds the chain too.
  LogSigner(std::string certificate_file, std::string key_file)
      : certificate_file_(std::move(certificate_file)), key_file_(std::move(key_file)) {}

  // As the files are now: both may have been renewed. On failure what was loaded before stays. kInvalid: the key is not
  // that of the certificate.
  Status load();
  // Empty, and a line in the log, when the key cannot sign: the entry is then found to be unsigned.
  recovery::Signature sign(const std::string& text) const;
  // SHA-256 of the certificate, hexadecimal.
  const std::string& fingerprint() const { return fingerprint_; }
  const std::string& chain() const { return chain_; }

 private:
  const std::string certificate_file_, key_file_;
  std::shared_ptr<pki::Signer> key_;
  std::string chain_, fingerprint_;
};

}  // namespace evercert::node
