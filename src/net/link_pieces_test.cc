// SPDX-License-Identifier: Apache-2.0
// Bodies in pieces over a link, either way.
#include "net/link_test_world.h"
#include "net/upload_test.h"

namespace evercert::net {
namespace {

using std::chrono::milliseconds;

char byte_at(std::uint64_t at) { return static_cast<char>('a' + at % 26 + at / 1000 % 7); }

struct Seen {
  std::atomic<std::uint64_t> given{0}, got{0};
  std::atomic<int> alive{0}, given_up{0}, wrong{0};
};

// So many bytes; then it ends, breaks or waits.
class Bytes : public BodySource {
 public:
  Bytes(std::uint64_t size, std::size_t each, char then, Seen& seen)
      : size_(size), each_(each), then_(then), seen_(seen) {
    ++seen_.alive;
  }
  ~Bytes() override { --seen_.alive; }
  Task<Result<std::string>> next(Executor& on) override {
    std::string piece;
    for (; piece.size() < each_ && at_ < size_; ++at_) piece.push_back(byte_at(at_));
    seen_.given += piece.size();
    if (!piece.empty() || then_ == 'e') co_return piece;
    if (then_ == 'b') co_return fail(Code::kUnavailable, "as planned");
    auto start = [this](auto resolve) { waiting_ = std::move(resolve); };
    auto never = suspend_on<bool>(on, start);
    co_await never;
    co_return fail(Code::kUnavailable, "given up");
  }
  void give_up() override {
    ++seen_.given_up;
    if (waiting_) waiting_(true);
  }

 private:
  std::uint64_t at_ = 0, size_;
  std::size_t each_;
  char then_;
  Seen& seen_;
  std::move_only_function<void(bool)> waiting_;
};

class LinkPieces : public Link {
 protected:
  ~LinkPieces() override {
    caller_.reset();
    if (server_) server_->stop(0ms);
    server_.reset();
    clients_.clear();
  }
  void serve_pieces() {
    server_.reset();
    LinkServerOptions options;
    options.address = "127.0.0.1";
    options.tls = identities_.of(kNode);
    options.admitted = "evercert://test/edge/";
    auto started = LinkServer::start(
        options, [this](HttpRequest request) { return handle(std::move(request)); },
        [](HttpRequest) -> Task<HttpResponse> { co_return HttpResponse{}; });
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
    connect(patient(server_->port()));
  }
  // On a machine with much else to do nobody is silent who has no turn.
  LinkClientOptions patient(std::uint16_t port) {
    LinkClientOptions options = client_options(port);
    options.silence = 30s;
    return options;
  }
  Task<HttpResponse> handle(HttpRequest request) {
    HttpResponse response;
    if (request.path == "/give") {  // bytes, bytes of each piece, what then
      std::uint64_t size = 0;
      std::size_t each = 1000;
      char then = 'e';
      ::sscanf(request.query.c_str(), "%zu,%zu,%c", &size, &each, &then);
      response.source = std::make_shared<Bytes>(size, each, then, node_);
      if (then == 'e') response.length = size;
    } else if (request.path == "/own") {
      response.body = bytes(std::stoull(request.query));
      response.headers.set("ETag", "\"a\"");
    } else if (request.path == "/refuse") {
      response.status = 413;
    } else if (request.path == "/take") {
      response.body = request.source ? "pieces" : "whole";
      if (request.length) response.headers.set("X-Length", std::to_string(*request.length));
      const auto each = [this](const std::string& piece) {
        for (const char one : piece) node_.wrong += one == byte_at(node_.got++) ? 0 : 1;
      };
      auto reading = read_pieces(request, each);
      if (!co_await std::move(reading)) {
        ++broken_;
        co_return problem(400, "Bad Request", "it breaks off");
      }
    } else if (request.path == "/slow") {
      auto wait = [&](auto resolve) {
        request.executor->post_after(50ms, [resolve = std::move(resolve)]() mutable { resolve(true); });
      };
      auto waiting = suspend_on<bool>(*request.executor, wait);
      co_await waiting;
    }
    co_return response;
  }
  // Calls on the caller's thread; `then` gets the answer there.
  std::future<Result<HttpResponse>> call(LinkCall what, Duration timeout = 60s) {
    auto promise = std::make_shared<std::promise<Result<HttpResponse>>>();
    asio::post(caller_->context, [=, this] {
      auto kept = std::make_shared<LinkCall>(what);
      spawn(client_->call(caller_->executor, 0, *kept, timeout),
            [promise, kept](Result<HttpResponse> result) { promise->set_value(std::move(result)); });
    });
    return promise->get_future();
  }
  LinkCall get(std::string target) {
    LinkCall out;
    out.target = std::move(target);
    return out;
  }
  LinkCall post(std::string target, std::uint64_t size, std::size_t each, char then = 'e') {
    LinkCall out;
    out.method = "POST";
    out.target = std::move(target);
    out.source = std::make_shared<Bytes>(size, each, then, edge_);
    if (then == 'e') out.length = size;
    return out;
  }
  Result<std::string> next(BodySource& source) {
    std::promise<Result<std::string>> promise;
    asio::post(caller_->context, [&] {
      spawn(source.next(caller_->executor), [&](Result<std::string> piece) { promise.set_value(std::move(piece)); });
    });
    return promise.get_future().get();
  }
  void drop(std::shared_ptr<BodySource> source) {
    std::promise<void> done;
    asio::post(caller_->context, [&, source = std::move(source)]() mutable {
      source.reset();
      done.set_value();
    });
    done.get_future().get();
  }
  template <class F>
  static bool comes(F&& f) {
    for (int i = 0; i < 500 && !f(); ++i) std::this_thread::sleep_for(milliseconds(10));
    return f();
  }
  static std::string bytes(std::uint64_t size) {
    std::string out;
    for (std::uint64_t at = 0; at < size; ++at) out.push_back(byte_at(at));
    return out;
  }

