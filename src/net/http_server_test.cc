// SPDX-License-Identifier: Apache-2.0
#include "net/http_server.h"

#include <sys/resource.h>

#include "net/http_test_server.h"

namespace evercert::net {
namespace {

INSTANTIATE_TEST_SUITE_P(Plain, HttpServerTest, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Tls, HttpServerTest, ::testing::Values(true));

TEST_P(HttpServerTest, AConnectionIsKeptFromRequestToRequest) {
  const auto client = connect();
  for (const char* target : {"/one", "/two?x=1", "/three"}) {
    ASSERT_TRUE(client->send(get(target)));
    const auto answer = client->answer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.has("Echo: yes"));
    EXPECT_FALSE(answer.has("Connection: close"));
    EXPECT_EQ(answer.body, "GET " + std::string(target) + "\n");
  }
}

TEST_P(HttpServerTest, AThreadThatIsToLookBusilyDoesSoForAWhileAndThenSleeps) {
  options_.busy_poll = 20ms;
  const auto cpu = [] {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    return std::chrono::seconds(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           Duration(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
  };
  const auto client = connect();
  // Of 15 ms: others may have the core, but not each time.
  bool busy = false;
  for (int i = 0; i < 50 && !busy; ++i) {
    ASSERT_TRUE(client->send(get("/one")));
    EXPECT_EQ(client->answer().body, "GET /one\n");
    const auto before = cpu();
    std::this_thread::sleep_for(15ms);
    busy = cpu() - before > 5ms;
  }
  EXPECT_TRUE(busy);
  std::this_thread::sleep_for(20ms);
  const auto before = cpu();
  std::this_thread::sleep_for(600ms);
  EXPECT_LT(cpu() - before, 300ms) << "a timer of its own, now and then, is the only thing to do";
}

TEST_P(HttpServerTest, ARequestMayBeTornAtAnyByte) {
  const auto client = connect();
  const std::string whole =
      "POST /torn?a=b HTTP/1.1\r\nHost: a\r\nX-Long: some value\r\nContent-Length: 11\r\n\r\nhello world";
  for (std::size_t cut = 1; cut < whole.size(); ++cut) {
    ASSERT_TRUE(client->send(whole.substr(0, cut)));
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    ASSERT_TRUE(client->send(whole.substr(cut)));
    ASSERT_EQ(client->answer().body, "POST /torn?a=b\nhello world") << "cut at " << cut;
  }
}

TEST_P(HttpServerTest, AChunkedRequestMayBeTornAtAnyByte) {
  const auto client = connect();
  const std::string whole =
      "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\n";
  for (std::size_t cut = 1; cut < whole.size(); ++cut) {
    ASSERT_TRUE(client->send(whole.substr(0, cut)));
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    ASSERT_TRUE(client->send(whole.substr(cut)));
    ASSERT_EQ(client->answer().body, "POST /c\nhello world") << "cut at " << cut;
  }
}

TEST_P(HttpServerTest, ARequestMayComeByteByByte) {
  const auto client = connect();
  for (const char byte : std::string("POST /slow HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"))
    ASSERT_TRUE(client->send(std::string(1, byte)));
  EXPECT_EQ(client->answer().body, "POST /slow\nabc");
}

TEST_P(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  const auto client = connect();
  ASSERT_TRUE(client->send(get("/1") + "POST /2 HTTP/1.1\r\nContent-Length: 2\r\n\r\nxy" + get("/later?3") + get("/4") +
                           get("/later?5") + get("/6")));
  EXPECT_EQ(client->answer().body, "GET /1\n");
  EXPECT_EQ(client->answer().body, "POST /2\nxy");
  ASSERT_TRUE(gate_.wait_for(1));
  EXPECT_TRUE(client->silent_for(std::chrono::milliseconds(20))) << "the fourth must wait for the third";
  EXPECT_EQ(handled_, 3) << "a connection has one handler at a time";
  gate_.open();
  EXPECT_EQ(client->answer().body, "later 3");
  EXPECT_EQ(client->answer().body, "GET /4\n");
  ASSERT_TRUE(gate_.wait_for(1));
  gate_.open();
  EXPECT_EQ(client->answer().body, "later 5");
  EXPECT_EQ(client->answer().body, "GET /6\n");
}

TEST_P(HttpServerTest, ThousandsOfPipelinedRequestsAreAllAnswered) {
  const auto client = connect();
  constexpr int kCount = 20000;
  std::thread sender([&] {
    std::string all;
    for (int i = 0; i < kCount; ++i) all += get("/" + std::to_string(i));
    EXPECT_TRUE(client->send(all));
  });
  if (GetParam()) sender.join();  // one SSL object, one thread: what does not fit waits in the sockets
  for (int i = 0; i < kCount; ++i) ASSERT_EQ(client->answer().body, "GET /" + std::to_string(i) + "\n");
  if (sender.joinable()) sender.join();
}

TEST_P(HttpServerTest, TrailersAreNoHeaders) {
  const auto client = connect();
  ASSERT_TRUE(
      client->send("POST /headers HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: stolen\r\n\r\n"));
  EXPECT_EQ(client->answer().body, "Transfer-Encoding=chunked\n");
}

TEST_P(HttpServerTest, AClientThatExpectsContinueIsToldToGoOn) {
  const auto client = connect();
  ASSERT_TRUE(client->send("POST /e HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"));
  EXPECT_EQ(client->answer().status, 100);
  ASSERT_TRUE(client->send("body"));
  EXPECT_EQ(client->answer().body, "POST /e\nbody");
  // Whose body is there already is not.
  ASSERT_TRUE(client->send("POST /e HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"));
  EXPECT_EQ(client->answer().status, 200);
}

TEST_P(HttpServerTest, ABodyTooLargeIsRefusedBeforeItIsSent) {
  options_.max_body_bytes = 1000;
  const auto client = connect();
  ASSERT_TRUE(client->send("POST /e HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n"));
  const auto answer = client->answer();
  EXPECT_EQ(answer.status, 413);
  EXPECT_TRUE(answer.has("Content-Type: application/problem+json"));
  EXPECT_TRUE(answer.has("Connection: close"));
  EXPECT_TRUE(client->closed_within(std::chrono::seconds(3)));
}

TEST_P(HttpServerTest, ARefusedUploadStillGetsItsAnswer) {
  options_.max_body_bytes = 1000;
  const auto client = connect();
  ASSERT_TRUE(client->send("POST /e HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n"));
  ASSERT_TRUE(client->send(std::string(4000000, 'x')));
  EXPECT_EQ(client->answer().status, 413);
  EXPECT_EQ(handled_, 0);
}

TEST_P(HttpServerTest, AChunkedBodyHasTheSameLimit) {
  options_.max_body_bytes = 1000;
  const auto client = connect();
  std::string request = "POST /e HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 3; ++i) request += "190\r\n" + std::string(400, 'x') + "\r\n";
  ASSERT_TRUE(client->send(request));
  EXPECT_EQ(client->answer().status, 413);
}

TEST_P(HttpServerTest, AHeaderTooLargeIsRefusedHoweverItComes) {
  for (const bool in_pieces : {false, true}) {
    const auto client = connect();
    ASSERT_TRUE(client->send("GET / HTTP/1.1\r\n"));
    for (int i = 0; i < 20; ++i) {
      if (!client->send("X-Field: " + std::string(1000, 'x') + "\r\n")) break;
      if (in_pieces) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const auto answer = client->answer();
    EXPECT_EQ(answer.status, 431);
    EXPECT_TRUE(answer.has("Content-Type: application/problem+json"));
  }
  EXPECT_EQ(handled_, 0);
}

TEST_P(HttpServerTest, WhatIsNoRequestIsRefused) {
  for (const char* nonsense : {"hello\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01",
                               "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                               "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
                               "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"}) {
    const auto client = connect();
    ASSERT_TRUE(client->send(nonsense));
    EXPECT_EQ(client->answer().status, 400) << nonsense;
    client->end_sending();
    EXPECT_EQ(client->rest(), "") << nonsense;
  }
  EXPECT_EQ(handled_, 0);
}

TEST_P(HttpServerTest, HeadIsAnsweredByTheHeaderOfGet) {
  const auto client = connect();
  for (const char* target : {"/echo", "/big", "/prepared"}) {
    ASSERT_TRUE(client->send("HEAD " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n" + get("/next")));
    const auto answer = client->answer(true);
    EXPECT_EQ(answer.status, 200);
    EXPECT_NE(answer.header.find("\r\nContent-Length: "), std::string::npos);
    EXPECT_FALSE(answer.has("Content-Length: 0"));
    EXPECT_EQ(client->answer().body, "GET /next\n");
  }
}

TEST_P(HttpServerTest, AConnectionEndsWhenTheClientWantsIt) {
  for (const char* target : {"/echo", "/prepared"}) {
    const auto client = connect();
    ASSERT_TRUE(client->send("GET " + std::string(target) + " HTTP/1.1\r\nConnection: close\r\n\r\n"));
    const auto answer = client->answer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.has("Connection: close"));
    EXPECT_TRUE(answer.body.starts_with(target[1] == 'e' ? "GET /echo" : "prepared body"));
    EXPECT_EQ(client->rest(), "");
    EXPECT_TRUE(client->clean_end());
  }
}

TEST_P(HttpServerTest, RequestsBehindTheLastAreNotCarriedOut) {
  const auto client = connect();
  ASSERT_TRUE(client->send("GET /last HTTP/1.1\r\nConnection: close\r\n\r\n" + get("/behind")));
  EXPECT_EQ(client->answer().body, "GET /last\n");
  client->end_sending();
  EXPECT_EQ(client->rest(), "");
  EXPECT_EQ(handled_, 1);
}

TEST_P(HttpServerTest, Http10ClosesUnlessAskedNotTo) {
  const auto closing = connect();
  ASSERT_TRUE(closing->send("GET /a HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(closing->answer().has("Connection: close"));
  EXPECT_EQ(closing->rest(), "");
  const auto kept = connect();
  for (const char* target : {"/echo", "/prepared", "/echo"}) {
    ASSERT_TRUE(kept->send("GET " + std::string(target) + " HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    EXPECT_TRUE(kept->answer().has("Connection: keep-alive"));
  }
}

TEST_P(HttpServerTest, APreparedAnswerIsSentAsItIs) {
  const auto client = connect();
  ASSERT_TRUE(client->send(get("/prepared") + get("/prepared") + "GET / HTTP/1.1\r\nConnection: close\r\n\r\n"));
  const auto all = client->rest();
  ASSERT_TRUE(all);
  EXPECT_TRUE(all->starts_with(*prepared_ + *prepared_ + "HTTP/1.1 200 OK\r\n"));
}

TEST_P(HttpServerTest, AnAnswerWithoutContentHasNoLength) {
  const auto client = connect();
  ASSERT_TRUE(client->send(get("/nothing") + get("/next")));
  const auto answer = client->answer();
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(answer.header.find("Content-Length"), std::string::npos);
  EXPECT_EQ(client->answer().body, "GET /next\n");
}

TEST_P(HttpServerTest, AHandlersHeadersCannotBreakTheMessage) {
  const auto client = connect();
  ASSERT_TRUE(client->send(get("/break")));
  const auto answer = client->answer();
  EXPECT_TRUE(answer.has("Whole: yes"));
  EXPECT_TRUE(answer.has("Content-Length: 0"));
  EXPECT_EQ(answer.header.find("Injected"), std::string::npos);
  EXPECT_EQ(answer.header.find("Connection"), std::string::npos);
}

TEST_P(HttpServerTest, AHandlerThatThrowsCostsItsRequestAlone) {
  const auto client = connect();
  ASSERT_TRUE(client->send(get("/throw") + get("/next")));
  EXPECT_EQ(client->answer().status, 500);
  EXPECT_EQ(client->answer().body, "GET /next\n");
}

TEST_P(HttpServerTest, AClientThatHasSaidAllIsStillAnswered) {
  const auto client = connect();
  ASSERT_TRUE(client->send(get("/later?1")));
  if (!GetParam()) client->end_sending();
  ASSERT_TRUE(gate_.wait_for(1));
  gate_.open();
  EXPECT_EQ(client->answer().body, "later 1");
}

TEST_P(HttpServerTest, ALargeAnswerReachesASlowReaderWhole) {
  for (const char* target : {"/big", "/bigown"}) {
    const auto client = connect(4096);
    ASSERT_TRUE(client->send(get(target) + get("/next")));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(client->answer().body, *big_);
    EXPECT_EQ(client->answer().body, "GET /next\n");
  }
}

TEST_P(HttpServerTest, WhoDoesNotReadIsNotServedOn) {
  const auto client = connect(4096);
  std::string all;
  for (int i = 0; i < 500; ++i) all += get("/big");
  ASSERT_TRUE(client->send(all));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LE(handled_, 2) << "answers that nobody takes would fill the memory";
}

TEST_P(HttpServerTest, AResetWhileTheHandlerWaitsEndsTheConnectionAlone) {
  {
    const auto gone = connect();
    ASSERT_TRUE(gone->send(get("/later?1")));
    ASSERT_TRUE(gate_.wait_for(1));
    gone->reset();
  }
  const auto other = connect();
  ASSERT_TRUE(other->send(get("/other")));
  EXPECT_EQ(other->answer().body, "GET /other\n");
  EXPECT_EQ(resumed_, 0);
  gate_.open();
  ASSERT_TRUE(other->send(get("/other")));
  EXPECT_EQ(other->answer().body, "GET /other\n");
  EXPECT_EQ(resumed_, 1) << "the handler is run to its end";
  EXPECT_EQ(ended_, 1);
}

TEST_P(HttpServerTest, WhenTheServerGoesWaitingHandlersGoWithIt) {
  const auto client = connect();
  ASSERT_TRUE(client->send(get("/later?1")));
  ASSERT_TRUE(gate_.wait_for(1));
  server_.reset();
  EXPECT_EQ(ended_, 1);
  EXPECT_EQ(resumed_, 0);
  EXPECT_EQ(client->answer().status, 0);
}

TEST_P(HttpServerTest, AHandlerThatEndsOnAnotherThreadIsAnswered) {
  start();
  server_.reset();
  // Resumes its coroutine right where it was resolved, as suspend_on() never would.
  struct Elsewhere {
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      std::thread& started = thread;  // this object goes as soon as the coroutine goes on
      started = std::thread([handle] { handle.resume(); });
    }
    void await_resume() const {}
    std::thread& thread;
  };
  std::vector<std::thread> threads(20);
  std::size_t used = 0;
  auto started = HttpServer::start(options_, [&](HttpRequest) -> Task<HttpResponse> {
    Elsewhere elsewhere{threads[used++]};
    co_await elsewhere;
    HttpResponse response;
    response.body = "from elsewhere";
    co_return response;
  });
  ASSERT_TRUE(started);
  server_ = std::move(*started);
  const auto client = connect();
  for (std::size_t i = 0; i < threads.size(); ++i) {
    ASSERT_TRUE(client->send(get("/x")));
    EXPECT_EQ(client->answer().body, "from elsewhere");
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace evercert::net
