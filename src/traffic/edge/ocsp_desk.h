// SPDX-License-Identifier: Apache-2.0
// Answers OCSP at an edge from copies, on one thread of its server: the decisions are in ocsp_copies.h.
#pragma once

#include <coroutine>
#include <optional>

#include "base/task_scope.h"
#include "net/http.h"
#include "net/link_client.h"
#include "traffic/edge/backends.h"
#include "traffic/edge/ocsp_copies.h"

namespace evercert::traffic {

struct OcspCounts {
  std::atomic<std::uint64_t> from_copies{0}, passed_on{0}, checks{0};
};

class OcspDesk {
 public:
  // All outlive the desk. Used on the thread of `executor` alone.
  OcspDesk(Executor& executor, net::LinkClient& link, Backends& backends, MonotonicClock& clock,
           std::string region_name, OcspCounts& counts)
      : executor_(executor),
        link_(link),
        backends_(backends),
        clock_(clock),
        region_name_(std::move(region_name)),
        counts_(counts) {}

  static bool is_ocsp(const net::HttpRequest& request);
  // The answer; or nullopt: pass the request on, best to node(), and give the answer to fetched().
  Task<std::optional<net::HttpResponse>> answer(const net::HttpRequest& request);
  std::optional<std::size_t> node();
  // `key`: key_of() the request. Takes the node's stamp out of the response.
  void fetched(std::string_view key, net::HttpResponse& response);
  // GET: the path; POST: the body. The two cannot be mistaken for each other: a request in DER begins with 0x30.
  static std::string_view key_of(const net::HttpRequest& request) {
    return request.method == "GET" ? std::string_view(request.path) : std::string_view(request.body);
  }

 private:
  struct Waiter : OcspWaiter {
    std::coroutine_handle<> resume;
  };
  struct Joining;
  std::shared_ptr<OcspCopy> find(const net::HttpRequest& request);
  void check_soon();
  Task<void> check();
  net::HttpResponse respond(OcspCopy& copy, bool get);

  Executor& executor_;
  net::LinkClient& link_;
  Backends& backends_;
  MonotonicClock& clock_;
  std::string region_name_;
  OcspCounts& counts_;
  OcspCopies copies_;
  TaskScope checks_;
  std::optional<std::size_t> node_;  // whose list of changes the copies belong to
};

}  // namespace evercert::traffic
