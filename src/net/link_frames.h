// SPDX-License-Identifier: Apache-2.0
// The bytes of a link: frames of many requests and answers, each with its length in front. Without I/O.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
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
};

// Gathers what leaves next. A frame is closed when it has grown to a few hundred KiB and another one begun.
class FrameWriter {
 public:
  // False when it is larger than the other side takes: nothing was added.
  bool request(std::uint64_t id, const LinkCall& call);
  bool answer(std::uint64_t id, const HttpResponse& response);
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

  std::string buffer_;
  std::size_t begin_ = 0;  // of the open frame
  bool open_ = false;
  v1::LinkRequest request_;
  v1::LinkAnswer answer_;
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
