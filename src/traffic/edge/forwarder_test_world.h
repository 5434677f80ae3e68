// SPDX-License-Identifier: Apache-2.0
// A Forwarder with nodes that are made here, on virtual time. For tests.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <queue>
#include <set>

#include "base/encoding.h"
#include "traffic/edge/counting_random.h"
#include "traffic/edge/forwarder.h"
#include "traffic/edge/forwarding.h"
#include "traffic/edge/shared_reads.h"
#include "traffic/policy/deadline.h"

namespace evercert::traffic {

using net::HttpRequest;
using net::HttpResponse;

class VirtualLoop : public Executor, public MonotonicClock {
 public:
  Instant now() const override { return now_; }
  void post(std::move_only_function<void()> work) override { post_after(Duration{0}, std::move(work)); }
  void post_after(Duration delay, std::move_only_function<void()> work) override {
    events_.emplace(std::pair{now_.us + delay.count(), number_++}, std::move(work));
  }
  void run_for(Duration time) {
    const Instant end = now_ + time;
    while (!events_.empty() && events_.begin()->first.first <= end.us) {
      auto event = events_.extract(events_.begin());
      now_ = Instant{event.key().first};
      event.mapped()();
    }
    now_ = end;
  }

 private:
  Instant now_{1'000'000'000};
  std::uint64_t number_ = 0;
  std::map<std::pair<std::int64_t, std::uint64_t>, std::move_only_function<void()>> events_;
};

struct Node {
  Duration delay = 2ms;
  int status = 200;
  std::string_view header = {};  // in its answer
  std::optional<Code> error = {};
  int pieces = 0;          // of its answer; 0: it is whole
  bool breaks = false;     // after them
  Duration takes_each{0};  // of a request's body in pieces: so long for each; 0: it asks for none
  bool forgets = false;    // neither it nor the client that asks it ever comes back, whatever the time
};

struct Asked {
  std::size_t node;
  Instant at;
  std::string attempt, queue, deadline;
};

// Pieces of ten bytes, at hand or `each` later.
class Pieces : public net::BodySource {
 public:
  Pieces(int count, bool breaks, Duration each = Duration{0}) : left_(count), breaks_(breaks), each_(each) {}
  Task<Result<std::string>> next(Executor& on) override {
    ++asked;
    if (each_ > Duration{0}) {
      auto start = [&](auto resolve) {
        on.post_after(each_, [resolve = std::move(resolve)]() mutable { resolve(true); });
      };
      auto waiting = suspend_on<bool>(on, start);
      co_await waiting;
    }
    if (left_-- > 0) co_return std::string("ten bytes.");
    if (breaks_) co_return fail(Code::kUnknownOutcome, "as the test says");
    co_return std::string();
  }
  void give_up() override {}
  int asked = 0;

 private:
  int left_;
  bool breaks_;
  Duration each_;
};

class Nodes : public net::LinkClient {
 public:
  explicit Nodes(VirtualLoop& loop) : loop_(loop) {}
  Task<Result<HttpResponse>> call(Executor& on, std::size_t node, const net::LinkCall& call,
                                  Duration timeout) override {
    asked.push_back(
        {node, loop_.now(), call.headers.get(kAttempt), call.headers.get(kQueue), call.headers.get(kDeadlineHeader)});
    const Node how = nodes.at(node);
    const auto source = call.source;
    if (source && how.takes_each > Duration{0}) {
      for (;;) {
        auto piece = co_await source->next(on);
        if (!piece) co_return fail(std::move(piece).error());
        if (piece->empty()) break;
        auto start = [&](auto resolve) {
          on.post_after(how.takes_each, [resolve = std::move(resolve)]() mutable { resolve(true); });
        };
        auto waiting = suspend_on<bool>(on, start);
        co_await waiting;
      }
      timeout = how.delay + 1s;
    }
    auto start = [&on, how, timeout, this](auto resolve) {
      if (how.forgets) return forgotten.push_back(std::move(resolve));
      on.post_after(std::min(how.delay, timeout), [how, timeout, resolve = std::move(resolve)]() mutable {
        if (how.delay > timeout) return resolve(Result<HttpResponse>(fail(Code::kUnknownOutcome, "no answer in time")));
        if (how.error) return resolve(Result<HttpResponse>(fail(*how.error, "as the test says")));
        HttpResponse response;
        response.status = how.status;
        response.body = "answer";
        if (!how.header.empty()) response.headers.add(how.header, "yes");
        if (how.pieces > 0) {
          response.body.clear();
          response.source = std::make_shared<Pieces>(how.pieces, how.breaks);
          if (!how.breaks) response.length = static_cast<std::uint64_t>(how.pieces) * 10;
        }
        resolve(Result<HttpResponse>(std::move(response)));
      });
    };
    auto answered = suspend_on<Result<HttpResponse>>(on, std::move(start));
    co_return co_await answered;
  }
  std::vector<Node> nodes;
  std::vector<Asked> asked;
  std::vector<std::move_only_function<void(Result<HttpResponse>)>> forgotten;

