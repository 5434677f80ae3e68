// SPDX-License-Identifier: Apache-2.0
#include "net/link_client.h"

#include <openssl/x509v3.h>

#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "base/task_scope.h"
#include "net/asio_runtime.h"
#include "net/link_bodies.h"
#include "net/link_channel.h"

namespace evercert::net {
namespace {

using Clock = LinkChannel::Clock;

constexpr Duration kSweep = 50ms;               // how exactly deadlines are kept
constexpr std::size_t kMostUnsent = 256 << 10;  // then the pieces of a body wait, and smaller ones pass
constexpr std::uint32_t kMostTold = 1'000'000;  // in flight; beyond it is no number to reckon with
constexpr Duration kFirstPause = 20ms, kLongestPause = 1s;

// A call that waits for its answer; lives in the frame of the coroutine that made it.
struct Waiter {
  Clock::time_point deadline;
  Clock::duration timeout;
  Executor* on;
  std::coroutine_handle<> resume;
  std::optional<Result<HttpResponse>> result;
};

// What is known of one target on one thread.
struct Slot {
  std::weak_ptr<class ClientChannel> channel;
  Duration pause{0};
  Clock::time_point next_attempt{};
};

class ClientChannel : public LinkChannel, public LinkBodies::Channel {
 public:
  // `sending`: of bodies in pieces.
  ClientChannel(asio::io_context& io, SSL_CTX* tls, const LinkClientOptions& options, const LinkTarget& target,
                Slot& slot, TaskScope& sending)
      : LinkChannel(LinkSocket(io), tls, kMaxAnswerFrameBytes),
        options_(options),
        target_(target),
        slot_(slot),
        sending_(sending),
        timer_(io),
        begun_(Clock::now()) {}

  void connect() {
    sweep_later();
    boost::system::error_code error;
    const auto address = asio::ip::make_address(target_.address, error);
    const tcp protocol = address.is_v6() ? tcp::v6() : tcp::v4();
    if (!error) socket().open(protocol, error);
    if (!error && !options_.local_address.empty())
      socket().bind({asio::ip::make_address(options_.local_address, error), 0}, error);
    if (error) return close(error.message());
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl()), target_.address.c_str());
    auto self = std::static_pointer_cast<ClientChannel>(shared_from_this());
    socket().async_connect({address, target_.port}, [self, protocol](boost::system::error_code failed) {
      if (!self->open()) return;
      // Registered anew: a socket that has waited to connect is reported as writable with each wait to read.
      if (!failed) self->socket().assign(protocol, self->socket().release(failed), failed);
      if (failed) return self->close(failed.message());
      self->start(Side::kClient);
    });
  }

  using LinkChannel::open;
  // False: `waiter` has its result already.
  bool send(const LinkCall& call, Waiter& waiter) {
    if (!open() || waiting_.size() >= options_.max_in_flight || waiting_bytes() >= options_.max_waiting_bytes) {
      waiter.result =
          fail(Code::kUnavailable, where() + (open() ? ": too much is waiting for it" : " is not connected"));
      return false;
    }
    const std::uint64_t id = last_id_ + 1;
    if (!(call.source ? writer().begun(id, call) : writer().request(id, call))) {
      waiter.result = fail(Code::kInvalid, "the request is too large for the link");
      return false;
    }
    last_id_ = id;
    if (waiting_.empty()) waiting_since_ = Clock::now();
    waiting_.emplace(id, &waiter);
    wrote();
    sweep_later();
    if (call.source) sending_.spawn(send_body(id, call.source, call.length, *waiter.on));
    return true;
  }

 private:
  std::string where() const { return target_.address + ":" + std::to_string(target_.port); }

  bool ready() override {
    if (!peer_identity(ssl()).starts_with(options_.expected)) return false;
    ready_ = true;
    slot_.pause = Duration{0};
    return true;
  }

  void leaving() override { sent_ = last_id_; }
  void drained() override { bodies_->drained(); }

  // Each piece gives the call its time anew: a client that sends a large body is not late.
  class Timed : public BodySource {
   public:
    Timed(std::shared_ptr<ClientChannel> channel, std::uint64_t id, std::shared_ptr<BodySource> of)
        : channel_(std::move(channel)), id_(id), of_(std::move(of)) {}
    Task<Result<std::string>> next(Executor& on) override {
      auto piece = co_await of_->next(on);
      const auto found = channel_->waiting_.find(id_);
      if (found != channel_->waiting_.end()) found->second->deadline = Clock::now() + found->second->timeout;
      co_return piece;
    }
    void give_up() override { of_->give_up(); }

