// SPDX-License-Identifier: Apache-2.0
// For the tests of servers: certificates made on the spot, and a client that sends just the bytes it is told to.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/tls.h"

namespace evercert::net {

// A CA, a server's certificate for 127.0.0.1 and a client's with the identity evercert://test/edge/one, in files of a
// folder of their own, which goes with the object.
class TestCertificates {
 public:
  // The server's is valid for so many seconds from now, for these names as OpenSSL writes them, and may ask for an OCSP
  // answer (RFC 7633).
  explicit TestCertificates(long server_seconds = 3600, const char* names = "IP:127.0.0.1", bool must_staple = false);
  ~TestCertificates();
  TlsFiles server() const { return {dir_ + "/server.pem", dir_ + "/server.key", dir_ + "/ca.pem"}; }
  TlsFiles client() const { return {dir_ + "/client.pem", dir_ + "/client.key", dir_ + "/ca.pem"}; }
  const std::string& dir() const { return dir_; }
  // Key and chain of the server in one.
  std::string combined() const;
  // Of the server's, by its CA, valid for so many seconds.
  std::string ocsp_answer(bool good = true, long seconds = 3600) const;

 private:
  std::string dir_;
};

struct TestAnswer {
  int status = 0;  // 0: the connection ended before a whole answer came
  std::string header, body;
  bool has(std::string_view line) const {
    return header.find("\r\n" + std::string(line) + "\r\n") != std::string::npos;
  }
};

// Blocking; what takes longer than five seconds has failed.
class TestClient {
 public:
  struct Tls {
    TlsFiles files;   // ca_bundle empty: any server will do
    int version = 0;  // TLS1_2_VERSION and so on; 0: the best
    SSL_SESSION* session = nullptr;
    std::string_view protocols = {};  // offered by ALPN, as on the wire
    const char* name = nullptr;       // whom it asks for (SNI)
    bool staple = false;              // asks for an OCSP answer
  };
  explicit TestClient(std::uint16_t port) : TestClient(port, std::nullopt) {}
  // `first`: sent before TLS begins.
  TestClient(std::uint16_t port, const std::optional<Tls>& tls, int receive_buffer = 0, std::string_view first = {});
  ~TestClient();

  bool connected() const { return connected_; }
  bool send(std::string_view bytes);
  TestAnswer answer(bool to_head = false);
  // All until the other side closes; nullopt when it does not.
  std::optional<std::string> rest();
  // Some bytes, as they come; empty at the end or when nothing comes.
  std::string some();
  // The other side closes within `limit`, without another byte.
  bool closed_within(std::chrono::milliseconds limit);
  bool clean_end() const { return clean_end_; }  // TLS: with close_notify
  bool silent_for(std::chrono::milliseconds time);
  void end_sending();
  void reset();
  SSL* ssl() { return ssl_.get(); }

 private:
  enum class Got { kBytes, kEnd, kNothing };
  Got more();

  int socket_ = -1;
  bool connected_ = false, clean_end_ = false;
  std::string buffer_;
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_{nullptr, SSL_CTX_free};
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_{nullptr, SSL_free};
};

}  // namespace evercert::net
