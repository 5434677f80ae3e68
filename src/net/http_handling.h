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
  // An answer in pieces waits until has_room().
  bool in_pieces() const { return in_pieces_; }
  bool waits_for_room() const { return room_ != nullptr; }
  void give_room() {
    if (room_) std::exchange(room_, nullptr).resume();
  }
  // Nobody takes the answer any more: it ends, perhaps within this call, with over().
  void cut();
  // Runs the handler as far as it goes now: answered() may come before this returns.
  void begin(HttpRequest&& request);

 protected:
  // On the connection's thread, while no other connection is served.
  virtual void answered(HttpResponse&& response) = 0;
  // An answer in pieces: its header (false: no body is wanted), the pieces, and its end: whole, or broken off.
  virtual bool begun(HttpResponse&& header) = 0;
  virtual bool has_room() const = 0;
  virtual void piece(std::string&& bytes) = 0;
  virtual void over(bool whole) = 0;

 private:
  struct Coroutine;
  struct BackOnThread;
  struct Room;
  Task<bool> give_pieces(HttpResponse& response);
  static Coroutine run(Handling& self, HttpRequest& request);

  void log(const HttpResponse& response, std::uint64_t bytes);

  HttpWorker& worker_;
  HttpConnection& connection_;
  std::string range_, if_range_;            // of a GET
  std::string method_, path_, request_id_;  // for the access log
  HttpWorker::Clock::time_point begun_;
  bool running_ = false, cut_ = false, in_pieces_ = false;
  BodySource* source_ = nullptr;     // while one of its pieces is asked for
  std::coroutine_handle<> room_;     // who waits for room
  std::coroutine_handle<> handler_;  // while it waits
};

}  // namespace evercert::net
