// SPDX-License-Identifier: Apache-2.0
// One connection of an HttpServer: a state machine that is told when its socket is ready, its handler has answered or
// its time is over. It holds buffers only while a request or an answer is incomplete. For .cc files of net only.
#pragma once

#include <optional>

#include "net/body_pipe.h"
#include "net/http2_exchange.h"
#include "net/http_handling.h"
#include "net/http_worker.h"
#include "net/http_write.h"
#include "net/stream.h"

namespace evercert::net {

class HttpConnection final : public Watched {
 public:
  // Owns `socket` and `tls`. Registered with its worker by the caller. `proxied`: a PROXY header says whose it is.
  HttpConnection(HttpWorker& worker, int socket, SSL* tls, std::string peer, bool proxied);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // Among the connections of its client. False: that has as many as it may have.
  bool enter();
  void ready(std::uint32_t epoll_events) override;
  // Does all that can be done now. By HttpWorker::serve() only.
  void serve();
  void check_time();
  // The server takes no more requests.
  void drain();
  // What the access log says of the connection.
  void describe(AccessEntry& entry) const;
  int socket() const { return stream_->socket(); }

  std::size_t place = 0;  // among the worker's connections; the worker's

 private:
  enum class Phase { kProxyHeader, kHandshake, kOpen, kLingering, kGone };
  // What the deadline is for.
  enum class Wait { kRequest, kUpload, kHandler, kWrite, kIdle, kLinger };
  // HTTP/1.1 has one request at a time.
  struct Slot final : Handling {
    Slot(HttpWorker& worker, HttpConnection& self) : Handling(worker, self), connection(self) {}
    void answered(HttpResponse&& response) override { connection.answered(std::move(response)); }
    bool begun(HttpResponse&& header) override { return connection.begun(std::move(header)); }
    bool has_room() const override { return connection.has_room(); }
    void piece(std::string&& bytes) override { connection.piece(std::move(bytes)); }
    void over(bool whole) override { connection.over(whole); }
    HttpConnection& connection;
  };
  friend class Http2Exchange;

  void wait_for(Wait what, Duration limit);
  bool read_proxy_header();
  bool shake_hands();
  void exchange();
  bool parse();
  void dispatch();
  void begin_upload();
  void take_in();
  bool wants_input() const;
  void end_upload();
  void serve_soon();
  std::weak_ptr<HttpConnection*> token() {
    if (!self_) self_ = std::make_shared<HttpConnection*>(this);
    return self_;
  }
  void add_facts(HttpRequest& request) const;
  void answered(HttpResponse&& response);
  bool begun(HttpResponse&& header);
  bool has_room() const;
  void piece(std::string&& bytes);
  void over(bool whole);
  void break_off();
  void refuse(const HttpResponse& why);
  void log_refusal(const HttpResponse& why, std::string_view method, std::string_view path) const;
  Outbox& out() { return unsent_ ? *unsent_ : worker_.output(); }
  bool flush();
  bool read();
  void keep_rest();
  void finish();
  void linger();
  void gone();
  void ended();
  void leave();
  void set_busy(bool busy);
  bool reads_fast_enough();
  void check_upload();
  std::size_t not_taken() const;
  bool handling() const { return slot_.running() || (http2_ && http2_->running() > 0); }

  HttpWorker& worker_;
  std::optional<Stream> stream_;
  std::string peer_;
  std::optional<std::string> client_;  // as it is counted
  std::string identity_;
  Phase phase_;
  Wait wait_ = Wait::kRequest;
  HttpWorker::Clock::time_point deadline_;
  std::unique_ptr<RequestParser> parser_;  // of a request of which something came
  std::string_view input_;                 // received and not yet parsed; in kept_ between turns
  std::string kept_;
  std::unique_ptr<Outbox> unsent_;  // what the socket would not take
  AnswerForm form_;                 // of the answer to the request that is handled
  Slot slot_;
  std::unique_ptr<Http2Exchange> http2_;  // when that was agreed on
  bool busy_ = false;
  bool continue_sent_ = false;  // 100 Continue, for this request
  // The request's body comes in pieces, while the handler runs.
  bool uploading_ = false;
  std::weak_ptr<BodyPipe> upload_;
  std::size_t uploaded_ = 0;  // since the deadline of kUpload was set
  // For what is posted: null when the connection is gone.
  std::shared_ptr<HttpConnection*> self_;
  bool soon_ = false;
  bool chunked_ = false;  // the answer in pieces has no length
  bool ended_ = false;
  bool last_ = false;  // the connection ends with what is in the outbox
  bool refused_ = false;
  std::size_t period_size_ = 0;  // of what was not taken, when the deadline of kWrite was set
  std::size_t lingered_ = 0;
};

}  // namespace evercert::net
