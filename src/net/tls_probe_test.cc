// SPDX-License-Identifier: Apache-2.0
#include "net/tls_probe.h"

#include <future>

#include "base/os/system.h"
#include "net/http_test_server.h"

namespace evercert::net {
namespace {

class TlsProbeTest : public HttpServerTest {
 protected:
  Result<TlsShown> ask(Port at, std::string protocol, Duration timeout = 5s) {
    TlsQuestion question;
    question.address = "127.0.0.1";
    question.port = server_ ? server_->port(at) : 1;
    question.server_name = "host.test";
    question.protocol = std::move(protocol);
    question.timeout = timeout;
    std::promise<Result<TlsShown>> shown;
    spawn(probe_->ask(*executor_, std::move(question)),
          [&](Result<TlsShown> result) { shown.set_value(std::move(result)); });
    return shown.get_future().get();
  }
  std::unique_ptr<os::ThreadExecutor> executor_ = os::ThreadExecutor::start("test");
  std::unique_ptr<TlsProbe> probe_ = TlsProbe::create("127.0.0.1");
};
INSTANTIATE_TEST_SUITE_P(Tls, TlsProbeTest, ::testing::Values(true));

TEST_P(TlsProbeTest, WhatAServerChoosesAndShowsIsSaidWhoeverSignedIt) {
  start();
  const auto shown = ask(kTls, "h2");
  ASSERT_TRUE(shown) << shown.error().message;
  EXPECT_EQ(shown->protocol, "h2");
  EXPECT_TRUE(shown->certificate.starts_with("\x30\x82")) << "a DER sequence";
  EXPECT_GT(shown->certificate.size(), 200u);
}

TEST_P(TlsProbeTest, WhoDoesNotKnowTheProtocolOrNoTlsHasShownNothing) {
  EXPECT_EQ(ask(kTls, "acme-tls/1").error().code, Code::kUnavailable) << "nobody listens";
  start();
  EXPECT_EQ(ask(kTls, "acme-tls/1").error().code, Code::kDenied);
  EXPECT_EQ(ask(kPlain, "acme-tls/1", 300ms).error().code, Code::kDenied);
}

}  // namespace
}  // namespace evercert::net
