// SPDX-License-Identifier: Apache-2.0
#include "api/ocsp/ocsp.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "net/ocsp_news.h"
#include "testkit/test_ca.h"

namespace evercert::api {
namespace {

class OcspTest : public testing::Test {
 protected:
  OcspTest() {
    std::vector<ca::OcspIssuer> issuers;
    for (std::size_t r = 1; r <= 2; ++r) {
      auto [certificate, signer] = cluster.responder(cluster.region(r));
      issuers.push_back({cluster.region(r).id, cluster.region(r).certificate_der, certificate, signer});
    }
    ca::OcspOptions options;
    options.regions = 2;
    options.incarnation = 41;
    responder = ca::OcspResponder::create(options, std::move(issuers), cluster.store, cluster.wall).value();
    OcspApiOptions api;
    api.regions = 2;
    api.region_name = "here";
    ocsp = std::make_unique<Ocsp>(api, *responder, cluster.store, cluster.wall);
    ocsp->mount(router);
  }
  std::string issue() {
    ca::IssueRequest wanted{testkit::TestCa::csr({"a.test"}), "server", {}, cluster.region(1).id, "", "", ""};
    wanted.names = wanted.csr.names;
    return testkit::finish(cluster.executor, cluster.region(1).ca->issue(cluster.executor, std::move(wanted)))
        .value()
        .serial;
  }
  void revoke(const std::string& serial) {
    ASSERT_TRUE(
        testkit::finish(cluster.executor, cluster.region(2).ca->revoke(cluster.executor, serial, 1, "someone", "")));
  }
  net::HttpRequest get(const std::string& serial, bool from_edge = false) {
    net::HttpRequest request;
    request.method = "GET";
    request.path = "/ocsp/" + to_base64url(pki::make_ocsp_request(cluster.region(1).certificate_der, serial).value());
    std::replace(request.path.begin(), request.path.end(), '_', '/');
    std::replace(request.path.begin(), request.path.end(), '-', '+');
    request.executor = &cluster.executor;
    if (from_edge) {
      request.client_identity = "evercert://test/edge/here/1";
      request.tls = true;
    }
    return request;
  }
  net::HttpResponse ask(net::HttpRequest request) {
    return testkit::finish(cluster.executor, router.route(std::move(request)));
  }
  net::v1::OcspNews news(const net::v1::OcspPosition& since) {
    net::v1::OcspCheck check;
    *check.mutable_since() = since;
    net::HttpRequest question;
    question.body = check.SerializeAsString();
    question.executor = &cluster.executor;
    const auto answer = testkit::finish(cluster.executor, ocsp->news(std::move(question)));
    EXPECT_EQ(answer.status, 200);
    net::v1::OcspNews out;
    EXPECT_TRUE(out.ParseFromString(answer.body));
    return out;
  }
  static net::v1::OcspStamp stamp_of(const net::HttpResponse& response) {
    net::v1::OcspStamp stamp;
    const auto bytes = from_base64url(response.headers.find(net::kOcspStamp).value_or(""));
    EXPECT_TRUE(bytes && stamp.ParseFromString(*bytes));
    return stamp;
  }

