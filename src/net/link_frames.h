// SPDX-License-Identifier: Apache-2.0
// The bytes of a link: frames of many requests and answers, each with its length in front. Without I/O.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "net/http.h"
#include "net/link.pb.h"

namespace evercert::net {

inline constexpr std::size_t kMaxRequestFrameBytes = 4 << 20;
inline constexpr std::size_t kMaxAnswerFrameBytes = 20 << 20;

// What an edge asks a node.
struct LinkCall {
  std::string method = "GET", target = "/";  // an empty method: a question of the edge itself
  Headers headers;
  std::string body;
  // Instead of `body`, in pieces. Read once: whoever repeats the call must know that nothing was asked of it.
  std::shared_ptr<BodySource> source = {};
  std::optional<std::uint64_t> length = {};
};

// So much of a body in pieces may be on its way, and wait where it goes, before the other side has to grant more.
inline constexpr std::size_t kFirstCredit = 64 << 10;
// Half of it: while one piece is on its way, the place of the other is told of.
inline constexpr std::size_t kPieceBytes = kFirstCredit / 2;

// Gathers what leaves next. A frame is closed when it has grown to a few hundred KiB and another one begun.
class FrameWriter {
 public:
  // False when it is larger than the other side takes: nothing was added.
  bool request(std::uint64_t id, const LinkCall& call);
  bool answer(std::uint64_t id, const HttpResponse& response);
  // With bodies in pieces: `call.source`, of which nothing is taken here; `first` of an answer's.
  bool begun(std::uint64_t id, const LinkCall& call);
  bool begun(std::uint64_t id, const HttpResponse& response, std::string first);
  void piece(std::uint64_t id, std::string bytes, bool last, bool broken);
  void credit(std::uint64_t id, std::size_t bytes);
  void given_up(std::uint64_t id);
  void load(std::size_t in_flight, Duration waiting);
  void ping(std::uint64_t number);
  void pong(std::uint64_t number);
  std::size_t size() const { return buffer_.size(); }
  bool empty() const { return buffer_.empty(); }
  // Puts all frames into `out`, whose memory is used again.
  void take(std::string& out);

 private:
  void open(std::size_t more);
  void close();
  template <class Message>
  void add(std::uint8_t field, const Message& message, std::size_t size);
  void add(std::uint8_t field, std::uint64_t number);
  bool add_request(std::uint8_t field, std::uint64_t id, const LinkCall& call);
  bool add_answer();

  std::string buffer_;
  std::size_t begin_ = 0;  // of the open frame
  bool open_ = false;
  v1::LinkRequest request_;
  v1::LinkAnswer answer_;
  v1::LinkPiece piece_;
};

// Takes in bytes as they come, gives out whole frames.
class FrameReader {
 public:
  explicit FrameReader(std::size_t max_frame_bytes) : max_(max_frame_bytes) {}
  // Room for at least `least` bytes; say filled(n) afterwards.
  std::span<char> space(std::size_t least);
  void filled(std::size_t n) { end_ += n; }
  // nullptr: more bytes are needed. The frame may be moved from; it is gone with the next call of this object.
  // kInvalid: these bytes are no frame of ours, or a frame beyond the limit: the connection must end.
  Result<v1::LinkFrame*> next();

 private:
  std::size_t max_;
  std::string buffer_;
  std::size_t begin_ = 0, end_ = 0, last_length_ = 0;
  v1::LinkFrame frame_;
};

// From a frame's parts, which are moved from. The connection's own facts are the caller's to add.
HttpRequest take_request(v1::LinkRequest& in);
HttpResponse take_response(v1::LinkAnswer& in);

}  // namespace evercert::net
