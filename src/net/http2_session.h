// SPDX-License-Identifier: Apache-2.0
// One HTTP/2 connection of a server (RFC 9113) without socket, clock or thread: bytes come in, requests come out;
// answers go in, bytes come out. libnghttp2 reads and writes frames and compresses headers; here are the limits, and
// what of a request the rest of the server may see. For .cc files of net only. One thread.
//
// What a client can make it hold, whatever it sends: `streams` requests that are not complete, their headers (`header`
// each) and bodies (`bodies` in all); `unsent` bytes of answers, before requests are turned away.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.h"
#include "net/outbox.h"

struct nghttp2_session;

namespace evercert::net {

struct Http2Limits {
  std::uint32_t streams = 128;     // open at the same time
  std::size_t body = 256 * 1024;   // of a request: more is answered with 413
  std::size_t header = 16 * 1024;  // of a request, as RFC 9113 section 6.5.2 counts: more is answered with 431
  std::size_t bodies = 4 << 20;    // of the incomplete requests together: more is refused, to be tried again
  std::size_t unsent = 8 << 20;    // of answers that belong to this connection alone: the same
  Duration request_time = 10s;     // a whole request must arrive within this: 408
  Duration write_time = 30s;       // in each such period an answer must move on by `least_rate`
  std::size_t least_rate = 256;    // bytes a second
  std::uint64_t in_pieces = 0;     // a body above `body`, up to this, is given out as it comes, by the stream's window
};

class Http2Session {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Arrived {
    std::int32_t stream;
    HttpRequest request;  // what the message says; the connection's own facts are the caller's to add
  };

  // `on`, `consumed`: for bodies in pieces; they are read on `on`, and after the latter was called, produce() has
  // something.
  Http2Session(const Http2Limits& limits, Time now, Executor* on = nullptr, std::function<void()> consumed = {});
  ~Http2Session();
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  // Afterwards `arrived()` has what became complete. False: the client broke the protocol or a limit of the connection;
  // what is left to be said is given by produce(), then the connection ends.
  bool receive(std::string_view bytes, Time now);
  std::vector<Arrived> arrived();

  // Requests that were answered without anybody's help since the last call: too large, too late, not valid.
  struct Rejected {
    int status;
    std::string method, path;
  };
  std::vector<Rejected> rejected();

  // To a request that came out of arrived(). Nothing when its stream is gone. One with a source is begun: its pieces
  // are given by add_piece(). False: none are wanted.
  bool answer(std::int32_t stream, HttpResponse response);
  bool has(std::int32_t stream) const { return !broken_ && find(stream) != nullptr; }
  // The piece before has left.
  bool takes_piece(std::int32_t stream) const;
  void add_piece(std::int32_t stream, std::string bytes);
  // `whole`: else the stream is reset with INTERNAL_ERROR.
  void end_pieces(std::int32_t stream, bool whole);
  // The request was not looked at: the client may send it again (REFUSED_STREAM).
  void refuse(std::int32_t stream);

  // Adds what can be sent now, until `out` holds `enough` bytes or nothing is left. False as receive().
  bool produce(Outbox& out, std::size_t enough, Time now);
  // produce() has something.
  bool wants_write() const;
  // Neither side has anything to say.
  bool over() const;

  // Ends what takes too long, stream by stream. `blocked`: the connection takes nothing now, which is no stream's
  // fault.
  void check_time(Time now, bool blocked = false);
  // Two steps, so that what is on its way is served: "make no new requests", then, a round trip later, "none after this
  // one will be served". The requests that are open are answered.
  void announce_end();
  void end();
  bool announced() const { return announced_; }

  // The connection is gone: who reads requests that come in pieces learns that there is no more of them.
  void leave();

  // Requests that are incomplete, handled or being answered.
  std::size_t open() const { return streams_.size(); }
  bool ended() const { return ended_; }
  // Of what is wrong with this connection, for the log. Empty when nothing is.
  const std::string& fault() const { return fault_; }

 private:
  struct Stream;
  struct Callbacks;

  Stream* find(std::int32_t id) const;
  Stream& begin(std::int32_t id);
  bool close(std::int32_t id, bool by_error);
  bool charge(int points);
  void refund(std::size_t bytes);
  bool add_header(Stream& stream, std::string_view name, std::string_view value);
  void header_done(Stream& stream, bool last);
  void add_body(Stream& stream, std::string_view bytes);
  void complete(Stream& stream);
  void begin_pieces(Stream& stream);
  void check_pieces(Stream& stream, bool blocked);
  void reject_body(Stream& stream);
  void reject(Stream& stream, int status, std::string_view why);
  void submit(Stream& stream, HttpResponse response);
  void send_body(Stream& stream, std::string_view frame_header, std::size_t size);
  bool failed(int code);

  const Http2Limits limits_;
  Executor* on_;
  std::function<void()> consumed_;
  const std::shared_ptr<Http2Session*> self_ = std::make_shared<Http2Session*>(this);
  nghttp2_session* session_ = nullptr;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::unique_ptr<Stream> spare_;
  std::vector<Arrived> arrived_;
  std::vector<Rejected> rejected_;
  Outbox* out_ = nullptr;   // while produce() runs
  std::size_t enough_ = 0;  // the same
  Time now_;
  Time refunded_;
  std::size_t bodies_ = 0, unsent_ = 0;
  std::size_t moved_ = 0;  // bytes of bodies, either way, that earned no points yet
  int points_;
  bool announced_ = false, ended_ = false, broken_ = false;
  bool within_frame_ = false, calm_down_ = false;
  std::string fault_;
};

}  // namespace evercert::net
