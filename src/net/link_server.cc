// SPDX-License-Identifier: Apache-2.0
#include "net/link_server.h"

#include <atomic>

#include "base/log.h"
#include "base/task_scope.h"
#include "net/http_range.h"
#include "net/link_bodies.h"
#include "net/link_channel.h"

namespace evercert::net {
namespace {

using Acceptor = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;

constexpr Duration kLagSample = 20ms;
constexpr std::size_t kWholeBytes = 128 << 10;  // a larger answer comes in pieces
constexpr std::size_t kMostUnsent = 256 << 10;  // then the pieces of a body wait, and smaller answers pass

// What all connections of a server share.
struct Shared {
  LinkServerOptions options;
  HttpHandler requests, questions;
  std::shared_ptr<asio::ssl::context> tls;
  std::atomic<bool> draining{false};
  std::atomic<std::size_t> connections{0}, busy{0};
};

// A thread and the handlers that run on it.
struct LinkThread : AsioThread {
  LinkThread() : AsioThread("link") {}
  TaskScope handlers;
  // How late the loop's own timer was lately: so long what comes waits before anything looks at it.
  Duration waiting{0};

  void watch_itself(LinkChannel::Clock::time_point due = LinkChannel::Clock::now()) {
    const auto now = LinkChannel::Clock::now();
    const auto late = std::max(std::chrono::duration_cast<Duration>(now - due), Duration{0});
    waiting = std::max(late, waiting * 3 / 4);
    executor.post_after(kLagSample, [this, next = now + kLagSample] { watch_itself(next); });
  }
};

class ServerChannel : public LinkChannel, public LinkBodies::Channel {
 public:
  ServerChannel(LinkSocket socket, LinkThread& thread, std::shared_ptr<Shared> shared)
      : LinkChannel(std::move(socket), shared->tls->native_handle(), kMaxRequestFrameBytes),
        shared_(std::move(shared)),
        thread_(thread),
        timer_(thread.context) {
    ++shared_->connections;
  }
  ~ServerChannel() override { --shared_->connections; }

  void begin() {
    boost::system::error_code ignored;
    peer_address_ = socket().remote_endpoint(ignored).address().to_string();
    timer_.expires_after(shared_->options.handshake_timeout);
    timer_.async_wait([self = self()](boost::system::error_code error) {
      if (!error && !self->ready_) self->close("no handshake in time");
    });
    start(Side::kServer);
  }

 private:
  std::shared_ptr<ServerChannel> self() { return std::static_pointer_cast<ServerChannel>(shared_from_this()); }

  bool ready() override {
    ready_ = true;
    timer_.cancel();
    identity_ = peer_identity(ssl());
    if (identity_.starts_with(shared_->options.admitted)) return true;
    log_error("link: '" + identity_ + "' at " + peer_address_ + " is no edge of this cluster: not let in");
    return false;
  }

  void frame(v1::LinkFrame& frame) override {
    for (auto& request : *frame.mutable_requests()) {
      serve(request, false);
      if (!open()) return;
    }
    for (auto& request : *frame.mutable_begun()) {
      serve(request, true);
      if (!open()) return;
    }
    if (const Status kept = bodies_->receive(frame); !kept) return close(kept.error().message);
    for (const std::uint64_t id : frame.given_up()) {
      bodies_->stop(id);
      bodies_->break_off(id, "nobody waits for the answer");
    }
    if (!open()) return;
    if (frame.ping() != 0) {
      writer().pong(frame.ping());
      wrote();
    }
    if (waiting_bytes() > shared_->options.max_waiting_bytes) pause_reading(true);
  }

  void leaving() override { pause_reading(false); }
  void drained() override { bodies_->drained(); }
  FrameWriter& pieces_out() override {
    wrote();
    return writer();
  }
  bool takes_pieces() const override { return waiting_bytes() < kMostUnsent; }
  void left(std::uint64_t) override {}  // the edge learns it by the answer

