// SPDX-License-Identifier: Apache-2.0
#include "api/acme/validator.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>

#include "api/acme/caa.h"
#include "base/encoding.h"
#include "testkit/fakes.h"

namespace evercert::api {
namespace {

class FakeDns : public net::DnsResolver {
 public:
  Task<Result<std::vector<std::string>>> lookup(Executor&, std::string name, net::DnsType type) override {
    ++asked[name];
    if (broken.contains(name) || broken_types.contains(type))
      co_return fail(Code::kUnavailable, "SERVFAIL for " + name);
    const auto found = records.find({name, type});
    co_return found == records.end() ? std::vector<std::string>{} : found->second;
  }
  std::map<std::pair<std::string, net::DnsType>, std::vector<std::string>> records;
  std::map<std::string, int> asked;
  std::set<std::string> broken;
  std::set<net::DnsType> broken_types;
};

class FakeHttp : public net::HttpClient {
 public:
  Task<Result<net::HttpResponse>> fetch(Executor&, net::HttpCall call) override {
    calls.push_back(call);
    if (unreachable.contains(call.target.address)) co_return fail(Code::kUnavailable, "no route");
    if (redirects.empty()) co_return answer;
    net::HttpResponse response;
    response.status = redirects.front().first;
    response.headers.set("Location", redirects.front().second);
    redirects.pop_front();
    co_return response;
  }
  std::vector<net::HttpCall> calls;
  std::set<std::string> unreachable;
  std::deque<std::pair<int, std::string>> redirects;  // status and place, before the answer
  Result<net::HttpResponse> answer = fail(Code::kUnavailable, "connection refused");
};

class ValidatorTest : public testing::Test {
 protected:
  void make(std::string identity = "", std::uint16_t port = 80) {
    auto own_dns = std::make_unique<FakeDns>();
    auto own_http = std::make_unique<FakeHttp>();
    dns = own_dns.get();
    http = own_http.get();
    dns->records[{"host.a.test", net::DnsType::kA}] = {"192.0.2.1", "192.0.2.2"};
    serve(200, "token.print\n");
    ValidatorOptions options;
    options.caa_identity = std::move(identity);
    options.http01_port = port;
    validator = make_validator(options, std::move(own_dns), std::move(own_http), net::TlsProbe::create(""), clock);
  }
  void serve(int status, std::string body) {
    net::HttpResponse response;
    response.status = status;
    response.body = std::move(body);
    http->answer = response;
  }
  void caa(const std::string& name, std::vector<std::string> records) {
    dns->records[{name, net::DnsType::kCaa}] = std::move(records);
  }
  // "": proved.
  std::string http01(const std::string& name = "host.a.test", const std::string& kind = "dns") {
    return type(validate({kind, name, false, "http-01", "token", "token.print"}));
  }
  std::string dns01(const std::string& name, bool wildcard) {
    return type(validate({"dns", name, wildcard, "dns-01", "token", "token.print"}));
  }
  std::optional<AcmeError> validate(ValidationRequest request) {
    return testkit::finish(executor, validator->validate(executor, std::move(request)));
  }
  static std::string type(const std::optional<AcmeError>& error) { return error ? error->type : ""; }

