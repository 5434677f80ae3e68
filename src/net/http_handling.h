// SPDX-License-Identifier: Apache-2.0
// One request with its handler, whatever version of HTTP it came by. For .cc files of net only.
#pragma once

#include <coroutine>
#include <string>

#include "net/http_worker.h"

namespace evercert::net {

class Handling {
 public:
  Handling(HttpWorker& worker, HttpConnection& connection) : worker_(worker), connection_(connection) {}
  // A handler that still waits is destroyed, with all that it holds.
  virtual ~Handling();
  Handling(const Handling&) = delete;
  Handling& operator=(const Handling&) = delete;

  bool running() const { return running_; }
  // Runs the handler as far as it goes now: answered() may come before this returns.
  void begin(HttpRequest&& request);

 protected:
  // On the connection's thread, while no other connection is served.
  virtual void answered(HttpResponse&& response) = 0;

 private:
  struct Coroutine;
  struct BackOnThread;
  static Coroutine run(Handling& self, HttpRequest& request);

  void log(const HttpResponse& response);

  HttpWorker& worker_;
  HttpConnection& connection_;
  std::string range_, if_range_;            // of a GET
  std::string method_, path_, request_id_;  // for the access log
  HttpWorker::Clock::time_point begun_;
  bool running_ = false;
  std::coroutine_handle<> handler_;  // while it waits
};

}  // namespace evercert::net