 private:
  VirtualLoop& loop_;
};

// Nobody is there.
class NoOthers : public net::HttpClient {
 public:
  Task<Result<HttpResponse>> fetch(Executor&, net::HttpCall) override { co_return fail(Code::kUnavailable, "nobody"); }
};

class ForwarderTest : public ::testing::Test {
 protected:
  void begin(std::size_t nodes, double initial = 128) {
    options_.cluster = "c";
    options_.region_name = "east";
    options_.policies.gradient.initial = initial;
    options_.guests.rates.client = {1, 5};
    link_.nodes.resize(nodes);
    backends_ = std::make_unique<Backends>(options_.policies, loop_, 7);
    for (std::size_t i = 0; i < nodes; ++i) {
      const std::string name = "n" + std::to_string(i);
      ASSERT_TRUE(backends_->add({{name, 1, true, name}, RegionId{1}, false, "east/" + std::to_string(i + 1)}, false));
    }
    entrance_ = std::make_unique<Entrance>(options_.door, *backends_, loop_);
    guests_ = std::make_unique<Guests>(options_.guests, "evercert://c/", random_);
    releases_ = std::make_unique<Releases>(*backends_, loop_);
    shares_ = std::make_unique<SharesLead>(*backends_, "east");
    forwarder_ = std::make_unique<Forwarder>(Forwarder::Parts{options_, *backends_, *entrance_, *guests_, *releases_,
                                                              *shares_, counters_, link_, others_, loop_, random_});
  }
  HttpRequest request(std::string method, std::string path) {
    HttpRequest out;
    out.method = std::move(method);
    out.path = out.target = std::move(path);
    out.peer_address = "127.0.0.1";
    out.executor = &loop_;
    return out;
  }
  struct Answer {
    std::optional<HttpResponse> response;
    Instant at;
    int status() const { return response ? response->status : 0; }
  };
  std::shared_ptr<Answer> send(HttpRequest what) {
    auto answer = std::make_shared<Answer>();
    scope_.spawn(forwarder_->pass_on(std::move(what), std::nullopt), [this, answer](HttpResponse response) {
      answer->response = std::move(response);
      answer->at = loop_.now();
    });
    return answer;
  }
  std::shared_ptr<Answer> answered(HttpRequest what) {
    auto answer = send(std::move(what));
    loop_.run_for(15s);
    return answer;
  }
  // So many reads that everybody's times are known.
  void warm() {
    for (int i = 0; i < 300; ++i) {
      send(request("GET", "/v1/certificates/01"));
      loop_.run_for(5ms);
    }
    link_.asked.clear();
  }
  int in_flight() {
    return backends_->with([&](Upstream& upstream, Instant) {
      int sum = 0;
      for (std::size_t i = 0; i < upstream.size(); ++i) sum += upstream.in_flight(i);
      return sum;
    });
  }

  VirtualLoop loop_;
  Counting random_;
  EdgeOptions options_;
  EdgeCounters counters_;
  Nodes link_{loop_};
  NoOthers others_;
  std::unique_ptr<Backends> backends_;
  std::unique_ptr<Entrance> entrance_;
  std::unique_ptr<Guests> guests_;
  std::unique_ptr<Releases> releases_;
  std::unique_ptr<SharesLead> shares_;
  std::unique_ptr<Forwarder> forwarder_;
  TaskScope scope_;
};

}  // namespace evercert::traffic
