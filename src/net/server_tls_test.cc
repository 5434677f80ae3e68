// SPDX-License-Identifier: Apache-2.0
// Sessions that are resumed and certificates that change.
#include <openssl/pem.h>

#include <filesystem>
#include <fstream>

#include "net/alpn_proofs.h"
#include "net/http_test_server.h"

namespace evercert::net {
namespace {

using std::chrono::milliseconds;

struct FreeSession {
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using Session = std::unique_ptr<SSL_SESSION, FreeSession>;

class ServerTlsTest : public HttpServerTest {
 protected:
  ServerTlsTest() : secret_(certificates_.dir() + "/tickets.key") {
    options_.reload_interval = 20ms;
    write(secret_, std::string(32, 's'));
  }
  static void write(const std::string& path, const std::string& bytes) {
    std::ofstream(path + ".new", std::ios::binary) << bytes;
    std::filesystem::rename(path + ".new", path);
  }
  static void copy(const std::string& from, const std::string& to) {
    std::filesystem::copy_file(from, to + ".new", std::filesystem::copy_options::overwrite_existing);
    std::filesystem::rename(to + ".new", to);
  }
  std::uint16_t port() const { return server_->port(kTls); }
  // A whole exchange; what the client could resume afterwards.
  Session visit(int version, SSL_SESSION* resumed, bool& reused, TlsFiles files = {}) {
    TestClient client(port(), TestClient::Tls{std::move(files), version, resumed});
    EXPECT_TRUE(client.send(get("/identity")));
    EXPECT_EQ(client.answer().status, 200);
    reused = SSL_session_reused(client.ssl()) == 1;
    client.end_sending();  // OpenSSL resumes nothing that was cut off
    return Session(SSL_get1_session(client.ssl()));
  }
  std::string serial_served() {
    TestClient client(port(), TestClient::Tls{});
    X509* certificate = client.connected() ? SSL_get0_peer_certificate(client.ssl()) : nullptr;
    if (certificate == nullptr) return "";
    std::array<unsigned char, 32> digest;
    unsigned int size = 0;
    X509_digest(certificate, EVP_sha256(), digest.data(), &size);
    return {digest.begin(), digest.end()};
  }
  bool served_changes_from(const std::string& old) {
    for (int tries = 0; tries < 250; ++tries) {
      if (serial_served() != old) return true;
      std::this_thread::sleep_for(milliseconds(20));
    }
    return false;
  }
  std::string metric(const std::string& name) {
    const std::string all = server_->metrics();
    const auto at = all.find("\n" + name + " ");
    return at == std::string::npos ? ""
                                   : all.substr(at + name.size() + 2, all.find('\n', at + 1) - at - name.size() - 2);
  }
  bool metric_becomes(const std::string& name, const std::string& value) {
    for (int tries = 0; tries < 250 && metric(name) != value; ++tries) std::this_thread::sleep_for(milliseconds(20));
    return metric(name) == value;
  }

  const std::string secret_;
};
INSTANTIATE_TEST_SUITE_P(Tls, ServerTlsTest, ::testing::Values(true));

TEST_P(ServerTlsTest, ASessionGoesOnAfterARestartAndOnAnotherServerWithTheSecret) {
  options_.listeners[kTls].ticket_secret = secret_;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    start();
    bool reused = true;
    const Session session = visit(version, nullptr, reused);
    EXPECT_FALSE(reused);
    server_.reset();
    start();
    const Session next = visit(version, session.get(), reused);
    EXPECT_TRUE(reused);
    visit(version, next.get(), reused);
    EXPECT_TRUE(reused) << "and so on";
    server_.reset();
  }
}

TEST_P(ServerTlsTest, WithoutTheSecretNobodyResumes) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    start();
    bool reused = true;
    const Session session = visit(version, nullptr, reused);
    visit(version, session.get(), reused);
    EXPECT_TRUE(reused) << "in the same process it does";
    server_.reset();
    start();
    visit(version, session.get(), reused);
    EXPECT_FALSE(reused);
    server_.reset();
  }
}

TEST_P(ServerTlsTest, WhoIsTrustedNoMoreResumesNothing) {
  options_.listeners[kTls].ticket_secret = secret_;
  start();
  bool reused = false;
  const Session session = visit(TLS1_3_VERSION, nullptr, reused, certificates_.client());
  const TestCertificates others;
  copy(others.server().ca_bundle, certificates_.server().ca_bundle);
  ASSERT_TRUE(metric_becomes("evercert_tls_reloads_total", "1"));
  TlsFiles files = certificates_.client();
  files.ca_bundle.clear();
  TestClient client(port(), TestClient::Tls{files, TLS1_3_VERSION, session.get()});
  client.send(get("/identity"));
  EXPECT_EQ(client.answer().status, 0);
}

