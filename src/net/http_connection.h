// SPDX-License-Identifier: Apache-2.0
// One connection of an HttpServer: a state machine that is told when its socket is ready, its handler has answered or
// its time is over. It holds buffers only while a request or an answer is incomplete. For .cc files of net only.
#pragma once

#include <coroutine>
#include <optional>

#include "net/http_worker.h"
#include "net/http_write.h"
#include "net/stream.h"

namespace evercert::net {

class HttpConnection final : public Watched {
 public:
  // Owns `socket`. Registered with its worker by the caller.
  HttpConnection(HttpWorker& worker, int socket, SSL_CTX* tls, std::string peer);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  void ready(std::uint32_t epoll_events) override;
  // Does all that can be done now. By HttpWorker::serve() only.
  void serve();
  void check_time();
  int socket() const { return stream_->socket(); }

  std::size_t place = 0;  // among the worker's connections; the worker's

 private:
  enum class Phase { kHandshake, kOpen, kLingering, kGone };
  // What the deadline is for.
  enum class Wait { kRequest, kHandler, kWrite, kIdle, kLinger };
  struct Handling;
  struct BackOnThread;

  void wait_for(Wait what, Duration limit);
  bool shake_hands();
  void exchange();
  bool parse();
  void dispatch();
  static Handling run(HttpConnection& self, HttpRequest& request);
  void answered(HttpResponse&& response);
  void refuse();
  Outbox& out() { return unsent_ ? *unsent_ : worker_.output(); }
  bool flush();
  bool read();
  void keep_rest();
  void finish();
  void linger();
  void gone();

  HttpWorker& worker_;
  std::optional<Stream> stream_;
  const std::string peer_;
  std::string identity_;
  Phase phase_;
  Wait wait_ = Wait::kRequest;
  HttpWorker::Clock::time_point deadline_;
  std::unique_ptr<RequestParser> parser_;  // of a request of which something came
  std::string_view input_;                 // received and not yet parsed; in kept_ between turns
  std::string kept_;
  std::unique_ptr<Outbox> unsent_;  // what the socket would not take
  AnswerForm form_;                 // of the answer to the request that is handled
  bool handling_ = false, busy_ = false;
  bool continue_sent_ = false;  // 100 Continue, for this request
  bool last_ = false;           // the connection ends with what is in the outbox
  bool refused_ = false;
  std::coroutine_handle<> handler_;  // while it waits
  std::size_t lingered_ = 0;
};

}  // namespace evercert::net