  testkit::ManualExecutor executor;
  testkit::FakeMonotonicClock clock;
  FakeDns* dns = nullptr;
  FakeHttp* http = nullptr;
  std::unique_ptr<Validator> validator;
};

TEST_F(ValidatorTest, AHostThatServesTheKeyAuthorizationIsProved) {
  make("", 5002);
  EXPECT_EQ(http01(), "");
  ASSERT_EQ(http->calls.size(), 1u);
  EXPECT_EQ(http->calls[0].target.address, "192.0.2.1");
  EXPECT_EQ(http->calls[0].target.port, 5002);
  EXPECT_EQ(http->calls[0].path, "/.well-known/acme-challenge/token");
  EXPECT_EQ(http->calls[0].headers.get("Host"), "host.a.test:5002");
}

TEST_F(ValidatorTest, WhatGoesWrongIsNamed) {
  make();
  serve(200, "token.other");
  EXPECT_EQ(http01(), "incorrectResponse");
  serve(404, "token.print");
  EXPECT_EQ(http01(), "unauthorized");
  http->answer = fail(Code::kUnavailable, "connection refused");
  EXPECT_EQ(http01(), "connection");
  EXPECT_EQ(http01("nowhere.a.test"), "dns") << "no address";
}

TEST_F(ValidatorTest, RedirectsAreFollowedToHostsWithNames) {
  make();
  dns->records[{"www.b.test", net::DnsType::kA}] = {"192.0.2.9"};
  http->redirects = {{301, "https://host.a.test/x"}, {302, "/y?z=1#part"}, {307, "http://www.b.test:80/w?q=2"}};
  EXPECT_EQ(http01(), "");
  ASSERT_EQ(http->calls.size(), 4u);
  EXPECT_TRUE(http->calls[1].target.tls && http->calls[1].target.any_certificate);
  EXPECT_EQ(http->calls[1].target.port, 443);
  EXPECT_EQ(http->calls[1].target.server_name, "host.a.test");
  EXPECT_EQ(http->calls[1].path, "/x");
  EXPECT_EQ(http->calls[2].path, "/y?z=1");
  EXPECT_TRUE(http->calls[2].target.tls) << "relative to where it was said";
  EXPECT_EQ(http->calls[3].target.address, "192.0.2.9");
  EXPECT_EQ(http->calls[3].headers.get("Host"), "www.b.test");
  EXPECT_EQ(http->calls[3].path, "/w?q=2");
}

TEST_F(ValidatorTest, RedirectsThatLeadElsewhereAreNotFollowed) {
  for (const std::string place :
       {"", "http://127.0.0.1/", "http://[::1]/", "http://host.a.test:22/", "ftp://host.a.test/", "//host.b.test/",
        "http://me@host.b.test/", "http://localhost/", "http:///x", "http://under_score.test/", "gopher://x"}) {
    make();
    http->redirects = {{302, place}};
    EXPECT_EQ(http01(), "unauthorized") << place;
    EXPECT_EQ(http->calls.size(), 1u) << place;
  }
  make();
  for (int n = 0; n < 20; ++n) http->redirects.emplace_back(302, "/again");
  EXPECT_EQ(http01(), "unauthorized");
  EXPECT_EQ(http->calls.size(), 6u) << "not for ever";
}

TEST_F(ValidatorTest, AnAddressIsAskedItself) {
  make();
  EXPECT_EQ(http01("198.51.100.7", "ip"), "");
  EXPECT_EQ(http->calls[0].target.address, "198.51.100.7");
  EXPECT_EQ(http->calls[0].headers.get("Host"), "198.51.100.7");
  EXPECT_EQ(http01("2001:db8::1", "ip"), "");
  EXPECT_EQ(http->calls[1].headers.get("Host"), "[2001:db8::1]");
  EXPECT_TRUE(dns->asked.empty()) << "nothing to look up";
}

TEST_F(ValidatorTest, IPv6ComesFirstAndIPv4AfterAConnectionThatFailed) {
  make();
  dns->records[{"host.a.test", net::DnsType::kAaaa}] = {"2001:db8::1", "2001:db8::2"};
  EXPECT_EQ(http01(), "");
  ASSERT_EQ(http->calls.size(), 1u);
  EXPECT_EQ(http->calls[0].target.address, "2001:db8::1");
  EXPECT_LT(http->calls[0].connect_timeout, 1s) << "another address waits";
  http->unreachable = {"2001:db8::1"};
  EXPECT_EQ(http01(), "");
  ASSERT_EQ(http->calls.size(), 3u);
  EXPECT_EQ(http->calls[2].target.address, "192.0.2.1");
  EXPECT_EQ(http->calls[2].path, http->calls[1].path);
  http->unreachable.insert("192.0.2.1");
  EXPECT_EQ(http01(), "connection");
}

TEST_F(ValidatorTest, AnAnswerThatIsWrongIsNotAskedForElsewhere) {
  make();
  dns->records[{"host.a.test", net::DnsType::kAaaa}] = {"2001:db8::1"};
  serve(404, "");
  EXPECT_EQ(http01(), "unauthorized");
  EXPECT_EQ(http->calls.size(), 1u);
  http->answer = fail(Code::kUnknownOutcome, "no answer in time");
  EXPECT_EQ(http01(), "connection");
  EXPECT_EQ(http->calls.size(), 2u);
}

TEST_F(ValidatorTest, OneFamilyOfAddressesIsEnough) {
  make();
  dns->broken_types = {net::DnsType::kAaaa};
  EXPECT_EQ(http01(), "");
  dns->broken_types = {net::DnsType::kA};
  EXPECT_EQ(http01(), "dns") << "no IPv6, and IPv4 is not known";
  dns->records[{"host.a.test", net::DnsType::kAaaa}] = {"2001:db8::1"};
  EXPECT_EQ(http01(), "");
  dns->records[{"six.a.test", net::DnsType::kAaaa}] = {"2001:db8::6"};
  dns->broken_types.clear();
  EXPECT_EQ(http01("six.a.test"), "") << "no IPv4 at all";
}

TEST_F(ValidatorTest, ATxtRecordWithTheDigestProves) {
  make();
  EXPECT_EQ(dns01("a.test", true), "incorrectResponse");
  dns->records[{"_acme-challenge.a.test", net::DnsType::kTxt}] = {"other", to_base64url(sha256("token.print"))};
  EXPECT_EQ(dns01("a.test", true), "");
  dns->broken.insert("_acme-challenge.a.test");
  EXPECT_EQ(dns01("a.test", true), "dns");
}

TEST_F(ValidatorTest, TheClosestCaaRecordsDecide) {
  make("ca.example");
  caa("a.test", {"0 issue other.example"});
  EXPECT_EQ(http01(), "caa");
  caa("host.a.test", {"0 issue ca.example; account=1"});
  EXPECT_EQ(http01(), "");
  caa("host.a.test", {"0 iodef mailto:x@a.test"});
  EXPECT_EQ(http01(), "") << "nothing in it is about issuing";
  caa("host.a.test", {"0 issue ;"});
  EXPECT_EQ(http01(), "caa");
}

TEST_F(ValidatorTest, WildcardsHaveTheirOwnRecords) {
  make("ca.example");
  dns->records[{"_acme-challenge.a.test", net::DnsType::kTxt}] = {to_base64url(sha256("token.print"))};
  caa("a.test", {"0 issue ca.example", "0 issuewild ;"});
  EXPECT_EQ(dns01("a.test", true), "caa");
  EXPECT_EQ(dns01("a.test", false), "");
  caa("a.test", {"0 issue ;", "0 issuewild ca.example"});
  EXPECT_EQ(dns01("a.test", true), "") << "0 issuewild decides alone where there is one";
  EXPECT_EQ(dns01("a.test", false), "caa");
  caa("a.test", {"0 issue ;"});
  EXPECT_EQ(dns01("a.test", true), "caa") << "0 issue is for wildcards too where there is none";
}

struct CaaCase {
  std::vector<std::string> records;
  bool allowed;
  const char* why;
};

// RFC 8659 sections 4.1 and 4.2, RFC 8657.
TEST(Caa, WhatRecordsSayIsWhatCounts) {
  const CaaQuestion question{"a.test", false, "a0123", "http-01"};
  const std::string uri = "accounturi=https://edge.example/acme/acct/a0123";
  const CaaCase cases[] = {
      {{}, true, "no record"},
      {{"0 issue ca.example"}, true, ""},
      {{"0 ISSUE CA.Example"}, true, "tags and names have no case"},
      {{"0 issue  ca.example ; account=1"}, true, "parameters of others do not matter"},
      {{"0 issue ca.example; no-parameter"}, false, "what cannot be read permits nothing"},
      {{"0 issue "}, false, "nobody"},
      {{"0 issue other.example", "0 issue ca.example"}, true, "one of several"},
      {{"0 unknown x"}, true, "not critical"},
      {{"128 unknown x"}, false, "critical and unknown"},
      {{"128 unknown x", "0 issue ca.example"}, false, "critical and unknown"},
      {{"128 issue ca.example", "128 iodef mailto:a@b.test"}, true, "critical and known"},
      {{"0 issue ca.example; " + uri}, true, "this account"},
      {{"0 issue ca.example; AccountURI=https://other.example:8443/acme/acct/a0123"}, true, "at any host of ours"},
      {{"0 issue ca.example; " + uri + "4"}, false, "another account"},
      {{"0 issue ca.example; accounturi=https://edge.example/x/acme/acct/a0123"}, false, "another path"},
      {{"0 issue ca.example; accounturi=http://edge.example/acme/acct/a0123"}, false, "no https"},
      {{"0 issue ca.example; accounturi="}, false, ""},
      {{"0 issue ca.example; " + uri + "; " + uri}, false, "named twice"},
      {{"0 issue ca.example; validationmethods=http-01"}, true, ""},
      {{"0 issue ca.example; validationmethods=dns-01, http-01"}, true, "one of a list"},
      {{"0 issue ca.example; validationmethods=dns-01"}, false, "by another method"},
      {{"0 issue ca.example; validationmethods="}, false, "by none"},
      {{"0 issue ca.example; validationmethods=dns-01; " + uri}, false, "all that is asked for must hold"},
      {{"0 issue ca.example; validationmethods=dns-01", "0 issue ca.example; " + uri}, true, "either record"},
  };
  for (const auto& one : cases) {
    EXPECT_EQ(caa_allows(one.records, "ca.example", question), one.allowed)
        << (one.records.empty() ? "" : one.records[0]) << ": " << one.why;
  }
}

TEST_F(ValidatorTest, AccountAndMethodOfTheOrderAreWhatCaaIsAskedAbout) {
  make("ca.example");
  ValidationRequest request{"dns", "host.a.test", false, "http-01", "token", "token.print", "a0123"};
  caa("a.test", {"0 issue ca.example; accounturi=https://e.test/acme/acct/a0123; validationmethods=http-01"});
  EXPECT_EQ(type(validate(request)), "");
  request.account_id = "b0123";
  EXPECT_EQ(type(validate(request)), "caa");
  request.account_id = "a0123";
  request.type = "dns-01";
  EXPECT_EQ(type(validate(request)), "caa");
  EXPECT_EQ(type(testkit::finish(executor, validator->still_allowed(executor, request))), "caa");
  request.type = "http-01";
  const auto calls = http->calls.size();
  EXPECT_EQ(type(testkit::finish(executor, validator->still_allowed(executor, request))), "");
  EXPECT_EQ(http->calls.size(), calls) << "nothing is validated anew";
}

TEST_F(ValidatorTest, WithoutAnIdentityEveryRelevantRecordForbids) {
  make();
  EXPECT_EQ(http01(), "");
  caa("host.a.test", {"0 issue ca.example"});
  EXPECT_EQ(http01(), "caa");
}

TEST_F(ValidatorTest, NoAnswerAboutCaaIsNoPermission) {
  make();
  dns->broken.insert("a.test");
  EXPECT_EQ(http01(), "caa");
  dns->broken.clear();
  EXPECT_EQ(http01(), "") << "a failure is not remembered";
}

TEST_F(ValidatorTest, RecordsOfParentsAreKeptForAMinute) {
  make();
  EXPECT_EQ(http01(), "");
  caa("a.test", {"0 issue ;"});
  EXPECT_EQ(http01(), "");
  EXPECT_EQ(dns->asked["host.a.test"], 6) << "the name itself is asked about each time, for CAA and addresses";
  EXPECT_EQ(dns->asked["a.test"], 1);
  clock.advance(61s);
  EXPECT_EQ(http01(), "caa");
}

}  // namespace
}  // namespace evercert::api
