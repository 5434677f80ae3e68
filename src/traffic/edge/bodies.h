// SPDX-License-Identifier: Apache-2.0
// Bodies in pieces on their way through an edge: what the edge has to know of them.
#pragma once

#include <memory>
#include <utility>

#include "base/env.h"
#include "net/body.h"
#include "traffic/edge/backends.h"
#include "traffic/edge/counters.h"

namespace evercert::traffic {

// Of a request. Whoever has asked for a piece of it cannot be followed by another one; and each piece gives the request
// its time anew, since how long a client takes for a large body is no fault of a node.
class Upload final : public net::BodySource {
 public:
  Upload(std::shared_ptr<net::BodySource> of, MonotonicClock& clock, Duration patience)
      : of_(std::move(of)),
        clock_(clock),
        patience_(patience),
        deadline_(std::make_shared<Instant>(clock.now() + patience)) {}
  Task<Result<std::string>> next(Executor& on) override {
    begun_ = true;
    auto piece = co_await of_->next(on);
    *deadline_ = clock_.now() + patience_;
    co_return piece;
  }
  void give_up() override { of_->give_up(); }
  bool begun() const { return begun_; }
  std::shared_ptr<const Instant> deadline() const { return deadline_; }

 private:
  std::shared_ptr<net::BodySource> of_;
  MonotonicClock& clock_;
  Duration patience_;
  std::shared_ptr<Instant> deadline_;
  bool begun_ = false;
};

// Of an answer. Where it breaks off, who gave it is to blame, though its first piece was a success.
class Download final : public net::BodySource {
 public:
  Download(std::shared_ptr<net::BodySource> of, std::size_t from, Backends& backends, EdgeCounters& counters)
      : of_(std::move(of)), from_(from), backends_(backends), counters_(counters) {}
  Task<Result<std::string>> next(Executor& on) override {
    auto piece = co_await of_->next(on);
    if (!piece && !given_up_) {
      counters_.broken_off.fetch_add(1, std::memory_order_relaxed);
      backends_.broke_off(from_);
    }
    co_return piece;
  }
  void give_up() override {
    given_up_ = true;
    of_->give_up();
  }

 private:
  std::shared_ptr<net::BodySource> of_;
  std::size_t from_;
  Backends& backends_;
  EdgeCounters& counters_;
  bool given_up_ = false;
};

}  // namespace evercert::traffic
