// SPDX-License-Identifier: Apache-2.0
// Calls with a stream of answers. What is sent waits in a queue; a conversation is told when the queue has run empty,
// and is destroyed when its caller has gone or the server ends.
#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "api/coordination/access.h"
#include "net/grpc_host.h"

namespace evercert::api {

// The call as a conversation sees it. All on the queue's thread.
template <class Response>
class StreamOut {
 public:
  virtual ~StreamOut() = default;
  virtual void send(Response response) = 0;
  virtual std::size_t waiting() const = 0;  // answers that are not on the wire yet
  // After what was sent; nothing is sent later.
  virtual void finish(grpc::Status status) = 0;
};

// One per call; destroyed when the call has ended.
template <class Request>
class Conversation {
 public:
  virtual ~Conversation() = default;
  virtual void received(Request request) = 0;
  virtual void half_closed() = 0;  // the caller asks for nothing more
  virtual void drained() {}        // everything that was sent is on the wire
};

// `Io` is the reader and writer of gRPC: bidirectional, or a writer whose one request came with the call.
template <class Request, class Response, class Io>
class StreamCall final : public StreamOut<Response>, public net::ServerCall {
 public:
  static constexpr bool kReads = requires(Io & io, Request* request) { io.Read(request, nullptr); };
  using Begin = std::function<std::unique_ptr<Conversation<Request>>(StreamOut<Response>&)>;
  using Listen = std::function<void(grpc::ServerContext*, Request*, Io*, grpc::ServerCompletionQueue*, void* tag)>;
  struct Method {
    net::GrpcQueue& queue;
    const Access& access;
    Role least;
    Listen listen;
    Begin begin;
  };

  static void listen(std::shared_ptr<const Method> method) { new StreamCall(std::move(method)); }

  void send(Response response) override {
    if (finishing_) return;
    out_.push_back(std::move(response));
    write_next();
  }
  std::size_t waiting() const override { return out_.size(); }
  void finish(grpc::Status status) override {
    if (finishing_) return;
    finishing_ = std::move(status);
    write_next();
  }

  void give_up() override {
    if (pending_ == 0) return;
    conversation_.reset();
    // What a slow caller has not taken, he asks another server for.
    while (out_.size() > (writing_ ? 1u : 0u)) out_.pop_back();
    finish(net::server_stopped());
  }
  bool waits() const override { return true; }

 private:
  explicit StreamCall(std::shared_ptr<const Method> method)
      : ServerCall(method->queue.calls()), method_(std::move(method)), io_(&context_) {
    context_.AsyncNotifyWhenDone(&done_);
    method_->listen(&context_, &request_, &io_, method_->queue.get(), &accepted_);
  }

  void accepted(bool ok) {
    if (!ok) {  // the server shuts down
      delete this;
      return;
    }
    listen(method_);
    begun();
    pending_ = 1;  // done
    if (method_->queue.calls().closed()) return finish(net::server_stopped());
    if (auto status = method_->access.check(context_, method_->least); !status.ok()) return finish(std::move(status));
    conversation_ = method_->begin(*this);
    if constexpr (kReads) {
      read();
    } else {
      conversation_->received(std::move(request_));
      if (conversation_) conversation_->half_closed();
    }
  }
  void read() {
    if constexpr (kReads) {
      ++pending_;
      request_ = {};
      io_.Read(&request_, &read_);
    }
  }
  void was_read(bool ok) {
    if (conversation_ && !finishing_) {
      if (ok) {
        conversation_->received(std::move(request_));
        read();
      } else {
        conversation_->half_closed();
      }
    }
    release();
  }
  void write_next() {
    if (writing_ || ended_) return;
    if (!out_.empty()) {
      writing_ = true;
      ++pending_;
      io_.Write(out_.front(), &written_);
    } else if (finishing_) {
      writing_ = true;
      ++pending_;
      io_.Finish(*finishing_, &written_);
    }
  }
  void was_written(bool ok) {
    writing_ = false;
    if (!out_.empty()) {
      out_.pop_front();
      if (!ok) out_.clear();
      if (ok && out_.empty() && conversation_ && !finishing_) conversation_->drained();
      if (ok) write_next();
    }
    release();
  }
  // The call is over, in one way or another.
  void over() {
    ended_ = true;
    conversation_.reset();
    release();
  }
  void release() {
    if (--pending_ == 0) delete this;
  }

  struct Step : net::Completion {
    Step(StreamCall& c, void (StreamCall::*t)(bool)) : call(c), then(t) {}
    void happened(bool ok) override { (call.*then)(ok); }
    StreamCall& call;
    void (StreamCall::*then)(bool);
  };
  void was_done(bool) { over(); }

  std::shared_ptr<const Method> method_;
  grpc::ServerContext context_;
  Request request_;
  Io io_;
  std::unique_ptr<Conversation<Request>> conversation_;
  std::deque<Response> out_;
  std::optional<grpc::Status> finishing_;
  bool writing_ = false, ended_ = false;
  int pending_ = 0;  // completions to come
  Step accepted_{*this, &StreamCall::accepted}, read_{*this, &StreamCall::was_read},
      written_{*this, &StreamCall::was_written}, done_{*this, &StreamCall::was_done};
};

}  // namespace evercert::api