   private:
    std::shared_ptr<ClientChannel> channel_;
    std::uint64_t id_;
    std::shared_ptr<BodySource> of_;
  };

  Task<void> send_body(std::uint64_t id, std::shared_ptr<BodySource> source, std::optional<std::uint64_t> length,
                       Executor& on) {
    auto self = std::static_pointer_cast<ClientChannel>(shared_from_this());
    auto timed = std::make_shared<Timed>(self, id, std::move(source));
    co_await bodies_->send(id, std::move(timed), {}, length, kFirstCredit, on);
  }

  FrameWriter& pieces_out() override {
    wrote();
    return writer();
  }
  bool takes_pieces() const override { return ready_ && waiting_bytes() < kMostUnsent; }
  void left(std::uint64_t id) override {
    writer().given_up(id);
    wrote();
  }

  void frame(v1::LinkFrame& frame) override {
    if (frame.has_load() && options_.on_load) {
      const int in_flight = static_cast<int>(std::min<std::uint32_t>(frame.load().in_flight(), kMostTold));
      options_.on_load(static_cast<std::size_t>(&target_ - options_.targets.data()),
                       {in_flight, Duration{frame.load().waiting_us()}});
    }
    for (auto& answer : *frame.mutable_answers()) {
      const auto found = waiting_.find(answer.id());
      if (found == waiting_.end()) continue;  // its deadline has passed
      Waiter* waiter = found->second;
      waiting_.erase(found);
      HttpResponse response = take_response(answer);
      if (answer.more()) {
        if (answer.has_length()) response.length = answer.length();
        response.source = bodies_->begin(answer.id(), std::exchange(response.body, {}));
        sweep_later();
      } else {
        bodies_->stop(answer.id());  // what there is to say was said before all of the request had come
      }
      waiter->result.emplace(std::move(response));
      waiter->resume.resume();
      if (!open()) return;
    }
    if (const Status kept = bodies_->receive(frame); !kept) close(kept.error().message);
  }

  void closed(const std::string& why) override {
    timer_.cancel();
    slot_.channel.reset();
    // After a connection that worked the next call tries again at once.
    if (!ready_) slot_.pause = std::clamp(2 * slot_.pause, kFirstPause, kLongestPause);
    slot_.next_attempt = Clock::now() + slot_.pause;
    auto lost = std::exchange(waiting_, {});
    for (auto& [id, waiter] : lost) {
      waiter->result = id <= sent_ ? fail(Code::kUnknownOutcome, where() + ": no answer: " + why)
                                   : fail(Code::kUnavailable, where() + ": no connection: " + why);
    }
    // All have their results before any of them goes on.
    for (auto& [id, waiter] : lost) waiter->resume.resume();
    bodies_->closed(where() + ": " + why);
  }

  // Runs while anything is waited for: deadlines, a peer that says nothing.
  void sweep_later() {
    if (std::exchange(sweeping_, true)) return;
    timer_.expires_after(kSweep);
    timer_.async_wait([self = std::static_pointer_cast<ClientChannel>(shared_from_this())](auto error) {
      self->sweeping_ = false;
      if (!error && self->open()) self->sweep();
    });
  }

  void sweep() {
    const auto now = Clock::now();
    if (!ready_ && now - begun_ > options_.connect_timeout) return close("it does not answer");
    std::vector<Waiter*> late;
    std::vector<std::uint64_t> late_ids;
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      if (it->second->deadline > now) {
        ++it;
        continue;
      }
      it->second->result = fail(Code::kUnknownOutcome, where() + ": no answer in time");
      late.push_back(it->second);
      late_ids.push_back(it->first);
      it = waiting_.erase(it);
    }
    for (const std::uint64_t id : late_ids) give_up(id);
    for (Waiter* waiter : late) waiter->resume.resume();
    if (bodies_->receives()) bodies_->break_silent(now - options_.piece_timeout);
    if (!open()) return;
    const auto since = std::min(waiting_.empty() ? now : waiting_since_, bodies_->waiting_since(now));
    if (ready_ && (!waiting_.empty() || since < now)) {
      const auto quiet = now - std::max(last_heard(), since);
      if (quiet > options_.silence) return close("it has gone silent");
      if (quiet > options_.ping_after) {
        writer().ping(++pings_);
        wrote();
      }
    }
    if (!ready_ || !waiting_.empty() || bodies_->receives()) sweep_later();
  }

  // Of a call whose body is not all sent, the node is told; of another one it hears nothing: it has no use for that.
  void give_up(std::uint64_t id) {
    if (bodies_->stop(id)) left(id);
  }

  const LinkClientOptions& options_;
  const LinkTarget& target_;
  Slot& slot_;
  TaskScope& sending_;
  Timer timer_;
  Clock::time_point begun_, waiting_since_;
  std::unordered_map<std::uint64_t, Waiter*> waiting_;
  const std::shared_ptr<LinkBodies> bodies_ = std::make_shared<LinkBodies>(*this);
  std::uint64_t last_id_ = 0, sent_ = 0, pings_ = 0;
  bool ready_ = false, sweeping_ = false;
};

