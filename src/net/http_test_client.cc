// SPDX-License-Identifier: Apache-2.0
#include "net/http_test_client.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace evercert::net {
namespace {

struct Pair {
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
};

void save(const std::string& path, const auto& write) {
  FILE* file = std::fopen(path.c_str(), "w");
  EC_CHECK(file != nullptr, "a file for the test");
  write(file);
  std::fclose(file);
}

Pair make(const std::string& dir, const char* name, const char* extension, const char* value, const Pair* issuer,
          long seconds = 3600, bool must_staple = false) {
  Pair made{EVP_EC_gen("P-256"), X509_new()};
  X509* certificate = made.certificate;
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), issuer ? 2 : 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
  X509_gmtime_adj(X509_getm_notAfter(certificate), seconds);
  X509_set_pubkey(certificate, made.key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer ? issuer->certificate : certificate));
  X509_EXTENSION* made_extension = X509V3_EXT_conf(nullptr, nullptr, extension, value);
  X509_add_ext(certificate, made_extension, -1);
  X509_EXTENSION_free(made_extension);
  if (must_staple) {
    X509_EXTENSION* feature = X509V3_EXT_conf(nullptr, nullptr, "tlsfeature", "status_request");
    X509_add_ext(certificate, feature, -1);
    X509_EXTENSION_free(feature);
  }
  X509_sign(certificate, issuer ? issuer->key : made.key, EVP_sha256());
  save(dir + "/" + name + ".pem", [&](FILE* file) { PEM_write_X509(file, certificate); });
  save(dir + "/" + name + ".key",
       [&](FILE* file) { PEM_write_PrivateKey(file, made.key, nullptr, nullptr, 0, nullptr, nullptr); });
  return made;
}

}  // namespace

TestCertificates::TestCertificates(long server_seconds, const char* names, bool must_staple) {
  std::string pattern = std::filesystem::temp_directory_path() / "http_test.XXXXXX";
  EC_CHECK(::mkdtemp(pattern.data()) != nullptr, "a folder for the test");
  dir_ = pattern;
  const Pair ca = make(dir_, "ca", "basicConstraints", "critical,CA:TRUE", nullptr);
  const Pair server = make(dir_, "server", "subjectAltName", names, &ca, server_seconds, must_staple);
  const Pair client = make(dir_, "client", "subjectAltName", "URI:evercert://test/edge/one", &ca);
  for (const Pair& pair : {ca, server, client}) {
    EVP_PKEY_free(pair.key);
    X509_free(pair.certificate);
  }
}

std::string TestCertificates::combined() const {
  std::string all;
  for (const char* file : {"/server.key", "/server.pem", "/ca.pem"}) {
    std::ifstream in(dir_ + file);
    all.append(std::istreambuf_iterator<char>(in), {});
  }
  return all;
}

std::string TestCertificates::ocsp_answer(bool good, long seconds) const {
  const auto read = [&](const std::string& name, auto&& parse) {
    FILE* file = std::fopen((dir_ + name).c_str(), "r");
    EC_CHECK(file != nullptr, "a file of the test");
    auto* object = parse(file, nullptr, nullptr, nullptr);
    std::fclose(file);
    return object;
  };
  X509* ca = read("/ca.pem", PEM_read_X509);
  X509* server = read("/server.pem", PEM_read_X509);
  EVP_PKEY* key = read("/ca.key", PEM_read_PrivateKey);
  OCSP_BASICRESP* basic = OCSP_BASICRESP_new();
  OCSP_CERTID* id = OCSP_cert_to_id(EVP_sha1(), server, ca);
  ASN1_TIME *from = X509_gmtime_adj(nullptr, -60), *until = X509_gmtime_adj(nullptr, seconds);
  OCSP_basic_add1_status(basic, id, good ? V_OCSP_CERTSTATUS_GOOD : V_OCSP_CERTSTATUS_REVOKED, 0, from, from, until);
  OCSP_basic_sign(basic, ca, key, EVP_sha256(), nullptr, 0);
  OCSP_RESPONSE* response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
  unsigned char* out = nullptr;
  const int size = i2d_OCSP_RESPONSE(response, &out);
  std::string der(reinterpret_cast<char*>(out), static_cast<std::size_t>(size));
  OPENSSL_free(out);
  OCSP_RESPONSE_free(response);
  ASN1_TIME_free(from);
  ASN1_TIME_free(until);
  OCSP_CERTID_free(id);
  OCSP_BASICRESP_free(basic);
  EVP_PKEY_free(key);
  X509_free(server);
  X509_free(ca);
  return der;
}

TestCertificates::~TestCertificates() {
  std::error_code ignored;
  std::filesystem::remove_all(dir_, ignored);
}

