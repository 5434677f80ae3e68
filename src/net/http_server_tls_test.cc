// SPDX-License-Identifier: Apache-2.0
#include "net/http_test_server.h"

namespace evercert::net {
namespace {

class HttpServerTlsTest : public HttpServerTest {
 protected:
  TestAnswer ask(const TestClient::Tls& tls, const std::string& target = "/identity") {
    TestClient client(server_->port(kTls), tls);
    client.send(get(target));
    return client.answer();
  }
};
INSTANTIATE_TEST_SUITE_P(Tls, HttpServerTlsTest, ::testing::Values(true));

TEST_P(HttpServerTlsTest, AClientsIdentityIsTheOneInItsCertificate) {
  start();
  EXPECT_EQ(ask({certificates_.client()}).body, "evercert://test/edge/one over TLS from 127.0.0.1");
}

TEST_P(HttpServerTlsTest, WithoutACertificateThereIsNoIdentity) {
  start();
  TlsFiles trust_only = certificates_.server();
  trust_only.certificate_chain.clear();
  EXPECT_EQ(ask({trust_only}).body, " over TLS from 127.0.0.1");
  TestClient plain(server_->port(kPlain));
  plain.send(get("/identity"));
  EXPECT_EQ(plain.answer().body, " plain from 127.0.0.1");
}

TEST_P(HttpServerTlsTest, ACertificateOfStrangersIsRefused) {
  start();
  const TestCertificates strangers;
  TlsFiles files = strangers.client();
  files.ca_bundle = certificates_.client().ca_bundle;
  EXPECT_EQ(ask({files}).status, 0);
  EXPECT_EQ(handled_, 0);
}

TEST_P(HttpServerTlsTest, WhereACertificateIsRequiredNobodyEntersWithoutOne) {
  options_.listeners[kTls].client_certificates = ClientCertificates::kRequired;
  start();
  EXPECT_EQ(ask({}).status, 0);
  EXPECT_EQ(ask({certificates_.client()}).status, 200);
}

TEST_P(HttpServerTlsTest, VersionsBelow12AreRefused) {
  start();
  EXPECT_EQ(ask({{}, TLS1_3_VERSION}).status, 200);
  EXPECT_EQ(ask({{}, TLS1_2_VERSION}).status, 200);
  EXPECT_EQ(ask({{}, TLS1_1_VERSION}).status, 0);
}

TEST_P(HttpServerTlsTest, ALargeAnswerAndAKeptConnectionWorkInBothVersions) {
  start();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TestClient client(server_->port(kTls), TestClient::Tls{{}, version});
    ASSERT_TRUE(client.send(get("/big") + get("/next")));
    EXPECT_EQ(client.answer().body, *big_);
    EXPECT_EQ(client.answer().body, "GET /next\n");
  }
}

TEST_P(HttpServerTlsTest, ASecondConnectionResumesTheFirst) {
  start();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TestClient first(server_->port(kTls), TestClient::Tls{certificates_.client(), version});
    ASSERT_TRUE(first.send(get("/identity")));
    ASSERT_EQ(first.answer().status, 200);
    SSL_SESSION* session = SSL_get1_session(first.ssl());
    TestClient second(server_->port(kTls), TestClient::Tls{certificates_.client(), version, session});
    ASSERT_TRUE(second.send(get("/identity")));
    EXPECT_EQ(second.answer().body, "evercert://test/edge/one over TLS from 127.0.0.1");
    EXPECT_TRUE(SSL_session_reused(second.ssl()));
    SSL_SESSION_free(session);
  }
}

TEST_P(HttpServerTlsTest, PlainTextOnATlsPortHarmsNobody) {
  start();
  TestClient plain(server_->port(kTls));
  ASSERT_TRUE(plain.send(get("/")));
  EXPECT_TRUE(plain.rest().has_value());
  EXPECT_EQ(ask({}).status, 200);
}

TEST_P(HttpServerTlsTest, AConnectionCutWithoutGoodbyeHarmsNobody) {
  start();
  {
    TestClient client(server_->port(kTls), TestClient::Tls{});
    ASSERT_TRUE(client.send("GET / HT"));
    client.reset();
  }
  EXPECT_EQ(ask({}).status, 200);
}

TEST_P(HttpServerTlsTest, KeysMayChangeWithinAConnection) {
  start();
  TestClient client(server_->port(kTls), TestClient::Tls{{}, TLS1_3_VERSION});
  for (int i = 0; i < 3; ++i) {
    SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED);
    ASSERT_TRUE(client.send(get("/echo")));
    EXPECT_EQ(client.answer().status, 200);
  }
}

}  // namespace
}  // namespace evercert::net