  void closed(const std::string& why) override {
    timer_.cancel();
    bodies_->closed("the edge is gone");
    if (!identity_.empty()) log_info("link: " + identity_ + " is gone: " + why);
  }

  void serve(v1::LinkRequest& in, bool in_pieces) {
    const std::uint64_t id = in.id(), credit = in.credit();
    if (shared_->draining) {
      // The edge has the next ones done elsewhere: it may not have heard it from an answer before.
      HttpResponse leaves = problem({Code::kUnavailable, "this node is draining"});
      leaves.headers.set("Evercert-Draining", "yes");
      return answer(id, leaves);
    }
    if (in_flight_ >= shared_->options.max_in_flight)
      return answer(id, problem({Code::kUnavailable, "too much at once"}));
    const bool question = in.method().empty();
    HttpRequest request = take_request(in);
    request.peer_address = peer_address_;
    request.tls = true;
    request.client_identity = identity_;
    request.executor = &thread_.executor;
    if (in_pieces) {
      if (in.has_length()) request.length = in.length();
      request.source = bodies_->begin(id, std::exchange(request.body, {}));
    }
    std::string range, if_range;
    if (const auto asked = request.headers.find("Range"); asked && request.method == "GET") {
      range = *asked;
      if_range = request.headers.get("If-Range");
    }
    ++in_flight_;
    ++shared_->busy;
    auto& handler = question ? shared_->questions : shared_->requests;
    thread_.handlers.spawn(handler(std::move(request)), [self = self(), id, credit, range = std::move(range),
                                                         if_range = std::move(if_range)](HttpResponse response) {
      if (!range.empty() && !response.source) take_range(response, range, if_range);
      if (response.source || (credit > 0 && response.bytes().size() > kWholeBytes))
        return self->thread_.handlers.spawn(self->answer_in_pieces(id, std::move(response), credit));
      self->ended();
      self->answer(id, response);
    });
  }

  void ended() {
    --in_flight_;
    --shared_->busy;
  }

  // With the header comes the first piece: an edge that has neither asks somebody else. An edge that takes no pieces
  // gets the whole.
  Task<void> answer_in_pieces(std::uint64_t id, HttpResponse response, std::uint64_t credit) {
    const auto keep = self();
    if (!response.source) {
      response.length = response.bytes().size();
      response.source = body_of(response.shared_body ? std::move(response.shared_body)
                                                     : std::make_shared<const std::string>(std::move(response.body)));
      response.body.clear();
    }
    const auto source = std::exchange(response.source, nullptr);
    auto asking =
        credit == 0 ? collect(thread_.executor, *source, kMaxAnswerFrameBytes) : source->next(thread_.executor);
    auto piece = co_await std::move(asking);
    if (!piece || credit == 0 || piece->empty()) {
      ended();
      if (piece) response.body = std::move(*piece);
      answer(id, piece ? response : problem(piece.error()));
      co_return;
    }
    auto left = response.length;
    if (left) *left -= std::min<std::uint64_t>(*left, piece->size());
    const std::size_t some = std::min<std::uint64_t>({credit, kPieceBytes, piece->size()});
    std::string rest = piece->substr(some);
    piece->resize(some);
    if (left == 0 && rest.empty()) {
      ended();
      response.body = std::move(*piece);
      answer(id, response);
      co_return;
    }
    if (open() && writer().begun(id, response, std::move(*piece))) {
      wrote();
      auto sending = bodies_->send(id, source, std::move(rest), left, credit - some, thread_.executor);
      co_await std::move(sending);
    }
    ended();
  }

  void answer(std::uint64_t id, const HttpResponse& response) {
    if (!open()) return;
    if (writer().empty()) writer().load(shared_->busy, thread_.waiting);  // once for all that leaves together
    if (!writer().answer(id, response))
      writer().answer(id, problem(500, reason_phrase(500), "the answer is too large for the link"));
    wrote();
  }

