// SPDX-License-Identifier: Apache-2.0
// Binds the streaming methods of a service to conversations, as serve_as() does for single calls.
#pragma once

#include "api/coordination/stream_call.h"

namespace evercert::api {

// Streams in both directions.
template <auto request_method, class Service, class Request, class Response>
void serve_stream(net::GrpcQueue& queue, const Access& access, Role least, Service& service,
                  std::function<std::unique_ptr<Conversation<Request>>(StreamOut<Response>&)> begin) {
  using Io = grpc::ServerAsyncReaderWriter<Response, Request>;
  using Call = StreamCall<Request, Response, Io>;
  Call::listen(std::make_shared<const typename Call::Method>(
      typename Call::Method{queue, access, least,
                            [&service](grpc::ServerContext* context, Request*, Io* io, grpc::ServerCompletionQueue* on,
                                       void* tag) { (service.*request_method)(context, io, on, on, tag); },
                            std::move(begin)}));
}

// One request, a stream of answers.
template <auto request_method, class Service, class Request, class Response>
void serve_answers(net::GrpcQueue& queue, const Access& access, Role least, Service& service,
                   std::function<std::unique_ptr<Conversation<Request>>(StreamOut<Response>&)> begin) {
  using Io = grpc::ServerAsyncWriter<Response>;
  using Call = StreamCall<Request, Response, Io>;
  Call::listen(std::make_shared<const typename Call::Method>(typename Call::Method{
      queue, access, least,
      [&service](grpc::ServerContext* context, Request* request, Io* io, grpc::ServerCompletionQueue* on, void* tag) {
        (service.*request_method)(context, request, io, on, on, tag);
      },
      std::move(begin)}));
}

}  // namespace evercert::api
