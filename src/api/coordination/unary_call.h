// SPDX-License-Identifier: Apache-2.0
// Calls with one request and one answer. A listener waits for the next call, hands it to a coroutine, and sends what
// that answers. When the server ends first, the coroutine is destroyed where it is.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>

#include "api/coordination/access.h"
#include "api/coordination/cancellation.h"
#include "api/coordination/trouble.h"
#include "base/task_scope.h"
#include "net/grpc_host.h"

namespace evercert::api {

inline constexpr std::size_t kLargestRequest = 2 << 20;

// What a handler may know of its call. Lives until the handler has answered.
struct CallInfo {
  Executor& executor;
  std::shared_ptr<Cancellation> cancellation;  // of methods that wait; else null
};

template <class Request, class Response>
class UnaryCall final : public net::ServerCall {
 public:
  // Asks the service for the next call of this kind.
  using Listen = std::function<void(grpc::ServerContext*, Request*, grpc::ServerAsyncResponseWriter<Response>*,
                                    grpc::ServerCompletionQueue*, void* tag)>;
  using Handler = std::function<Task<Answered<Response>>(CallInfo info, Request request)>;
  struct Method {
    net::GrpcQueue& queue;
    const Access& access;
    Role least;
    bool waits;  // for what others do: the handler is told when the caller goes
    Listen listen;
    Handler handler;
  };

  static void listen(std::shared_ptr<const Method> method) { new UnaryCall(std::move(method)); }

  void give_up() override {
    if (!std::exchange(handled_, false)) return;
    handling_.cancel();
    writer_.FinishWithError(net::server_stopped(), &finished_);
  }
  bool waits() const override { return method_->waits; }

 private:
  explicit UnaryCall(std::shared_ptr<const Method> method)
      : ServerCall(method->queue.calls()), method_(std::move(method)), writer_(&context_) {
    if (method_->waits) {
      cancellation_ = std::make_shared<Cancellation>();
      context_.AsyncNotifyWhenDone(&done_);
    }
    method_->listen(&context_, &request_, &writer_, method_->queue.get(), &accepted_);
  }

  void accepted(bool ok) {
    if (!ok) {  // the server shuts down
      delete this;
      return;
    }
    listen(method_);
    begun();
    pending_ = method_->waits ? 2 : 1;
    if (auto refusal = refused(); !refusal.ok()) {
      writer_.FinishWithError(refusal, &finished_);
      return;
    }
    handled_ = true;
    handling_.spawn(method_->handler({method_->queue, cancellation_}, std::move(request_)),
                    [this](Answered<Response> answer) {
                      handled_ = false;
                      if (answer) {
                        writer_.Finish(*answer, grpc::Status::OK, &finished_);
                      } else {
                        writer_.FinishWithError(to_grpc(answer.error()), &finished_);
                      }
                    });
  }
  grpc::Status refused() const {
    if (method_->queue.calls().closed()) return net::server_stopped();
    if (auto status = method_->access.check(context_, method_->least); !status.ok()) return status;
    if (request_.ByteSizeLong() > kLargestRequest)
      return {grpc::StatusCode::INVALID_ARGUMENT, "etcdserver: request is too large"};
    return grpc::Status::OK;
  }
  void done(bool) {
    if (context_.IsCancelled()) cancellation_->cancel();
    release(true);
  }
  void release(bool) {
    if (--pending_ == 0) delete this;
  }

  struct Step : net::Completion {
    Step(UnaryCall& c, void (UnaryCall::*t)(bool)) : call(c), then(t) {}
    void happened(bool ok) override { (call.*then)(ok); }
    UnaryCall& call;
    void (UnaryCall::*then)(bool);
  };

  std::shared_ptr<const Method> method_;
  grpc::ServerContext context_;
  Request request_;
  grpc::ServerAsyncResponseWriter<Response> writer_;
  std::shared_ptr<Cancellation> cancellation_;
  TaskScope handling_;
  bool handled_ = false;  // by a coroutine that has not answered yet
  int pending_ = 0;       // completions to come
  Step accepted_{*this, &UnaryCall::accepted}, finished_{*this, &UnaryCall::release}, done_{*this, &UnaryCall::done};
};

// serve<&Service::RequestPut>(queue, access, Role, service, handler): begins to answer the calls of one method.
template <auto request_method, class Service, class Request, class Response>
void serve_as(net::GrpcQueue& queue, const Access& access, Role least, Service& service,
              typename UnaryCall<Request, Response>::Handler handler, bool waits = false) {
  using Call = UnaryCall<Request, Response>;
  Call::listen(std::make_shared<const typename Call::Method>(typename Call::Method{
      queue, access, least, waits,
      [&service](grpc::ServerContext* context, Request* request, grpc::ServerAsyncResponseWriter<Response>* writer,
                 grpc::ServerCompletionQueue* on,
                 void* tag) { (service.*request_method)(context, request, writer, on, on, tag); },
      std::move(handler)}));
}

}  // namespace evercert::api