  std::shared_ptr<Shared> shared_;
  LinkThread& thread_;
  Timer timer_;
  std::string peer_address_, identity_;
  std::size_t in_flight_ = 0;
  const std::shared_ptr<LinkBodies> bodies_ = std::make_shared<LinkBodies>(*this);
  bool ready_ = false;
};

class LinkServerImpl : public LinkServer {
 public:
  explicit LinkServerImpl(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  // Connections are destroyed with their contexts.
  ~LinkServerImpl() override { end(); }

  Status open() {
    const auto& options = shared_->options;
    port_ = options.port;
    for (int t = 0; t < options.threads; ++t) {
      threads_.push_back(std::make_unique<LinkThread>());
      EC_ASSIGN(auto acceptor, bind(threads_.back()->context));
      accept(*threads_.back(), std::move(acceptor));
      asio::post(threads_.back()->context, [thread = threads_.back().get()] { thread->watch_itself(); });
    }
    return {};
  }

  std::uint16_t port() const override { return port_; }

  void drain(Duration patience) override {
    shared_->draining = true;
    const auto end = std::chrono::steady_clock::now() + patience;
    while (shared_->busy > 0 && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(2ms);
  }

  void stop(Duration patience) override {
    drain(patience);
    end();
  }

 private:
  void end() {
    shared_->draining = true;
    for (auto& thread : threads_) thread->stop();
    for (auto& thread : threads_) thread->handlers.cancel();
    shared_->busy = 0;
  }

  Result<std::shared_ptr<Acceptor>> bind(asio::io_context& context) {
    const auto& options = shared_->options;
    boost::system::error_code error;
    const auto ip = asio::ip::make_address(options.address, error);
    if (error) return fail(Code::kInvalid, "'" + options.address + "' is not an address to listen on");
    auto acceptor = std::make_shared<Acceptor>(context);
    const tcp::endpoint endpoint(ip, port_);
    acceptor->open(endpoint.protocol(), error);
    if (!error) acceptor->set_option(asio::socket_base::reuse_address(true), error);
    using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
    if (!error) acceptor->set_option(ReusePort(true), error);
    if (!error) acceptor->bind(endpoint, error);
    if (!error) acceptor->listen(128, error);
    if (error)
      return fail(Code::kIo,
                  "cannot listen on " + options.address + ":" + std::to_string(port_) + ": " + error.message());
    port_ = acceptor->local_endpoint().port();
    return acceptor;
  }

  void accept(LinkThread& thread, std::shared_ptr<Acceptor> acceptor) {
    Acceptor& listening = *acceptor;
    listening.async_accept(
        [this, &thread, acceptor = std::move(acceptor)](boost::system::error_code error, LinkSocket socket) mutable {
          if (error == asio::error::operation_aborted) return;
          if (!error && shared_->connections < shared_->options.max_connections)
            std::make_shared<ServerChannel>(std::move(socket), thread, shared_)->begin();
          if (!error) return accept(thread, std::move(acceptor));
          // Out of descriptors, most likely: wait for some to be closed.
          thread.executor.post_after(
              20ms, [this, &thread, acceptor = std::move(acceptor)]() mutable { accept(thread, std::move(acceptor)); });
        });
  }

  std::shared_ptr<Shared> shared_;
  std::uint16_t port_ = 0;
  std::vector<std::unique_ptr<LinkThread>> threads_;
};

}  // namespace

Result<std::unique_ptr<LinkServer>> LinkServer::start(LinkServerOptions options, HttpHandler requests,
                                                      HttpHandler questions) {
  auto shared = std::make_shared<Shared>();
  EC_ASSIGN(shared->tls, server_tls(options.tls, ClientCertificates::kRequired));
  set_link_options(shared->tls->native_handle());
  shared->options = std::move(options);
  shared->requests = std::move(requests);
  shared->questions = std::move(questions);
  auto server = std::make_unique<LinkServerImpl>(std::move(shared));
  EC_TRY(server->open());
  return server;
}

}  // namespace evercert::net