TestClient::TestClient(std::uint16_t port, const std::optional<Tls>& tls, int receive_buffer, std::string_view first) {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit{5, 0};
  const int on = 1;
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (receive_buffer > 0) ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  if (connected_ && !first.empty()) connected_ = send(first);
  if (!tls || !connected_) return;
  context_.reset(SSL_CTX_new(TLS_client_method()));
  if (tls->version != 0) {
    SSL_CTX_set_security_level(context_.get(), 0);
    SSL_CTX_set_min_proto_version(context_.get(), tls->version);
    SSL_CTX_set_max_proto_version(context_.get(), tls->version);
  }
  if (!tls->files.certificate_chain.empty()) {
    SSL_CTX_use_certificate_chain_file(context_.get(), tls->files.certificate_chain.c_str());
    SSL_CTX_use_PrivateKey_file(context_.get(), tls->files.private_key.c_str(), SSL_FILETYPE_PEM);
  }
  if (!tls->files.ca_bundle.empty()) {
    SSL_CTX_load_verify_locations(context_.get(), tls->files.ca_bundle.c_str(), nullptr);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
  }
  if (!tls->protocols.empty())
    SSL_CTX_set_alpn_protos(context_.get(), reinterpret_cast<const unsigned char*>(tls->protocols.data()),
                            static_cast<unsigned int>(tls->protocols.size()));
  ssl_.reset(SSL_new(context_.get()));
  SSL_set_fd(ssl_.get(), socket_);
  if (tls->name) SSL_set_tlsext_host_name(ssl_.get(), tls->name);
  if (tls->staple) SSL_set_tlsext_status_type(ssl_.get(), TLSEXT_STATUSTYPE_ocsp);
  if (tls->session) SSL_set_session(ssl_.get(), tls->session);
  connected_ = SSL_connect(ssl_.get()) == 1;
}

TestClient::~TestClient() {
  ssl_.reset();
  if (socket_ >= 0) ::close(socket_);
}

bool TestClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ssl_ ? SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()))
                        : ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

TestClient::Got TestClient::more() {
  std::array<char, 16 * 1024> some;
  if (ssl_) {
    const int n = SSL_read(ssl_.get(), some.data(), some.size());
    if (n > 0) {
      buffer_.append(some.data(), static_cast<std::size_t>(n));
      return Got::kBytes;
    }
    const int error = SSL_get_error(ssl_.get(), n);
    clean_end_ = error == SSL_ERROR_ZERO_RETURN;
    return error == SSL_ERROR_WANT_READ ? Got::kNothing : Got::kEnd;
  }
  const auto n = ::recv(socket_, some.data(), some.size(), 0);
  if (n > 0) {
    buffer_.append(some.data(), static_cast<std::size_t>(n));
    return Got::kBytes;
  }
  clean_end_ = n == 0;
  return n < 0 && errno == EAGAIN ? Got::kNothing : Got::kEnd;
}

TestAnswer TestClient::answer(bool to_head) {
  TestAnswer answer;
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (more() != Got::kBytes) return answer;
  }
  answer.header = buffer_.substr(0, end + 2);
  buffer_.erase(0, end + 4);
  const auto length_at = answer.header.find("\r\nContent-Length: ");
  const std::size_t length =
      length_at == std::string::npos || to_head ? 0 : std::stoul(answer.header.substr(length_at + 18));
  while (buffer_.size() < length) {
    if (more() != Got::kBytes) return answer;
  }
  answer.body = buffer_.substr(0, length);
  buffer_.erase(0, length);
  answer.status = std::stoi(answer.header.substr(9, 3));
  return answer;
}

std::optional<std::string> TestClient::rest() {
  for (;;) {
    switch (more()) {
      case Got::kBytes: break;
      case Got::kEnd: return std::exchange(buffer_, {});
      case Got::kNothing: return std::nullopt;
    }
  }
}

bool TestClient::silent_for(std::chrono::milliseconds time) {
  pollfd wait{socket_, POLLIN, 0};
  return buffer_.empty() && ::poll(&wait, 1, static_cast<int>(time.count())) == 0;
}

std::string TestClient::some() {
  if (buffer_.empty()) more();
  return std::exchange(buffer_, {});
}

bool TestClient::closed_within(std::chrono::milliseconds limit) { return !silent_for(limit) && rest() == ""; }

void TestClient::end_sending() {
  if (ssl_) SSL_shutdown(ssl_.get());
  ::shutdown(socket_, SHUT_WR);
}

void TestClient::reset() {
  const linger at_once{1, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(std::exchange(socket_, -1));
}

}  // namespace evercert::net