  testkit::TestCa cluster{2};
  std::unique_ptr<ca::OcspResponder> responder;
  std::unique_ptr<Ocsp> ocsp;
  Router router;
};

TEST_F(OcspTest, OnlyEdgesAreToldHowToKeepAnAnswer) {
  const auto serial = issue();
  EXPECT_FALSE(ask(get(serial)).headers.find(net::kOcspStamp));
  const auto stamp = stamp_of(ask(get(serial, true)));
  EXPECT_EQ(stamp.serial(), serial);
  EXPECT_EQ(stamp.position().incarnation(), 41u);
  EXPECT_EQ(stamp.renew_in_s(), 1800);
  EXPECT_EQ(stamp.expires_in_s(), 3600);
  cluster.wall.advance(100);
  EXPECT_EQ(stamp_of(ask(get(serial, true))).renew_in_s(), 1700);
}

TEST_F(OcspTest, WhatIsNotKeptHereIsNotKeptByEdges) {
  const std::string never = std::string(1, '\x01') + std::string(15, 'x');
  EXPECT_FALSE(ask(get(never, true)).headers.find(net::kOcspStamp)) << "unknown today, perhaps issued tomorrow";
  const auto serial = issue();
  cluster.store.fresh = false;
  const auto stale = ask(get(serial, true));
  EXPECT_TRUE(stale.headers.find("Evercert-Stale"));
  EXPECT_FALSE(stale.headers.find(net::kOcspStamp));
}

TEST_F(OcspTest, EdgesLearnOfRevocationsInOrder) {
  const auto a = issue(), b = issue();
  const auto position = stamp_of(ask(get(a, true))).position();
  EXPECT_EQ(news(position).changed_size(), 0) << "issuances change no answer that is kept";
  revoke(b);
  revoke(a);
  const auto told = news(position);
  EXPECT_FALSE(told.everything());
  ASSERT_EQ(told.changed_size(), 2);
  EXPECT_EQ(told.changed(0), b);
  EXPECT_EQ(told.changed(1), a);
  EXPECT_EQ(told.position().number(), position.number() + 2);
  EXPECT_EQ(told.fresh_groups(), 0b110u);
}

TEST_F(OcspTest, EdgesLearnOfWhatIsUnderWayAndOfWhatNobodyCanPromise) {
  const auto position = stamp_of(ask(get(issue(), true))).position();
  cluster.store.pending = {"soon"};
  EXPECT_EQ(news(position).pending(0), "soon");
  cluster.store.fresh = false;
  EXPECT_EQ(news(position).fresh_groups(), 0u);
}

TEST_F(OcspTest, ASnapshotDropsEverythingThatIsKept) {
  const auto serial = issue();
  const auto before = ask(get(serial, true));
  cluster.store.replace_records();
  EXPECT_TRUE(news(stamp_of(before).position()).everything());
  EXPECT_NE(ask(get(serial, true)).shared_body, before.shared_body);
}

TEST_F(OcspTest, TheQuickAnswerIsTheRoutedOneAndGoesWhenItIsNoLongerRight) {
  const auto serial = issue();
  EXPECT_FALSE(ocsp->quick(get(serial)));
  const auto routed = ask(get(serial));
  const auto quick = ocsp->quick(get(serial));
  ASSERT_TRUE(quick && quick->prepared);
  EXPECT_TRUE(quick->prepared->starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_TRUE(quick->prepared->ends_with("\r\n\r\n" + *routed.shared_body));
  EXPECT_NE(quick->prepared->find("Cache-Control: max-age=60, public"), std::string::npos);
  EXPECT_NE(quick->prepared->find("Evercert-Region: here\r\n"), std::string::npos);
  EXPECT_EQ(ocsp->quick(get(serial))->prepared, quick->prepared) << "made once";
  EXPECT_FALSE(ocsp->quick(get(serial, true))) << "edges need the stamp";
  cluster.store.fresh = false;
  EXPECT_FALSE(ocsp->quick(get(serial)));
  cluster.store.fresh = true;
  EXPECT_TRUE(ocsp->quick(get(serial)));
  revoke(serial);
  EXPECT_FALSE(ocsp->quick(get(serial)));
}

class OcspZonesTest : public OcspTest {
 protected:
  OcspZonesTest() {
    cluster.store.several_zones = true;
    OcspApiOptions api;
    api.regions = 2;
    api.region_name = "here";
    api.several_zones = true;
    ocsp = std::make_unique<Ocsp>(api, *responder, cluster.store, cluster.wall);
    router = Router();
    ocsp->mount(router);
  }
  std::optional<net::HttpResponse> quick(const net::HttpRequest& request) {
    EXPECT_FALSE(ocsp->quick(request)) << "a lease is not enough here";
    if (!ocsp->may_be_quick(request)) return std::nullopt;
    return testkit::finish(cluster.executor, ocsp->quick_in_common(request));
  }
};

TEST_F(OcspZonesTest, AKeptAnswerLeavesAfterACheckThatAllShare) {
  const auto serial = issue();
  EXPECT_FALSE(quick(get(serial))) << "not asked for before";
  ask(get(serial));
  const auto request = get(serial);
  const int before = cluster.store.freshens;
  int answered = 0;
  TaskScope asking;
  for (int i = 0; i < 50; ++i) {
    asking.spawn(ocsp->quick_in_common(request),
                 [&](std::optional<net::HttpResponse> response) { answered += response ? 1 : 0; });
  }
  cluster.executor.run();
  EXPECT_EQ(answered, 50);
  EXPECT_EQ(cluster.store.freshens - before, 1);
  EXPECT_TRUE(quick(request));
  EXPECT_EQ(cluster.store.freshens - before, 2) << "who comes later is told of a later look";
}

TEST_F(OcspZonesTest, ARevocationThatIsKnownOrUnderWayIsNotAnsweredQuickly) {
  const auto serial = issue();
  ask(get(serial));
  EXPECT_TRUE(quick(get(serial)));
  cluster.store.pending = {serial};
  EXPECT_FALSE(quick(get(serial)));
  cluster.store.pending.clear();
  EXPECT_TRUE(quick(get(serial)));
  cluster.store.fresh = false;
  EXPECT_FALSE(quick(get(serial)));
  cluster.store.fresh = true;
  revoke(serial);
  EXPECT_FALSE(quick(get(serial)));
  ask(get(serial));
  EXPECT_TRUE(quick(get(serial))) << "revoked is an answer that is kept too";
}

TEST_F(OcspTest, ANonsensicalCheckIsRefused) {
  net::HttpRequest question;
  question.body = "\xff\xff";
  question.executor = &cluster.executor;
  EXPECT_EQ(testkit::finish(cluster.executor, ocsp->news(std::move(question))).status, 400);
}

}  // namespace
}  // namespace evercert::api
