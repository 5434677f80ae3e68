// SPDX-License-Identifier: Apache-2.0
// Bytes of one connection: the server's parser with its limits, the routing, the reading of a JSON body.
#include <algorithm>
#include <boost/beast/core/flat_buffer.hpp>
#include <nlohmann/json.hpp>

#include "api/rest/json_body.h"
#include "api/rest/router.h"
#include "base/check.h"
#include "fuzz/input.h"
#include "net/http_parse.h"

namespace evercert {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

// A connection that has sent all it will ever send; packets are small, so that tokens are cut in the middle.
class Connection {
 public:
  Connection(std::string_view bytes, std::size_t packet) : bytes_(bytes), packet_(packet) {}
  template <class Buffers>
  std::size_t read_some(const Buffers& buffers, boost::system::error_code& error) {
    if (bytes_.empty()) {
      error = asio::error::eof;
      return 0;
    }
    error = {};
    const std::size_t n = asio::buffer_copy(buffers, asio::buffer(bytes_.data(), std::min(packet_, bytes_.size())));
    bytes_.remove_prefix(n);
    return n;
  }
  template <class Buffers>
  std::size_t read_some(const Buffers& buffers) {
    boost::system::error_code error;
    const std::size_t n = read_some(buffers, error);
    if (error) throw boost::system::system_error(error);
    return n;
  }

 private:
  std::string_view bytes_;
  std::size_t packet_;
};

Result<std::string> read(const net::HttpRequest& request) {
  EC_ASSIGN(const auto body, api::read_object(request));
  EC_TRY(api::only_members(body, {"csr", "profile", "reason"}));
  return api::required_text(body, "csr");
}

Task<net::HttpResponse> echo(net::HttpRequest request, std::vector<std::string> parts) {
  if (request.method == "POST") {
    const auto text = read(request);
    if (!text) co_return net::problem(text.error());
    co_return net::json_response(201, nlohmann::json{{"csr", *text}}.dump());
  }
  std::string all = api::query_value(request.query, "after").value_or("") + request.headers.get("Authorization");
  for (const auto& part : parts) all += part;
  co_return net::problem(404, "Not Found", all);
}

const api::Router& router() {
  static const api::Router made = [] {
    api::Router out;
    for (const char* pattern : {"/v1/certificates", "/v1/certificates/{serial}/revoke", "/ocsp", "/ocsp/{region}"})
      out.add("POST", pattern, echo);
    for (const char* pattern : {"/v1/certificates", "/v1/certificates/{serial}", "/crl/{file}", "/ocsp/{request*}"})
      out.add("GET", pattern, echo);
    return out;
  }();
  return made;
}

void handle(net::HttpRequest request) {
  EC_CHECK(request.path.find('?') == std::string::npos, "the path ends before the query");
  EC_CHECK(request.target.starts_with(request.path) && request.target.ends_with(request.query), "the target's parts");
  for (const auto& [name, value] : request.headers.all()) {
    EC_CHECK(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos, "an edge passes values on");
    EC_CHECK(request.headers.find(name).has_value(), "a header is found by its name");
  }
  bool answered = false;
  spawn(router().route(std::move(request)), [&](net::HttpResponse response) {
    answered = true;
    EC_CHECK(response.status >= 200 && response.status < 500, "no input is our fault");
    EC_CHECK(nlohmann::json::accept(response.bytes()), "an answer is JSON whatever it repeats");
  });
  EC_CHECK(answered, "every request has an answer");
}

}  // namespace
}  // namespace evercert

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evercert;
  if (size == 0) return 0;
  const net::HttpServerOptions options;
  // The last byte, so that a seed begins as a request does.
  Connection connection(fuzz::text(data, size - 1), 1 + data[size - 1] * std::size_t{16});
  boost::beast::flat_buffer buffer;
  for (int i = 0; i < 16; ++i) {
    net::RequestParser parser;
    net::set_limits(parser, options);
    boost::system::error_code error;
    http::read_header(connection, buffer, parser, error);
    if (!error) http::read(connection, buffer, parser, error);
    if (error) return 0;
    EC_CHECK(parser.get().body().size() <= options.max_body_bytes, "the limit holds");
    const bool keep_alive = parser.get().keep_alive();
    handle(net::to_request(parser.release()));
    if (!keep_alive) return 0;
  }
  return 0;
}
