// SPDX-License-Identifier: Apache-2.0
// From the bytes of a connection to HttpRequests: Beast's parser, collecting straight into our own types. Does no I/O;
// the server and the fuzz target feed it. For .cc files only.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <optional>

#include "net/http.h"

namespace evercert::net {

struct RequestLimits {
  std::size_t body = 256 * 1024;
  std::uint32_t header = 16 * 1024;  // request line and fields
  std::uint64_t in_pieces = 0;       // a body above `body`, up to this, is given out as it comes
};

// Takes one request after another. feed() until done() or failed(); after done(), take() and next(); after failed()
// nothing.
class RequestParser {
 public:
  explicit RequestParser(RequestLimits limits) : limits_(limits) { next(); }

  // Returns how many of the bytes were used. What was not must be given again: after next() when the request is done,
  // together with more when it is not.
  std::size_t feed(std::string_view bytes);
  bool header_done() const { return message_->is_header_done(); }
  bool done() const { return message_->is_done(); }
  bool failed() const { return error_.failed(); }
  // The header is done, and the body more than is taken whole: take() what is there, then take_body() as it comes.
  bool comes_in_pieces() const { return message_->in_pieces; }
  std::string take_body() { return std::exchange(message_->request.body, {}); }
  // Why it failed, for the client: 413, 431 or 400.
  HttpResponse refusal() const;

  // Once the header is done:
  bool keep_alive() const { return message_->keep_alive(); }
  bool head() const { return message_->head; }
  bool http_1_0() const { return message_->http_1_0; }
  bool expects_continue() const { return message_->expects_continue; }

  // What the message says; the connection's own facts (peer, TLS, executor) are the caller's to add.
  HttpRequest take() { return std::move(message_->request); }
  void next();

 private:
  using Error = boost::beast::error_code;
  using Text = boost::beast::string_view;

  struct Message final : boost::beast::http::basic_parser<true> {
    explicit Message(RequestLimits limits);
    void on_request_impl(boost::beast::http::verb, Text method, Text target, int version, Error&) override;
    void on_response_impl(int, Text, int, Error&) override {}
    void on_field_impl(boost::beast::http::field, Text name, Text value, Error&) override;
    void on_header_impl(Error&) override;
    void on_body_init_impl(const boost::optional<std::uint64_t>& length, Error&) override;
    std::size_t on_body_impl(Text bytes, Error&) override;
    void on_chunk_header_impl(std::uint64_t, Text, Error&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, Text bytes, Error&) override;
    void on_finish_impl(Error&) override {}

    HttpRequest request;
    std::size_t header_left;
    std::uint64_t in_pieces_limit;
    std::size_t whole_limit;
    bool in_pieces = false;
    bool head = false, http_1_0 = false, expects_continue = false;
    bool fields_over = false, transfer_encoding = false;
  };

  RequestLimits limits_;
  std::optional<Message> message_;
  Error error_;
};

}  // namespace evercert::net
