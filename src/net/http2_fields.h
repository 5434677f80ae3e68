// SPDX-License-Identifier: Apache-2.0
// Between the field lists of HTTP/2 and the messages of our handlers (RFC 9113 section 8.3). The library has checked
// names, values, pseudo-fields and the length by then. Pure. For .cc files of net only.
#pragma once

#include <nghttp2/nghttp2.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.h"

namespace evercert::net {

// Copied by the library when it is submitted.
inline nghttp2_nv field(std::string_view name, std::string_view value) {
  auto* const name_bytes = const_cast<char*>(name.data());    // NOLINT: the library only reads them
  auto* const value_bytes = const_cast<char*>(value.data());  // NOLINT
  return {reinterpret_cast<std::uint8_t*>(name_bytes), reinterpret_cast<std::uint8_t*>(value_bytes), name.size(),
          value.size(), NGHTTP2_NV_FLAG_NONE};
}

// The fields of one request, one after another.
class Http2Fields {
 public:
  // Counts it; keeps it while the sum is within `most`, and until end_header(): trailers are for nobody.
  void add(std::string_view name, std::string_view value, std::size_t most);
  void end_header();

  std::size_t size() const { return size_; }  // as RFC 9113 section 6.5.2 counts
  const HttpRequest& request() const { return request_; }
  HttpRequest take() { return std::move(request_); }
  bool head() const { return head_; }
  bool expects_continue() const { return expects_continue_; }
  std::uint64_t announced_length() const { return length_; }  // 0: none
  // Why no handler may see it, else empty.
  std::string_view fault() const { return fault_; }

 private:
  std::size_t size_ = 0;
  HttpRequest request_;
  std::string authority_, cookies_;
  std::uint64_t length_ = 0;
  bool over_ = false, head_ = false, expects_continue_ = false;
  std::string_view fault_;
};

// The fields of one answer. Length and connection are the server's to say: what a handler set of them is left out, as
// is what would not be valid.
class Http2Answer {
 public:
  // `response` must live, unchanged but for its body, until the fields were submitted.
  void set(const HttpResponse& response);
  std::span<const nghttp2_nv> fields() const { return fields_; }
  // Of the body, in `prepared`, `shared_body` or `body`: where it begins there, and how long it is.
  std::size_t body_from() const { return body_from_; }
  std::size_t body_size() const { return body_size_; }
  bool may_have_body() const { return may_have_body_; }

 private:
  struct Line {
    std::size_t name, name_size;  // in names_
    std::string_view value;
  };
  void add(std::string_view name, std::string_view value);
  void add_prepared(std::string_view bytes);

  std::string names_, status_, length_;
  std::vector<Line> lines_;
  std::vector<nghttp2_nv> fields_;
  std::size_t body_from_ = 0, body_size_ = 0;
  bool may_have_body_ = true;
};

}  // namespace evercert::net