  Seen node_, edge_;
  std::atomic<int> broken_{0};
};

TEST_F(LinkPieces, ALargeAnswerComesInPiecesAndASmallOneWhole) {
  serve_pieces();
  EXPECT_FALSE(call(get("/own?100000")).get()->source);
  const auto large = call(get("/own?300000")).get();
  ASSERT_TRUE(large && large->source);
  EXPECT_EQ(large->length, 300'000u);
  drop(large->source);
  for (const auto size : {0, 1, 1000, 65'536, 3'000'000}) {
    for (const auto each : {1000, 40'000, 65'536}) {
      const auto answer = ask("/give?" + std::to_string(size) + "," + std::to_string(each) + ",e");
      ASSERT_TRUE(answer) << answer.error().message;
      EXPECT_TRUE(answer->body == bytes(static_cast<std::uint64_t>(size))) << size << " by " << each;
    }
  }
  const auto own = ask("/own?3000000");
  ASSERT_TRUE(own) << own.error().message;
  EXPECT_TRUE(own->body == bytes(3'000'000));
}

TEST_F(LinkPieces, ARangeIsCutOutWhereTheWholeIs) {
  serve_pieces();
  auto part = get("/own?3000000");
  part.headers.set("Range", "bytes=1000-1009");
  const auto answer = call(part).get();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 206);
  EXPECT_EQ(answer->body, bytes(1010).substr(1000));
}

TEST_F(LinkPieces, WhatNobodyReadsHoldsItsCreditAndNobodyUp) {
  serve_pieces();
  const auto answer = call(get("/give?50000000,30000,e")).get();
  ASSERT_TRUE(answer && answer->source);
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_LE(node_.given, kFirstCredit + 60'000);
  EXPECT_EQ(ask("/own?1000")->body.size(), 1000u);
  EXPECT_EQ(ask("/give?3000000,30000,e")->body.size(), 3'000'000u);
  for (std::uint64_t got = 0; got < 50'000'000;) {
    const auto piece = next(*answer->source);
    ASSERT_TRUE(piece && !piece->empty()) << got;
    got += piece->size();
  }
  EXPECT_TRUE(next(*answer->source)->empty());
  drop(answer->source);
}

TEST_F(LinkPieces, AnAnswerThatBreaksOffIsNoWholeOne) {
  serve_pieces();
  const auto answer = ask("/give?500000,30000,b");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnknownOutcome);
  EXPECT_EQ(ask("/give?0,30000,b")->status, 503) << "before anything came somebody else may be asked";
}

TEST_F(LinkPieces, WhoDoesNotWantTheRestSaysSo) {
  serve_pieces();
  for (const char* what : {"/give?50000000,30000,e", "/give?50000,50000,w"}) {
    auto answer = call(get(what)).get();
    ASSERT_TRUE(answer && answer->source);
    EXPECT_EQ(node_.alive, 1);
    drop(std::move(answer->source));
    EXPECT_TRUE(comes([&] { return node_.alive == 0; })) << what;
  }
  EXPECT_GE(node_.given_up, 1);
  EXPECT_LT(node_.given, 1'000'000u);
}

TEST_F(LinkPieces, ANodeThatDiesOrFallsSilentInTheMiddleEndsTheAnswer) {
  serve_pieces();
  LinkRelay relay(server_->port());
  connect(client_options(relay.port()));
  const auto broken = call(get("/give?50000000,30000,e")).get();
  ASSERT_TRUE(broken && broken->source);
  relay.break_connections();
  Result<std::string> piece = std::string("x");
  while (piece && !piece->empty()) piece = next(*broken->source);
  EXPECT_FALSE(piece);
  drop(broken->source);
  const auto silent = call(get("/give?50000,50000,w")).get();
  ASSERT_TRUE(silent && silent->source);
  relay.go_silent();
  piece = std::string("x");
  while (piece && !piece->empty()) piece = next(*silent->source);
  EXPECT_FALSE(piece) << "though no request waits";
  drop(silent->source);
}

TEST_F(LinkPieces, ANodeThatLivesAndSendsNoMoreIsNotWaitedForForEver) {
  serve_pieces();
  auto options = patient(server_->port());
  options.piece_timeout = 300ms;
  connect(options);
  auto stalled = call(get("/give?50000,50000,w")).get();
  ASSERT_TRUE(stalled && stalled->source);
  Result<std::string> piece = std::string("x");
  while (piece && !piece->empty()) piece = next(*stalled->source);
  EXPECT_FALSE(piece);
  drop(std::move(stalled->source));
  EXPECT_TRUE(comes([&] { return node_.alive == 0; }));
}

TEST_F(LinkPieces, ARequestGoesInPieces) {
  serve_pieces();
  EXPECT_EQ(call(post("/take", 0, 1000)).get()->body, "pieces");
  for (const auto each : {1000, 40'000, 65'536}) {
    node_.got = 0;
    const auto answer = call(post("/take", 5'000'000, static_cast<std::size_t>(each))).get();
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->headers.get("X-Length"), "5000000");
    EXPECT_EQ(node_.got, 5'000'000u);
  }
  EXPECT_EQ(node_.wrong, 0);
  EXPECT_TRUE(comes([&] { return edge_.alive == 0; }));
}

TEST_F(LinkPieces, ARequestThatBreaksOffIsNoWholeOne) {
  serve_pieces();
  EXPECT_EQ(call(post("/take", 500'000, 30'000, 'b')).get()->status, 400);
  EXPECT_EQ(broken_, 1);
  auto longer = post("/take", 500'000, 30'000);
  longer.length = 600'000;
  EXPECT_EQ(call(longer).get()->status, 400) << "shorter than was said";
}

TEST_F(LinkPieces, AnAnswerBeforeTheEndOfTheRequestEndsThat) {
  serve_pieces();
  const auto answer = call(post("/refuse", 50'000'000, 30'000)).get();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  EXPECT_TRUE(comes([&] { return edge_.alive == 0; }));
  EXPECT_LT(edge_.given, 1'000'000u);
}

TEST_F(LinkPieces, ARequestThatIsSentForLongerThanItsTimeIsInTime) {
  serve_pieces();
  auto waits = call(post("/take", 1000, 1000, 'w'), 300ms);
  EXPECT_EQ(waits.get().error().code, Code::kUnknownOutcome) << "from the last piece on";
  EXPECT_TRUE(comes([&] { return broken_ == 1; })) << "and the node knows";
  EXPECT_TRUE(comes([&] { return edge_.alive == 0; }));
}

TEST_F(LinkPieces, WithoutAConnectionNothingIsAskedOfABody) {
  serve_pieces();
  auto options = client_options(1);
  connect(options);
  EXPECT_EQ(call(post("/take", 1000, 1000)).get().error().code, Code::kUnavailable);
  EXPECT_EQ(edge_.given, 0u);
}

TEST_F(LinkPieces, ACallOfAnotherThreadGetsTheWhole) {
  serve_pieces();
  auto executor = os::ThreadExecutor::start("other");
  std::promise<Result<HttpResponse>> answered;
  const LinkCall what = get("/give?3000000,30000,e");
  spawn(client_->call(*executor, 0, what, 5s), [&](Result<HttpResponse> r) { answered.set_value(std::move(r)); });
  const auto answer = answered.get_future().get();
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->source);
  EXPECT_EQ(answer->body.size(), 3'000'000u);
}

}  // namespace
}  // namespace evercert::net
