// SPDX-License-Identifier: Apache-2.0
#include "net/named_certificate.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/log.h"

namespace evercert::net {
namespace {

void free_text(char* text) { OPENSSL_free(text); }

std::string hex_serial(const X509* certificate) {
  const Owned<BIGNUM, BN_free> number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  const Owned<char, free_text> text(number ? BN_bn2hex(number.get()) : nullptr);
  std::string out = text ? text.get() : "";
  for (char& c : out) c = c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c;
  return out;
}

// RFC 7633: its TLS feature extension names status_request.
bool wants_staple(const X509* certificate) {
  const Owned<TLS_FEATURE, TLS_FEATURE_free> features(
      static_cast<TLS_FEATURE*>(X509_get_ext_d2i(certificate, NID_tlsfeature, nullptr, nullptr)));
  for (int i = 0; features && i < sk_ASN1_INTEGER_num(features.get()); ++i) {
    if (ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features.get(), i)) == TLSEXT_TYPE_status_request) return true;
  }
  return false;
}

}  // namespace

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::int64_t seconds_of(const ASN1_TIME* time) {
  tm parts{};
  return time != nullptr && ASN1_TIME_to_tm(time, &parts) == 1 ? ::timegm(&parts) : 0;
}

Result<std::shared_ptr<const NamedCertificate>> NamedCertificate::load(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return fail(Code::kNotFound, path + ": there is no such file");
  std::shared_ptr<NamedCertificate> made(new NamedCertificate());
  const Status read = made->read_chain(path);
  ERR_clear_error();
  if (!read) return fail(read.error());
  if (std::filesystem::exists(made->staple_path_, error)) {
    const Status stapled = made->read_staple();
    ERR_clear_error();
    if (!stapled) log_warning("tls: " + made->staple_path_ + ": " + stapled.error().message);
  }
  return std::shared_ptr<const NamedCertificate>(std::move(made));
}

Status NamedCertificate::read_chain(const std::string& path) {
  const std::string pem = contents(path);
  const auto open = [&] { return Owned<BIO, BIO_free>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); };
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  const auto keys = open(), certificates = open();
  key_.reset(PEM_read_bio_PrivateKey(keys.get(), nullptr, no_passphrase, nullptr));
  certificate_.reset(PEM_read_bio_X509(certificates.get(), nullptr, no_passphrase, nullptr));
  if (!key_ || !certificate_) return fail(Code::kInvalid, path + ": not a private key and a certificate in PEM");
  chain_.reset(sk_X509_new_null());
  while (X509* next = PEM_read_bio_X509(certificates.get(), nullptr, no_passphrase, nullptr)) {
    if (sk_X509_push(chain_.get(), next) == 0) X509_free(next);
  }
  if (X509_check_private_key(certificate_.get(), key_.get()) != 1)
    return fail(Code::kInvalid, path + ": the key is not that of the certificate");
  expiry_ = seconds_of(X509_get0_notAfter(certificate_.get()));
  must_staple_ = wants_staple(certificate_.get());
  staple_path_ = path + "." + hex_serial(certificate_.get()) + ".ocsp";
  return {};
}

// Whose word it is was checked by who fetched it; here, that it is about this certificate.
Status NamedCertificate::read_staple() {
  std::string der = contents(staple_path_);
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const Owned<OCSP_RESPONSE, OCSP_RESPONSE_free> response(
      d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(der.size())));
  const Owned<OCSP_BASICRESP, OCSP_BASICRESP_free> basic(response ? OCSP_response_get1_basic(response.get()) : nullptr);
  if (!basic || sk_X509_num(chain_.get()) == 0)
    return fail(Code::kInvalid, "no OCSP answer, or no issuer in the chain");
  const Owned<OCSP_CERTID, OCSP_CERTID_free> id(
      OCSP_cert_to_id(EVP_sha1(), certificate_.get(), sk_X509_value(chain_.get(), 0)));
  int status = 0;
  ASN1_GENERALIZEDTIME* until = nullptr;
  if (!id || OCSP_resp_find_status(basic.get(), id.get(), &status, nullptr, nullptr, nullptr, &until) != 1)
    return fail(Code::kInvalid, "an OCSP answer about another certificate");
  if (status != V_OCSP_CERTSTATUS_GOOD) return fail(Code::kInvalid, "an OCSP answer other than good");
  staple_until_ = seconds_of(until);
  staple_ = std::move(der);
  return {};
}

bool NamedCertificate::is_for(const char* name, const std::string& address, std::int64_t now) const {
  if (must_staple_ && (staple_.empty() || now >= staple_until_)) return false;
  if (name == nullptr) return X509_check_ip_asc(certificate_.get(), address.c_str(), 0) == 1;
  return X509_check_host(certificate_.get(), name, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1;
}

bool NamedCertificate::give(SSL* ssl) const {
  // Else a key of another kind would stay beside it, to be chosen instead.
  SSL_certs_clear(ssl);
  return SSL_use_cert_and_key(ssl, certificate_.get(), key_.get(), chain_.get(), 1) == 1;
}

int NamedCertificate::staple(SSL* ssl, std::int64_t now) const {
  if (SSL_get_certificate(ssl) != certificate_.get() || staple_.empty() || now >= staple_until_)
    return SSL_TLSEXT_ERR_NOACK;
  void* copy = OPENSSL_memdup(staple_.data(), staple_.size());
  if (copy == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<int>(staple_.size()));  // owns it
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace evercert::net
