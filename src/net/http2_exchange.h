// SPDX-License-Identifier: Apache-2.0
// What an HttpConnection does once both sides have agreed on HTTP/2: feeds its session, runs the handlers of its
// requests side by side. For .cc files of net only.
#pragma once

#include <memory>
#include <vector>

#include "net/http2_session.h"
#include "net/http_handling.h"

namespace evercert::net {

class Http2Exchange {
 public:
  Http2Exchange(HttpConnection& connection, HttpWorker& worker);
  ~Http2Exchange();

  // Does all that can be done now.
  void serve();
  void check_time();
  // Says that the server ends; the requests that are open, and those that are on their way, are answered.
  void drain();
  // The connection is gone: nobody takes the answers that come in pieces, or sends the rest of requests that do.
  void cut();
  // Handlers that have not answered, also of streams that are gone.
  std::size_t running() const { return slots_.size() - free_.size(); }

 private:
  class Slot;

  bool send();
  bool receive();
  void dispatch();
  void log_rejected();
  void answered(Slot& slot, HttpResponse&& response);
  bool feed();
  void moved();
  void over(Slot& slot, bool whole);

  HttpConnection& connection_;
  HttpWorker& worker_;
  Http2Session session_;
  // At most as many as streams may be open: a client that opens and gives up one after the other gains nothing.
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> free_;
  std::size_t in_pieces_ = 0;  // answers of that kind that have begun
  bool idle_ = true;
  HttpWorker::Clock::time_point idle_until_, end_at_;
};

}  // namespace evercert::net
