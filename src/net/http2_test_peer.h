// SPDX-License-Identifier: Apache-2.0
// For the tests of HTTP/2: a client that sends just the frames it is told to, valid or not, and takes answers apart.
#pragma once

#include <nghttp2/nghttp2.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evercert::net {

class Http2TestPeer {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;
  struct Frame {
    std::uint8_t type = 0, flags = 0;
    std::int32_t stream = 0;
    std::string payload;
    std::uint32_t number(std::size_t at) const {
      std::uint32_t value = 0;
      for (std::size_t i = at; i < at + 4; ++i) value = value << 8 | static_cast<std::uint8_t>(payload.at(i));
      return value;
    }
  };
  struct Answer {
    std::map<std::string, std::string> fields;
    std::string body;
    bool ended = false;
    std::uint32_t reset = 0;  // RST_STREAM's code; 0 with `was_reset`: NO_ERROR
    bool was_reset = false;
    std::string status() const { return fields.contains(":status") ? fields.at(":status") : ""; }
  };

  Http2TestPeer() { nghttp2_hd_inflate_new(&inflater_); }
  ~Http2TestPeer() { nghttp2_hd_inflate_del(inflater_); }
  Http2TestPeer(const Http2TestPeer&) = delete;
  Http2TestPeer& operator=(const Http2TestPeer&) = delete;

  static std::string frame(std::uint8_t type, std::uint8_t flags, std::int32_t stream, std::string_view payload) {
    std::string out;
    for (int shift = 16; shift >= 0; shift -= 8) out.push_back(static_cast<char>(payload.size() >> shift));
    out.push_back(static_cast<char>(type));
    out.push_back(static_cast<char>(flags));
    return out + be32(static_cast<std::uint32_t>(stream)) + std::string(payload);
  }
  static std::string be32(std::uint32_t number) {
    std::string out;
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(number >> shift));
    return out;
  }
  // Preface and empty SETTINGS.
  static std::string hello(std::string_view settings = {}) {
    return std::string(NGHTTP2_CLIENT_MAGIC) + frame(NGHTTP2_SETTINGS, 0, 0, settings);
  }
  static std::string setting(std::uint16_t id, std::uint32_t value) {
    return {std::string{static_cast<char>(id >> 8), static_cast<char>(id)} + be32(value)};
  }
  // Literals without indexing: whatever names and values are.
  static std::string block(const Fields& fields) {
    std::string out;
    for (const auto& [name, value] : fields) out += '\0' + length(name.size()) + name + length(value.size()) + value;
    return out;
  }
  static Fields request_fields(std::string_view method, std::string_view path, const Fields& more = {}) {
    Fields all{{":method", std::string(method)}, {":scheme", "https"}, {":path", std::string(path)}};
    if (more.empty() || more[0].first != ":authority") all.push_back({":authority", "ca.test"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static std::string headers(std::int32_t stream, const Fields& fields, bool last) {
    return frame(NGHTTP2_HEADERS,
                 static_cast<std::uint8_t>(NGHTTP2_FLAG_END_HEADERS | (last ? NGHTTP2_FLAG_END_STREAM : 0)), stream,
                 block(fields));
  }
  static std::string get(std::int32_t stream, std::string_view path, const Fields& more = {}) {
    return headers(stream, request_fields("GET", path, more), true);
  }
  static std::string data(std::int32_t stream, std::string_view bytes, bool last) {
    return frame(NGHTTP2_DATA, last ? NGHTTP2_FLAG_END_STREAM : 0, stream, bytes);
  }
  static std::string window(std::int32_t stream, std::uint32_t more) {
    return frame(NGHTTP2_WINDOW_UPDATE, 0, stream, be32(more));
  }
  static std::string reset(std::int32_t stream) { return frame(NGHTTP2_RST_STREAM, 0, stream, be32(NGHTTP2_CANCEL)); }

  void take(std::string_view bytes) {
    buffer_.append(bytes);
    while (buffer_.size() >= 9) {
      const auto at = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<std::uint8_t>(buffer_[i])); };
      const std::size_t size = at(0) << 16 | at(1) << 8 | at(2);
      if (buffer_.size() < 9 + size) return;
      Frame one{static_cast<std::uint8_t>(at(3)), static_cast<std::uint8_t>(at(4)),
                static_cast<std::int32_t>((at(5) & 0x7f) << 24 | at(6) << 16 | at(7) << 8 | at(8)),
                buffer_.substr(9, size)};
      buffer_.erase(0, 9 + size);
      note(one);
      frames.push_back(std::move(one));
    }
  }

  std::size_t count(std::uint8_t type) const {
    std::size_t found = 0;
    for (const Frame& one : frames) found += one.type == type;
    return found;
  }
  const Frame* last(std::uint8_t type) const {
    for (auto one = frames.rbegin(); one != frames.rend(); ++one) {
      if (one->type == type) return &*one;
    }
    return nullptr;
  }

  std::vector<Frame> frames;
  std::map<std::int32_t, Answer> answers;

 private:
  static std::string length(std::size_t size) {
    if (size < 127) return {static_cast<char>(size)};
    std::string out{'\x7f'};
    for (size -= 127; size >= 128; size /= 128) out.push_back(static_cast<char>(size % 128 | 128));
    return out + static_cast<char>(size);
  }

  void note(const Frame& one) {
    Answer& answer = answers[one.stream];
    if (one.type == NGHTTP2_DATA) answer.body += one.payload;
    if (one.type == NGHTTP2_RST_STREAM) {
      answer.was_reset = true;
      answer.reset = one.number(0);
    }
    if (one.type == NGHTTP2_HEADERS) inflate(one.payload, answer);
    if ((one.type == NGHTTP2_DATA || one.type == NGHTTP2_HEADERS) && (one.flags & NGHTTP2_FLAG_END_STREAM) != 0)
      answer.ended = true;
  }

  void inflate(std::string_view block, Answer& answer) {
    for (;;) {
      nghttp2_nv nv{};
      int flags = 0;
      const auto used = nghttp2_hd_inflate_hd2(inflater_, &nv, &flags,
                                               reinterpret_cast<const std::uint8_t*>(block.data()), block.size(), 1);
      if (used < 0) return;
      block.remove_prefix(static_cast<std::size_t>(used));
      if (flags & NGHTTP2_HD_INFLATE_EMIT)
        answer.fields[{reinterpret_cast<char*>(nv.name), nv.namelen}] = {reinterpret_cast<char*>(nv.value),
                                                                         nv.valuelen};
      if (flags & NGHTTP2_HD_INFLATE_FINAL) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
  }

  nghttp2_hd_inflater* inflater_ = nullptr;
  std::string buffer_;
};

}  // namespace evercert::net
