// SPDX-License-Identifier: Apache-2.0
#include "net/server_tls.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <chrono>
#include <vector>

#include "base/log.h"
#include "net/asio_runtime.h"

namespace evercert::net {
namespace {

constexpr std::size_t kSecretBytes = 32;
// Key exchange that keeps old traffic secret, and ciphers that HTTP/2 allows (RFC 9113 section 9.2.2).
constexpr const char* kTls12Ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

WallTime wall_now() {
  return {std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
              .count()};
}

// The server's choice (RFC 7301): HTTP/2 before HTTP/1.1. Who offers neither by name is told so.
int choose_protocol(SSL* ssl, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned int offered_size, void*) {
  if (is_proof(ssl)) {
    *chosen = offered + 1;  // it offers that alone
    *size = static_cast<unsigned char>(kProofProtocol.size());
    return SSL_TLSEXT_ERR_OK;
  }
  static constexpr unsigned char kOurs[] = "\x02h2\x08http/1.1";
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, size, kOurs, sizeof kOurs - 1, offered, offered_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

int tickets_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

bool set_up(const TicketKey& key, const unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, bool encrypt) {
  std::string digest = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), digest.size()),
      OSSL_PARAM_construct_end()};
  return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv, encrypt ? 1 : 0) == 1 &&
         EVP_MAC_init(mac, key.mac.data(), key.mac.size(), parameters) == 1;
}

// 0: the ticket is not ours, so a whole handshake; 2: it is good, and a newer one is due; negative: an error.
int ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
               int encrypt) {
  auto* keys = static_cast<TicketKeys*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tickets_index()));
  if (encrypt != 0) {
    const TicketKey key = keys->newest(wall_now());
    std::copy(key.name.begin(), key.name.end(), name);
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
    return set_up(key, iv, cipher, mac, true) ? 1 : -1;
  }
  const auto found = keys->find({reinterpret_cast<const char*>(name), 16}, wall_now());
  if (!found) return 0;
  if (!set_up(found->key, iv, cipher, mac, false)) return -1;
  // TLS 1.3 tickets are used once: a new one each time.
  return found->newest && SSL_version(ssl) != TLS1_3_VERSION ? 1 : 2;
}

// Enough to tell that a file was written or replaced.
std::string seen_of(const std::vector<std::string>& paths) {
  std::string all;
  for (const auto& path : paths) {
    struct stat info {};
    if (path.empty() || ::stat(path.c_str(), &info) != 0) {
      all += "-;";
      continue;
    }
    for (const auto number :
         {static_cast<std::int64_t>(info.st_ino), static_cast<std::int64_t>(info.st_size),
          static_cast<std::int64_t>(info.st_mtim.tv_sec), static_cast<std::int64_t>(info.st_mtim.tv_nsec)})
      all += std::to_string(number) + ",";
    all += ";";
  }
  return all;
}

}  // namespace

ServerTls::ServerTls(Options options) : options_(std::move(options)) {
  std::string secret(kSecretBytes, '\0');
  RAND_bytes(reinterpret_cast<unsigned char*>(secret.data()), static_cast<int>(secret.size()));
  tickets_ = std::make_unique<TicketKeys>(std::move(secret));
}

Result<std::shared_ptr<ServerTls>> ServerTls::load(Options options) {
  std::shared_ptr<ServerTls> made(new ServerTls(std::move(options)));
  made->seen_ = made->seen();
  made->read_secret();
  std::int64_t expiry = 0;
  EC_ASSIGN(made->context_, made->read(expiry));
  made->expiry_ = expiry;
  made->refresh_named();
  return made;
}

void ServerTls::read_secret() {
  if (options_.ticket_secret.empty()) return;
  std::string secret = contents(options_.ticket_secret);
  if (secret.size() >= kSecretBytes) return tickets_->change(std::move(secret));
  log_warning(options_.ticket_secret + ": no secret of at least " + std::to_string(kSecretBytes) +
              " bytes: TLS sessions are resumed by this process alone");
}