TEST_P(ServerTlsTest, ANewCertificateIsServedWithoutARestartAndOpenConnectionsStay) {
  start();
  const std::string old = serial_served();
  TestClient kept(port(), TestClient::Tls{});
  ASSERT_TRUE(kept.send(get("/1")));
  EXPECT_EQ(kept.answer().status, 200);
  std::atomic<bool> over{false};
  std::atomic<int> served{0}, failed{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&] {
      while (!over) {
        TestClient client(port(), TestClient::Tls{});
        ++(client.send(get("/x")) && client.answer().status == 200 ? served : failed);
      }
    });
  }
  const TestCertificates fresh;
  // One after the other, as a tool would: in between they do not fit together.
  copy(fresh.server().private_key, certificates_.server().private_key);
  std::this_thread::sleep_for(milliseconds(100));
  copy(fresh.server().certificate_chain, certificates_.server().certificate_chain);
  EXPECT_TRUE(served_changes_from(old));
  over = true;
  for (auto& client : clients) client.join();
  EXPECT_GT(served, 0);
  EXPECT_EQ(failed, 0);
  ASSERT_TRUE(kept.send(get("/2")));
  EXPECT_EQ(kept.answer().status, 200);
}

TEST_P(ServerTlsTest, ADamagedOrExpiredFileChangesNothingAndIsCounted) {
  start();
  const std::string old = serial_served();
  const TestCertificates fresh, expired(-3600);
  write(certificates_.server().certificate_chain, "-----BEGIN CERTIFICATE-----\nnothing\n");
  ASSERT_TRUE(metric_becomes("evercert_tls_failed_reloads_total", "1"));
  EXPECT_EQ(serial_served(), old);
  std::filesystem::remove(certificates_.server().certificate_chain);
  ASSERT_TRUE(metric_becomes("evercert_tls_failed_reloads_total", "2"));
  EXPECT_EQ(serial_served(), old);
  copy(expired.server().private_key, certificates_.server().private_key);
  copy(expired.server().certificate_chain, certificates_.server().certificate_chain);
  for (int tries = 0; tries < 250 && metric("evercert_tls_failed_reloads_total") <= "2"; ++tries)
    std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(serial_served(), old);
  copy(fresh.server().private_key, certificates_.server().private_key);
  copy(fresh.server().certificate_chain, certificates_.server().certificate_chain);
  EXPECT_TRUE(served_changes_from(old)) << "and a good one ends it";
}

TEST_P(ServerTlsTest, ReloadDoesNotWaitForTheInterval) {
  options_.reload_interval = 3600s;
  start();
  const std::string old = serial_served();
  const TestCertificates fresh;
  copy(fresh.server().private_key, certificates_.server().private_key);
  copy(fresh.server().certificate_chain, certificates_.server().certificate_chain);
  server_->reload();
  EXPECT_TRUE(served_changes_from(old));
  EXPECT_NE(metric("evercert_tls_certificate_expiry_seconds"), "");
}

// Another certificate for those who ask for it by name.
class NamedCertificateTest : public ServerTlsTest {
 protected:
  NamedCertificateTest() { options_.listeners[kTls].named_certificate = file_; }
  // What a client is shown: whether it is `of`'s, and the OCSP answer that came along.
  std::pair<bool, std::string> shown(const TestCertificates& of, const char* name, int version = 0) {
    TestClient client(port(), TestClient::Tls{{}, version, nullptr, {}, name, true});
    if (!client.send(get("/identity")) || client.answer().status != 200) return {false, "no answer"};
    const unsigned char* stapled = nullptr;
    const long size = SSL_get_tlsext_status_ocsp_resp(client.ssl(), &stapled);
    const std::string staple(reinterpret_cast<const char*>(stapled), size > 0 ? static_cast<std::size_t>(size) : 0);
    BIO* in = BIO_new_file((of.dir() + "/server.pem").c_str(), "r");
    X509* expected = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
    const bool same = X509_cmp(expected, SSL_get0_peer_certificate(client.ssl())) == 0;
    X509_free(expected);
    BIO_free(in);
    return {same, staple};
  }
  bool becomes(const auto& condition) {
    for (int tries = 0; tries < 250 && !condition(); ++tries) std::this_thread::sleep_for(milliseconds(20));
    return condition();
  }

