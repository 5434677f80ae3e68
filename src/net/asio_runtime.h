// SPDX-License-Identifier: Apache-2.0
// Asio behind Executor. For .cc files of net only.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>

#include "base/env.h"
#include "base/task.h"
#include "net/tls.h"

namespace evercert::net {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

// Timers and sockets name the executor's type: type-erased ones cost an allocation and virtual calls at each operation.
using IoExecutor = asio::io_context::executor_type;
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, IoExecutor>;

class AsioExecutor : public Executor {
 public:
  explicit AsioExecutor(asio::io_context& io) : context(io) {}
  void post(std::move_only_function<void()> work) override { asio::post(context, std::move(work)); }
  void post_after(Duration delay, std::move_only_function<void()> work) override {
    auto owned = std::make_unique<Timer>(context, std::chrono::microseconds(delay));
    Timer& timer = *owned;
    timer.async_wait([timer = std::move(owned), work = std::move(work)](boost::system::error_code) mutable { work(); });
  }
  asio::io_context& context;
};

// One io_context with its thread. `busy_poll`: for so long after it had something to do the thread goes on looking, and
// does not sleep: to wake a core costs the next event more than its work.
class AsioThread {
 public:
  explicit AsioThread(const char* name, Duration busy_poll = {});
  ~AsioThread();
  // Ends the loop and waits for it. What belongs to the context may be destroyed afterwards, from any thread.
  void stop();
  bool runs_here() const { return std::this_thread::get_id() == thread_.get_id(); }
  asio::io_context context{1};
  AsioExecutor executor{context};

 private:
  asio::executor_work_guard<asio::io_context::executor_type> guard_{context.get_executor()};
  std::thread thread_;
};

Result<std::shared_ptr<asio::ssl::context>> server_tls(const TlsFiles& files, ClientCertificates clients);
Result<std::shared_ptr<asio::ssl::context>> client_tls(const TlsFiles& files);
bool agreed_on_http2(const SSL* ssl);
// The evercert:// URI among a peer certificate's names, or empty.
std::string peer_identity(SSL* ssl);

}  // namespace evercert::net