Result<ServerTls::Context> ServerTls::read(std::int64_t& expiry) const {
  EC_ASSIGN(const auto made, server_tls(options_.files, options_.clients));
  SSL_CTX* raw = made->native_handle();
  if (const X509* certificate = SSL_CTX_get0_certificate(raw)) expiry = seconds_of(X509_get0_notAfter(certificate));
  SSL_CTX_set_alpn_select_cb(raw, choose_protocol, nullptr);
  SSL_CTX_set_cipher_list(raw, kTls12Ciphers);
  SSL_CTX_set_max_early_data(raw, 0);  // it could be replayed
  SSL_CTX_set_timeout(raw, kSessionSeconds);
  SSL_CTX_set_ex_data(raw, tickets_index(), tickets_.get());
  SSL_CTX_set_tlsext_ticket_key_evp_cb(raw, ticket_key);
  if (!options_.named.empty() || options_.proofs) {
    auto* self = const_cast<ServerTls*>(this);  // NOLINT: the callbacks only read
    SSL_CTX_set_cert_cb(raw, choose_certificate, self);
    if (options_.proofs) SSL_CTX_set_client_hello_cb(raw, look_at_hello, self);
    SSL_CTX_set_tlsext_status_cb(raw, choose_staple);
    SSL_CTX_set_tlsext_status_arg(raw, self);
  }
  // A session holds who the client is, by the CAs that were trusted then.
  const std::string trust = contents(options_.files.ca_bundle) + std::to_string(static_cast<int>(options_.clients));
  std::array<unsigned char, 32> digest;
  if (EVP_Digest(trust.data(), trust.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1)
    return fail(Code::kInternal, "no SHA-256");
  SSL_CTX_set_session_id_context(raw, digest.data(), digest.size());
  SSL_CTX_up_ref(raw);
  return Context(raw);
}

SSL* ServerTls::make() const {
  std::lock_guard lock(mutex_);
  return SSL_new(context_.get());  // which holds the context as long as it needs it
}

std::string ServerTls::seen() const {
  return seen_of(
      {options_.files.certificate_chain, options_.files.private_key, options_.files.ca_bundle, options_.ticket_secret});
}

std::shared_ptr<const NamedCertificate> ServerTls::named() const {
  std::lock_guard lock(mutex_);
  return named_;
}

int ServerTls::look_at_hello(SSL* ssl, int*, void*) {
  asks_for_proof(ssl);
  return SSL_CLIENT_HELLO_SUCCESS;
}

// 1: go on with whatever certificate there is now. 0: it ends here.
int ServerTls::choose_certificate(SSL* ssl, void* self) {
  const auto& tls = *static_cast<const ServerTls*>(self);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (is_proof(ssl)) return name != nullptr && tls.options_.proofs->give(ssl, name) ? 1 : 0;
  const auto named = tls.named();
  if (!named || !named->is_for(name, tls.options_.address, wall_now().seconds())) return 1;
  return named->give(ssl) ? 1 : 0;
}

int ServerTls::choose_staple(SSL* ssl, void* self) {
  const auto named = static_cast<const ServerTls*>(self)->named();
  return named ? named->staple(ssl, wall_now().seconds()) : SSL_TLSEXT_ERR_NOACK;
}

// What is damaged is said once, and the old one stays.
void ServerTls::refresh_named() {
  if (options_.named.empty()) return;
  const auto current = named();
  std::string now = seen_of({options_.named, current ? current->staple_path() : std::string()});
  if (now == seen_named_) return;
  auto fresh = NamedCertificate::load(options_.named);
  if (!fresh && fresh.error().code != Code::kNotFound) {
    ++failures_;
    log_error("tls: the certificate from before stays: " + fresh.error().message);
  }
  if (fresh) {
    // That of its answer is known only now.
    now = seen_of({options_.named, (*fresh)->staple_path()});
    std::lock_guard lock(mutex_);
    named_ = std::move(*fresh);
  }
  if (fresh && !seen_named_.empty()) ++reloads_;
  seen_named_ = std::move(now);
}

void ServerTls::refresh() {
  refresh_named();
  std::string now = seen();
  if (now == seen_) return;
  seen_ = std::move(now);
  read_secret();
  std::int64_t expiry = 0;
  auto fresh = read(expiry);
  if (fresh && expiry <= wall_now().seconds())
    fresh = fail(Code::kInvalid, options_.files.certificate_chain + ": this certificate has expired");
  if (!fresh) {
    ++failures_;
    log_error("tls: the old certificate stays: " + fresh.error().message);
    return;
  }
  {
    std::lock_guard lock(mutex_);
    std::swap(context_, *fresh);
  }
  expiry_ = expiry;
  ++reloads_;
  log_info("tls: took over " + options_.files.certificate_chain);
}

}  // namespace evercert::net
