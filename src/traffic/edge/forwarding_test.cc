// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/forwarding.h"

#include <gtest/gtest.h>

#include "traffic/edge/counting_random.h"

namespace evercert::traffic {
namespace {

net::HttpRequest request_of(std::string method, std::string path) {
  net::HttpRequest request;
  request.method = std::move(method);
  request.path = request.target = std::move(path);
  request.peer_address = "192.0.2.7";
  request.headers.add("Host", "ca.test");
  request.headers.add("Content-Type", "application/json");
  return request;
}

TEST(Forwarding, WhatBelongsToOneConnectionIsNotPassedOn) {
  Counting random;
  auto request = request_of("GET", "/");
  for (const char* name :
       {"connection", "Keep-Alive", "Transfer-Encoding", "Content-Length", "Upgrade", "TE", "EXPECT"})
    request.headers.add(name, "x");
  const auto headers = forwarded_headers(request, false, random);
  EXPECT_EQ(headers.get("Content-Type"), "application/json");
  EXPECT_EQ(headers.get("X-Forwarded-For"), "192.0.2.7");
  EXPECT_EQ(headers.get("X-Forwarded-Host"), "ca.test");
  EXPECT_EQ(headers.get("X-Forwarded-Proto"), "http");
  EXPECT_EQ(headers.all().size(), 5u);
}

TEST(Forwarding, ClientsCannotSayWhatOnlyEdgesMaySay) {
  Counting random;
  auto request = request_of("POST", "/v1/certificates");
  for (const std::string_view name : {kHop, kClientIdentity, kRequestId, kAttempt})
    request.headers.add(std::string(name), "forged");
  request.headers.add("x-forwarded-for", "forged");
  request.headers.add("evercert-attempt", "1");
  const auto from_client = forwarded_headers(request, false, random);
  for (const auto& [name, value] : from_client.all()) EXPECT_NE(value, "forged") << name;
  EXPECT_FALSE(from_client.find(kAttempt));
  const auto from_edge = forwarded_headers(request, true, random);
  EXPECT_EQ(from_edge.get(kRequestId), "forged") << "another edge's word counts";
  EXPECT_EQ(from_edge.get(kAttempt), "forged");
}

TEST(Forwarding, AnIssuanceWithoutAKeyOfItsClientGetsAFreshOne) {
  Counting random;
  const auto first = forwarded_headers(request_of("POST", "/v1/certificates"), false, random).get(kRequestId);
  EXPECT_EQ(first, "0102030405060708090a0b0c0d0e0f");
  EXPECT_NE(forwarded_headers(request_of("POST", "/v1/certificates"), false, random).get(kRequestId), first);
  EXPECT_FALSE(forwarded_headers(request_of("GET", "/v1/certificates"), false, random).find(kRequestId));
  EXPECT_FALSE(forwarded_headers(request_of("POST", "/ocsp"), false, random).find(kRequestId));
  auto with_key = request_of("POST", "/v1/certificates");
  with_key.headers.add("idempotency-key", "mine");
  EXPECT_FALSE(forwarded_headers(with_key, false, random).find(kRequestId));
}

TEST(Forwarding, AttemptsAreCountedOnFromWhatAnotherEdgeSays) {
  net::Headers headers;
  EXPECT_EQ(earlier_attempts(headers), 0);
  headers.set(kAttempt, "3");
  EXPECT_EQ(earlier_attempts(headers), 3);
  headers.set(kAttempt, "99999999999999999999");
  EXPECT_EQ(earlier_attempts(headers), 0);
  headers.set(kAttempt, "-4");
  EXPECT_EQ(earlier_attempts(headers), 0);
}

}  // namespace
}  // namespace evercert::traffic
