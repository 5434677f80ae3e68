// SPDX-License-Identifier: Apache-2.0
#include "net/alpn_proofs.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>

namespace evercert::net {
namespace {

std::string folded(std::string_view name) {
  std::string out(name);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

int mark_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

}  // namespace

Status AlpnProofs::show(std::string_view name, const std::string& pem) {
  const auto open = [&] { return Owned<BIO, BIO_free>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); };
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  const auto keys = open(), certificates = open();
  Proof proof;
  proof.key.reset(PEM_read_bio_PrivateKey(keys.get(), nullptr, no_passphrase, nullptr));
  proof.certificate.reset(PEM_read_bio_X509(certificates.get(), nullptr, no_passphrase, nullptr));
  const bool whole =
      proof.key && proof.certificate && X509_check_private_key(proof.certificate.get(), proof.key.get()) == 1;
  ERR_clear_error();
  if (!whole) return fail(Code::kInvalid, "no key with its certificate in PEM");
  const auto now = Clock::now();
  proof.until = now + kKept;
  const std::lock_guard lock(mutex_);
  std::erase_if(proofs_, [&](const auto& one) { return one.second.until <= now; });
  std::string key = folded(name);
  if (proofs_.size() >= kMost && !proofs_.contains(key))
    return fail(Code::kConflict, "too many names are being proved at once");
  proofs_[std::move(key)] = std::move(proof);
  return {};
}

bool AlpnProofs::give(SSL* ssl, std::string_view name) const {
  const std::string key = folded(name);
  const std::lock_guard lock(mutex_);
  const auto found = proofs_.find(key);
  if (found == proofs_.end() || found->second.until <= Clock::now()) return false;
  SSL_certs_clear(ssl);
  return SSL_use_cert_and_key(ssl, found->second.certificate.get(), found->second.key.get(), nullptr, 1) == 1;
}

bool asks_for_proof(SSL* ssl) {
  // The length of the list, that of the name, the name.
  static const std::string kAlone = std::string("\0\x0b\x0a", 3) + std::string(kProofProtocol);
  const unsigned char* offered = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &offered, &size) != 1 ||
      std::string_view(reinterpret_cast<const char*>(offered), size) != kAlone)
    return false;
  static char mark;
  SSL_set_options(ssl, SSL_OP_NO_TICKET);
  SSL_set_num_tickets(ssl, 0);
  SSL_set_verify(ssl, SSL_VERIFY_NONE, nullptr);
  return SSL_set_ex_data(ssl, mark_index(), &mark) == 1;
}

bool is_proof(const SSL* ssl) { return SSL_get_ex_data(ssl, mark_index()) != nullptr; }

}  // namespace evercert::net
