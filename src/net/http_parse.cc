// SPDX-License-Identifier: Apache-2.0
#include "net/http_parse.h"

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>

namespace evercert::net {

namespace beast = boost::beast;
namespace http = beast::http;

namespace {
// A length that was only announced claims no more memory than this.
constexpr std::uint64_t kTrustedLength = 16 * 1024;

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }
}  // namespace

RequestParser::Message::Message(RequestLimits limits)
    : header_left(limits.header), in_pieces_limit(limits.in_pieces), whole_limit(limits.body) {
  body_limit(std::max<std::uint64_t>(limits.body, limits.in_pieces));
  header_limit(limits.header);
  eager(true);
}

void RequestParser::Message::on_request_impl(http::verb verb, Text method, Text target, int version, Error& error) {
  const std::size_t used = method.size() + target.size() + 12;  // two spaces, HTTP/1.1, the end of the line
  if (used > header_left) {
    error = http::error::header_limit;
    return;
  }
  header_left -= used;
  head = verb == http::verb::head;
  http_1_0 = version == 10;
  request.method = method;
  request.target = target;
  const auto question = view(target).find('?');
  request.path = view(target).substr(0, question);
  if (question != std::string_view::npos) request.query = view(target).substr(question + 1);
}

void RequestParser::Message::on_field_impl(http::field field, Text name, Text value, Error& error) {
  if (fields_over) return;  // a trailer: nobody waits for it, and it must not pass for a header
  // The library limits what it sees at a time; a header that comes in pieces has the same limit as a whole.
  const std::size_t used = name.size() + value.size() + 4;
  if (used > header_left) {
    error = http::error::header_limit;
    return;
  }
  header_left -= used;
  if (field == http::field::expect) expects_continue = !http_1_0 && beast::iequals(value, "100-continue");
  if (field == http::field::transfer_encoding) transfer_encoding = true;
  request.headers.add(view(name), view(value));
}

void RequestParser::Message::on_header_impl(Error& error) {
  fields_over = true;
  // An encoding that is not understood: where the body ends is anybody's guess, and an attacker's choice.
  if (transfer_encoding && !chunked()) error = http::error::bad_transfer_encoding;
  // Before a byte of it came: who is to be refused need not send any.
  const auto length = content_length();
  if (!length || *length <= whole_limit) return;
  in_pieces = true;
  request.length = *length;
}

void RequestParser::Message::on_body_init_impl(const boost::optional<std::uint64_t>& length, Error&) {
  if (length) request.body.reserve(std::min(*length, kTrustedLength));
}

std::size_t RequestParser::Message::on_body_impl(Text bytes, Error&) {
  request.body.append(bytes.data(), bytes.size());
  return bytes.size();
}

std::size_t RequestParser::Message::on_chunk_body_impl(std::uint64_t, Text bytes, Error&) {
  request.body.append(bytes.data(), bytes.size());
  if (request.body.size() > whole_limit) in_pieces = true;
  return bytes.size();
}

void RequestParser::next() { message_.emplace(limits_); }

std::size_t RequestParser::feed(std::string_view bytes) {
  if (bytes.empty() || done() || failed()) return 0;
  const std::size_t used = message_->put(boost::asio::const_buffer(bytes.data(), bytes.size()), error_);
  if (error_ == http::error::need_more) error_ = {};
  if (failed() || done()) return used;
  // The library waits for the end of a header without counting what it has taken in before, and sets no limit to the
  // line of a chunk's size and to what follows the last one.
  const std::size_t waiting = bytes.size() - used;
  if (waiting > (header_done() ? limits_.header : message_->header_left + 2)) error_ = http::error::header_limit;
  return used;
}

HttpResponse RequestParser::refusal() const {
  if (error_ == http::error::body_limit) {
    return problem(413, reason_phrase(413),
                   "the body is larger than " +
                       std::to_string(std::max<std::uint64_t>(limits_.body, limits_.in_pieces)) + " bytes");
  }
  if (error_ == http::error::header_limit) {
    return problem(431, reason_phrase(431), "the header is larger than " + std::to_string(limits_.header) + " bytes");
  }
  return problem(400, reason_phrase(400), "this is not an HTTP/1.1 request: " + error_.message());
}

}  // namespace evercert::net
