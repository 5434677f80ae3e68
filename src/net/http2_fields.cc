// SPDX-License-Identifier: Apache-2.0
#include "net/http2_fields.h"

#include <algorithm>
#include <charconv>

namespace evercert::net {
namespace {

constexpr std::size_t kFieldCost = 32;  // RFC 9113 section 6.5.2

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

bool of_connection(std::string_view name) {
  switch (name.size()) {
    case 7: return name == "upgrade";
    case 10: return name == "connection" || name == "keep-alive";
    case 14: return name == "content-length";  // the server's own to say
    case 16: return name == "proxy-connection";
    case 17: return name == "transfer-encoding";
    default: return false;
  }
}

const std::uint8_t* bytes_of(std::string_view text) { return reinterpret_cast<const std::uint8_t*>(text.data()); }

}  // namespace

void Http2Fields::add(std::string_view name, std::string_view value, std::size_t most) {
  size_ += name.size() + value.size() + kFieldCost;
  if (over_ || size_ > most) return;
  if (name == ":method") {
    request_.method = value;
    head_ = value == "HEAD";
  } else if (name == ":path") {
    request_.target = value;
    const auto question = value.find('?');
    request_.path = value.substr(0, question);
    if (question != std::string_view::npos) request_.query = value.substr(question + 1);
  } else if (name == ":authority") {
    authority_ = value;
    request_.headers.add("host", value);
  } else if (name.starts_with(':')) {
    // How the client came here we know; with another scheme the library would take anything for a path.
    if (name == ":scheme" && value != "https" && value != "http") fault_ = "the scheme is neither https nor http";
  } else if (name == "host") {
    if (authority_.empty()) {
      request_.headers.add(name, value);
      authority_ = value;
    } else if (!same(authority_, value)) {
      fault_ = "Host and :authority differ";
    }
  } else if (name == "cookie") {
    if (!cookies_.empty()) cookies_ += "; ";
    cookies_ += value;
  } else if (name == "te") {
    // Of this connection alone (the library lets only "trailers" pass).
  } else {
    if (name == "content-length") std::from_chars(value.data(), value.data() + value.size(), length_);
    if (name == "expect") expects_continue_ = same(value, "100-continue");
    request_.headers.add(name, value);
  }
}

void Http2Fields::end_header() {
  over_ = true;
  const bool target = request_.target.starts_with('/') || (request_.target == "*" && request_.method == "OPTIONS");
  if (fault_.empty() && !target && request_.method != "CONNECT") fault_ = "the target is no path";
  if (!cookies_.empty()) request_.headers.add("cookie", cookies_);
}

void Http2Answer::set(const HttpResponse& response) {
  names_.clear();
  lines_.clear();
  fields_.clear();
  int status = response.status;
  body_from_ = 0;
  if (response.prepared) {
    const std::string_view bytes = *response.prepared;
    std::from_chars(bytes.data() + 9, bytes.data() + 12, status);  // HTTP/1.1 200
    body_from_ = bytes.find("\r\n\r\n") + 4;
    body_size_ = bytes.size() - body_from_;
    add_prepared(bytes.substr(0, body_from_ - 2));
  } else {
    body_size_ = response.bytes().size();
    for (const auto& [name, value] : response.headers.all()) add(name, value);
  }
  status_ = std::to_string(status);
  length_ = std::to_string(response.source ? response.length.value_or(0) : body_size_);
  may_have_body_ = status != 204 && status != 304;
  fields_.push_back(field(":status", status_));
  for (const Line& line : lines_)
    fields_.push_back(field(std::string_view(names_).substr(line.name, line.name_size), line.value));
  if (may_have_body_ && (response.source == nullptr || response.length))
    fields_.push_back(field("content-length", length_));
  if (!may_have_body_) body_size_ = 0;
}

// What prepare() made: lines that were checked then.
void Http2Answer::add_prepared(std::string_view header) {
  for (auto at = header.find("\r\n") + 2; at < header.size();) {
    const auto end = header.find("\r\n", at);
    const std::string_view line = header.substr(at, end - at);
    const auto colon = line.find(": ");
    add(line.substr(0, colon), line.substr(colon + 2));
    at = end + 2;
  }
}

void Http2Answer::add(std::string_view name, std::string_view value) {
  const std::size_t at = names_.size();
  for (const char c : name) names_.push_back(lower(c));
  const std::string_view lowered = std::string_view(names_).substr(at);
  const bool valid = nghttp2_check_header_name(bytes_of(lowered), lowered.size()) != 0 &&
                     nghttp2_check_header_value_rfc9113(bytes_of(value), value.size()) != 0;
  if (!valid || lowered.starts_with(':') || of_connection(lowered)) return names_.resize(at);
  lines_.push_back({at, lowered.size(), value});
}

}  // namespace evercert::net
