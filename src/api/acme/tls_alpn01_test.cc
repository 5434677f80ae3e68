// SPDX-License-Identifier: Apache-2.0
#include "api/acme/tls_alpn01.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "pki/openssl.h"
#include "testkit/fakes.h"

namespace evercert::api {
namespace {

constexpr const char* kKeyAuthorization = "token.print";

struct Made {
  std::string names = "DNS:host.a.test";
  std::string identifier = sha256(kKeyAuthorization);
  bool critical = true;
  int identifiers = 1;
  std::string head = std::string("\x04\x20", 2);  // of the octets in it
};

// As a client would make it, with its own key.
std::string certificate(const Made& made) {
  const pki::PkeyPtr key(EVP_EC_gen("P-256"));
  const pki::X509Ptr out(X509_new());
  X509_set_version(out.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(out.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(out.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(out.get()), 3600);
  X509_set_pubkey(out.get(), key.get());
  if (!made.names.empty()) {
    const pki::ExtPtr names(X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, made.names.c_str()));
    X509_add_ext(out.get(), names.get(), -1);
  }
  const pki::Owned<ASN1_OBJECT, ASN1_OBJECT_free> type(OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1));
  for (int i = 0; i < made.identifiers; ++i) {
    const pki::Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> value(ASN1_OCTET_STRING_new());
    const std::string bytes = made.head + made.identifier;
    ASN1_OCTET_STRING_set(value.get(), pki::bytes(bytes), static_cast<int>(bytes.size()));
    const pki::ExtPtr extension(X509_EXTENSION_create_by_OBJ(nullptr, type.get(), made.critical ? 1 : 0, value.get()));
    X509_add_ext(out.get(), extension.get(), -1);
  }
  X509_sign(out.get(), key.get(), EVP_sha256());
  return pki::to_der(out.get(), i2d_X509);
}

ValidationRequest request(std::string type = "dns", std::string identifier = "host.a.test") {
  return {std::move(type), std::move(identifier), false, "tls-alpn-01", "token", kKeyAuthorization};
}

std::string problem(const Made& made, const ValidationRequest& of = request()) {
  const auto wrong = check_proof(certificate(made), of);
  return wrong ? wrong->type : "";
}

TEST(TlsAlpn01Proof, IsForOneNameAndHoldsTheDigestOfTheKeyAuthorization) {
  EXPECT_EQ(problem({}), "");
  EXPECT_EQ(problem({.names = "DNS:HOST.A.test"}), "");
  EXPECT_EQ(problem({.names = "IP:192.0.2.1"}, request("ip", "192.0.2.1")), "");
  EXPECT_EQ(problem({.names = "IP:2001:db8::1"}, request("ip", "2001:db8::1")), "");
}

TEST(TlsAlpn01Proof, OfMoreOrOfSomethingElseIsNone) {
  for (const char* names : {"", "DNS:other.a.test", "DNS:host.a.test,DNS:other.a.test", "DNS:host.a.test,IP:192.0.2.1",
                            "IP:192.0.2.1", "DNS:*.a.test", "email:host.a.test", "DNS:host.a.test,DNS:host.a.test"})
    EXPECT_EQ(problem({.names = names}), "unauthorized") << names;
  EXPECT_EQ(problem({.names = "DNS:192.0.2.1"}, request("ip", "192.0.2.1")), "unauthorized");
}

TEST(TlsAlpn01Proof, WhoseIdentifierIsNotAsItMustBeIsNone) {
  EXPECT_EQ(problem({.identifier = sha256("token.other")}), "incorrectResponse");
  EXPECT_EQ(problem({.identifier = sha256(kKeyAuthorization) + "x"}), "incorrectResponse") << "bytes behind it";
  EXPECT_EQ(problem({.identifier = "short"}), "incorrectResponse");
  EXPECT_EQ(problem({.head = ""}), "incorrectResponse") << "the digest without its head";
  EXPECT_EQ(problem({.critical = false}), "unauthorized");
  EXPECT_EQ(problem({.identifiers = 0}), "unauthorized");
  EXPECT_EQ(problem({.identifiers = 2}), "unauthorized");
  EXPECT_EQ(check_proof("no certificate", request())->type, "unauthorized");
  EXPECT_EQ(check_proof(certificate({}) + "x", request())->type, "unauthorized");
}

TEST(TlsAlpn01Proof, AnAddressIsAskedForByItsNameInArpa) {
  EXPECT_EQ(server_name_of(request()), "host.a.test");
  EXPECT_EQ(server_name_of(request("ip", "192.0.2.1")), "1.2.0.192.in-addr.arpa");
  EXPECT_EQ(server_name_of(request("ip", "2001:db8::1")),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}

class FakeTls : public net::TlsProbe {
 public:
  Task<Result<net::TlsShown>> ask(Executor&, net::TlsQuestion question) override {
    asked.push_back(question);
    if (question.address == unreachable) co_return fail(Code::kUnavailable, "no route");
    co_return answer;
  }
  std::vector<net::TlsQuestion> asked;
  std::string unreachable;
  Result<net::TlsShown> answer = fail(Code::kDenied, "alert");
};

class FakeAddresses : public net::DnsResolver {
 public:
  Task<Result<std::vector<std::string>>> lookup(Executor&, std::string name, net::DnsType type) override {
    if (name != "host.a.test") co_return std::vector<std::string>{};
    co_return std::vector<std::string>{type == net::DnsType::kA ? "192.0.2.1" : "2001:db8::1"};
  }
};

TEST(TlsAlpn01, TheHostIsAskedAtItsAddressesForTheProtocolByItsName) {
  testkit::ManualExecutor executor;
  FakeAddresses dns;
  FakeTls tls;
  TlsAlpn01 check(dns, tls, 443);
  const auto result = [&](const ValidationRequest& of = request()) {
    const auto wrong = testkit::finish(executor, check.check(executor, of));
    return wrong ? wrong->type : "";
  };
  EXPECT_EQ(result(), "tls");
  tls.answer = net::TlsShown{"acme-tls/1", certificate({})};
  tls.unreachable = "2001:db8::1";
  tls.asked.clear();
  EXPECT_EQ(result(), "");
  ASSERT_EQ(tls.asked.size(), 2u) << "IPv6 first, then the other";
  EXPECT_EQ(tls.asked[1].address, "192.0.2.1");
  EXPECT_EQ(tls.asked[1].port, 443);
  EXPECT_EQ(tls.asked[1].server_name, "host.a.test");
  EXPECT_EQ(tls.asked[1].protocol, "acme-tls/1");
  tls.answer = net::TlsShown{"", certificate({})};
  EXPECT_EQ(result(), "unauthorized") << "a server that does not know the protocol proves nothing";
  tls.answer = net::TlsShown{"h2", certificate({})};
  EXPECT_EQ(result(), "unauthorized");
  tls.answer = fail(Code::kUnavailable, "refused");
  EXPECT_EQ(result(), "connection");
  EXPECT_EQ(result(request("dns", "nowhere.a.test")), "dns");
}

}  // namespace
}  // namespace evercert::api