  const TestCertificates named_{3600, "DNS:edge.test,DNS:*.wild.test"};
  const std::string file_ = certificates_.dir() + "/named.pem", staple_ = file_ + ".02.ocsp";
};
INSTANTIATE_TEST_SUITE_P(Tls, NamedCertificateTest, ::testing::Values(true));

TEST_P(NamedCertificateTest, WhoAsksByNameGetsItAndNobodyElse) {
  write(file_, named_.combined());
  start();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    EXPECT_TRUE(shown(named_, "edge.test", version).first);
    EXPECT_TRUE(shown(named_, "EDGE.test", version).first);
    EXPECT_TRUE(shown(named_, "a.wild.test", version).first);
    EXPECT_TRUE(shown(certificates_, "other.test", version).first);
    EXPECT_TRUE(shown(certificates_, nullptr, version).first);
  }
}

TEST_P(NamedCertificateTest, WhoSaysNoNameGetsItWhereItNamesTheAddress) {
  const TestCertificates both(3600, "DNS:edge.test,IP:127.0.0.1");
  write(file_, both.combined());
  start();
  EXPECT_TRUE(shown(both, nullptr).first);
  EXPECT_TRUE(shown(certificates_, "other.test").first);
}

TEST_P(NamedCertificateTest, ItMayComeLaterAndChangeAndWhatIsDamagedChangesNothing) {
  start();
  EXPECT_TRUE(shown(certificates_, "edge.test").first);
  TestClient kept(port(), TestClient::Tls{});
  ASSERT_TRUE(kept.send(get("/1")));
  EXPECT_EQ(kept.answer().status, 200);
  write(file_, named_.combined());
  EXPECT_TRUE(becomes([&] { return shown(named_, "edge.test").first; }));
  const TestCertificates next(3600, "DNS:edge.test");
  write(file_, next.combined());
  EXPECT_TRUE(becomes([&] { return shown(next, "edge.test").first; }));
  for (const std::string& wrong : {std::string("nothing"), named_.combined().substr(0, 200), std::string()}) {
    const std::string before = metric("evercert_tls_failed_reloads_total");
    write(file_, wrong);
    EXPECT_TRUE(becomes([&] { return metric("evercert_tls_failed_reloads_total") != before; }));
    EXPECT_TRUE(shown(next, "edge.test").first);
  }
  std::filesystem::remove(file_);
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_TRUE(shown(next, "edge.test").first) << "and none is no reason to be without";
  ASSERT_TRUE(kept.send(get("/2")));
  EXPECT_EQ(kept.answer().status, 200);
}

TEST_P(NamedCertificateTest, ItsOcspAnswerGoesAlongForWhoAsks) {
  const std::string first = named_.ocsp_answer(), later = named_.ocsp_answer(true, 7200);
  write(file_, named_.combined());
  write(staple_, first);
  start();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    EXPECT_EQ(shown(named_, "edge.test", version).second, first);
    EXPECT_EQ(shown(certificates_, "other.test", version).second, "") << "of the other certificate there is none";
  }
  write(staple_, later);
  EXPECT_TRUE(becomes([&] { return shown(named_, "edge.test").second == later; }));
}

// RFC 7633.
TEST_P(NamedCertificateTest, WhatMustBeStapledIsShownWithAGoodAnswerAlone) {
  const TestCertificates insisting(3600, "DNS:edge.test", true);
  const TestCertificates other(3600, "DNS:edge.test");
  write(file_, insisting.combined());
  for (const std::string& wrong :
       {std::string(), other.ocsp_answer(), insisting.ocsp_answer(false), insisting.ocsp_answer(true, -1)}) {
    write(staple_, wrong);
    start();
    EXPECT_TRUE(shown(certificates_, "edge.test").first) << "the one for everybody else";
    server_.reset();
  }
  const std::string good = insisting.ocsp_answer(true, 3), fresh = insisting.ocsp_answer();
  write(staple_, good);
  start();
  EXPECT_EQ(shown(insisting, "edge.test"), std::pair(true, good));
  EXPECT_TRUE(becomes([&] { return shown(certificates_, "edge.test").first; })) << "its answer has run out";
  write(staple_, fresh);
  EXPECT_TRUE(becomes([&] { return shown(insisting, "edge.test") == std::pair(true, fresh); }));
}