class LinkClientImpl : public LinkClient {
 public:
  LinkClientImpl(LinkClientOptions options, std::shared_ptr<asio::ssl::context> tls)
      : options_(std::move(options)), tls_(std::move(tls)) {}

  Task<Result<HttpResponse>> call(Executor& on, std::size_t target, const LinkCall& call, Duration timeout) override {
    if (auto* own = dynamic_cast<AsioExecutor*>(&on)) return call_here(*own, target, call, timeout);
    return call_elsewhere(on, target, call, timeout);
  }

 private:
  struct Sending {
    LinkClientImpl& client;
    AsioExecutor& on;
    std::size_t target;
    const LinkCall& call;
    Waiter waiter;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> h) {
      waiter.resume = h;
      return client.send(on.context, target, call, waiter);
    }
    Result<HttpResponse> await_resume() { return std::move(*waiter.result); }
  };

  Task<Result<HttpResponse>> call_elsewhere(Executor& on, std::size_t target, const LinkCall& call, Duration timeout) {
    auto start = [this, target, &call, timeout](auto resolve) {
      // A copy of the call: its maker may be gone when the thread comes to it.
      asio::post(thread_.context, [this, target, call, timeout, resolve = std::move(resolve)]() mutable {
        from_elsewhere_.spawn(call_copied(target, std::move(call), timeout), std::move(resolve));
      });
    };
    auto answered = suspend_on<Result<HttpResponse>>(on, std::move(start));
    co_return co_await answered;
  }

  Task<Result<HttpResponse>> call_copied(std::size_t target, LinkCall call, Duration timeout) {
    if (call.source) co_return fail(Code::kInvalid, "a body in pieces cannot go from thread to thread");
    auto result = co_await call_here(thread_.executor, target, call, timeout);
    if (!result || !result->source) co_return result;
    auto collecting = collect(thread_.executor, *result->source, kMaxAnswerFrameBytes);
    auto whole = co_await std::move(collecting);
    if (!whole) co_return fail(std::move(whole).error());
    result->source.reset();
    result->body = std::move(*whole);
    co_return result;
  }

  Task<Result<HttpResponse>> call_here(AsioExecutor& on, std::size_t target, const LinkCall& call, Duration timeout) {
    Sending sending{*this, on, target, call, {Clock::now() + timeout, timeout, &on, {}, {}}};
    co_return co_await sending;
  }

  bool send(asio::io_context& io, std::size_t target, const LinkCall& call, Waiter& waiter) {
    Slot& slot = slot_of(io, target);
    auto channel = slot.channel.lock();
    if (!channel || !channel->open()) {
      if (Clock::now() < slot.next_attempt) {
        waiter.result = fail(Code::kUnavailable, options_.targets[target].address + " does not answer");
        return false;
      }
      channel = std::make_shared<ClientChannel>(io, tls_->native_handle(), options_, options_.targets[target], slot,
                                                sending_);
      slot.channel = channel;
      channel->connect();
    }
    return channel->send(call, waiter);
  }

  Slot& slot_of(asio::io_context& io, std::size_t target) {
    {
      std::shared_lock lock(mutex_);
      const auto found = slots_.find(&io);
      if (found != slots_.end()) return found->second[target];
    }
    std::unique_lock lock(mutex_);
    auto& made = slots_[&io];
    if (made == nullptr) made = std::make_unique<Slot[]>(options_.targets.size());
    return made[target];
  }

  LinkClientOptions options_;
  std::shared_ptr<asio::ssl::context> tls_;
  std::shared_mutex mutex_;
  std::unordered_map<asio::io_context*, std::unique_ptr<Slot[]>> slots_;
  TaskScope from_elsewhere_;  // calls that run on thread_
  TaskScope sending_;         // bodies in pieces, on the threads of those that call
  AsioThread thread_{"link-client"};
};

}  // namespace

Result<std::unique_ptr<LinkClient>> LinkClient::create(LinkClientOptions options) {
  EC_ASSIGN(auto tls, client_tls(options.tls));
  set_link_options(tls->native_handle());
  return std::make_unique<LinkClientImpl>(std::move(options), std::move(tls));
}

}  // namespace evercert::net