TEST_P(NamedCertificateTest, AnAnswerThatIsWrongOrHasRunOutIsNotSent) {
  write(file_, named_.combined());
  const TestCertificates other(3600, "DNS:edge.test");
  for (const std::string& wrong :
       {other.ocsp_answer(), named_.ocsp_answer(false), named_.ocsp_answer(true, -1), std::string("nothing")}) {
    write(staple_, wrong);
    start();
    const auto [same, staple] = shown(named_, "edge.test");
    EXPECT_TRUE(same);
    EXPECT_EQ(staple, "");
    server_.reset();
  }
}

// RFC 8737: a CA looks for a proof.
class AlpnProofsTest : public ServerTlsTest {
 protected:
  static constexpr std::string_view kAsking =
      "\x0a"
      "acme-tls/1";
  AlpnProofsTest() { options_.listeners[kTls].proofs = proofs_; }
  // The certificate that is shown; empty: none.
  std::string shown(const char* name, std::string_view protocols, SSL_SESSION* resumed = nullptr) {
    TestClient client(port(), TestClient::Tls{{}, 0, resumed, protocols, name});
    if (!client.connected()) return "";
    const unsigned char* chosen = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(client.ssl(), &chosen, &size);
    proved_ = std::string_view(reinterpret_cast<const char*>(chosen), size) == kProofProtocol;
    ended_ = proved_ && client.closed_within(milliseconds(2000)) && client.clean_end();
    return encoded(SSL_get0_peer_certificate(client.ssl()));
  }
  static std::string encoded(X509* certificate) {
    unsigned char* der = nullptr;
    const int length = i2d_X509(certificate, &der);
    std::string out(reinterpret_cast<char*>(der), static_cast<std::size_t>(length));
    OPENSSL_free(der);
    return out;
  }
  static std::string der_of(const TestCertificates& of) {
    BIO* in = BIO_new_file((of.dir() + "/server.pem").c_str(), "r");
    X509* read = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
    std::string out = encoded(read);
    X509_free(read);
    BIO_free(in);
    return out;
  }

  const std::shared_ptr<AlpnProofs> proofs_ = std::make_shared<AlpnProofs>();
  const TestCertificates one_{3600, "DNS:one.test"}, two_{3600, "DNS:two.test"};
  bool proved_ = false, ended_ = false;
};
INSTANTIATE_TEST_SUITE_P(Tls, AlpnProofsTest, ::testing::Values(true));

TEST_P(AlpnProofsTest, ACaSeesTheProofOfTheNameThatItAsksForAndNothingElse) {
  ASSERT_TRUE(proofs_->show("one.test", one_.combined()));
  ASSERT_TRUE(proofs_->show("two.test", two_.combined()));
  start();
  EXPECT_EQ(shown("one.test", kAsking), der_of(one_));
  EXPECT_TRUE(proved_);
  EXPECT_TRUE(ended_) << "there is nothing to say on it";
  EXPECT_EQ(shown("TWO.test", kAsking), der_of(two_));
  EXPECT_EQ(shown("three.test", kAsking), "");
  EXPECT_EQ(shown(nullptr, kAsking), "");
  ASSERT_TRUE(proofs_->show("one.test", two_.combined()));
  EXPECT_EQ(shown("one.test", kAsking), der_of(two_)) << "the latest counts";
  EXPECT_EQ(handled_, 0);
}

TEST_P(AlpnProofsTest, NobodyElseSeesAProof) {
  ASSERT_TRUE(proofs_->show("one.test", one_.combined()));
  start();
  for (const std::string_view others :
       {std::string_view(), std::string_view("\x08http/1.1"), std::string_view("\x02h2"),
        std::string_view("\x0a"
                         "acme-tls/1\x08http/1.1")})
    EXPECT_EQ(shown("one.test", others), der_of(certificates_)) << others;
  TestClient client(port(), TestClient::Tls{{}, 0, nullptr, {}, "one.test"});
  ASSERT_TRUE(client.send(get("/1")));
  EXPECT_EQ(client.answer().status, 200);
}

TEST_P(AlpnProofsTest, WhatIsNoKeyWithItsCertificateIsNoProof) {
  EXPECT_FALSE(proofs_->show("one.test", "nothing"));
  EXPECT_FALSE(proofs_->show("one.test", one_.combined().substr(0, 300)));
  start();
  EXPECT_EQ(shown("one.test", kAsking), "");
}

}  // namespace
}  // namespace evercert::net
