// SPDX-License-Identifier: Apache-2.0
// Bytes of one connection: the server's parser with its limits, the routing, the reading of a JSON body.
#include <nlohmann/json.hpp>

#include "api/rest/json_body.h"
#include "api/rest/router.h"
#include "base/check.h"
#include "fuzz/input.h"
#include "net/http_parse.h"
#include "net/http_write.h"

namespace evercert {
namespace {

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

void check_request(const net::HttpRequest& request) {
  EC_CHECK(request.path.find('?') == std::string::npos, "the path ends before the query");
  EC_CHECK(request.target.starts_with(request.path) && request.target.ends_with(request.query), "the target's parts");
  for (const auto& [name, value] : request.headers.all()) {
    EC_CHECK(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos, "an edge passes values on");
    EC_CHECK(request.headers.find(name).has_value(), "a header is found by its name");
  }
}

void check_answer(const net::HttpResponse& response, bool keep_alive, bool http_1_0, bool head) {
  net::Outbox out;
  net::write_answer(out, response, {keep_alive, http_1_0, head}, 1024);
  std::string bytes;
  for (; !out.empty(); out.sent(out.front().size())) bytes += out.front();
  const auto end = bytes.find("\r\n\r\n");
  EC_CHECK(end != std::string::npos && bytes.substr(end + 4) == (head ? "" : response.bytes()), "header, then body");
  EC_CHECK((bytes.find("\r\nConnection: close\r\n") < end) == !keep_alive, "the answer says when it is the last");
}

net::HttpResponse handle(net::HttpRequest request) {
  net::HttpResponse answer;
  bool answered = false;
  spawn(router().route(std::move(request)), [&](net::HttpResponse response) {
    answered = true;
    EC_CHECK(response.status >= 200 && response.status < 500, "no input is our fault");
    EC_CHECK(nlohmann::json::accept(response.bytes()), "an answer is JSON whatever it repeats");
    answer = std::move(response);
  });
  EC_CHECK(answered, "every request has an answer");
  return answer;
}

using Each = std::function<void(const net::RequestParser&, net::HttpRequest)>;

// What a connection was asked, and how it ended, in words.
std::string read_all(std::string_view bytes, std::size_t packet, const Each& each) {
  const net::RequestLimits limits;
  net::RequestParser parser(limits);
  std::string kept, story;
  for (int requests = 0; requests < 16 && !(bytes.empty() && kept.empty());) {
    const std::string_view some = bytes.substr(0, packet);
    bytes.remove_prefix(some.size());
    kept += some;
    kept.erase(0, parser.feed(kept));
    if (parser.failed()) {
      EC_CHECK(parser.refusal().status >= 400 && parser.refusal().status < 500, "the client's fault");
      return story;  // at once or after some more bytes: that may differ
    }
    EC_CHECK(parser.done() || kept.size() <= limits.header + packet, "what waits for more is bounded");
    if (parser.done()) {
      ++requests;
      const bool keep_alive = parser.keep_alive();
      net::HttpRequest request = parser.take();
      each(parser, request);
      check_request(request);
      EC_CHECK(request.body.size() <= limits.body, "the limit holds");
      story += request.method + " " + request.target + " " + std::to_string(request.headers.all().size()) + " " +
               request.body + "\n";
      for (const auto& [name, value] : request.headers.all()) story.append(name).append("=").append(value).append(";");
      if (!keep_alive) return story + " closed";
      parser.next();
    } else if (bytes.empty()) {
      return story;
    }
  }
  return story;
}

}  // namespace
}  // namespace evercert

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evercert;
  if (size == 0) return 0;
  // The last byte says how large packets are, so that a seed begins as a request does, and tokens are cut in the
  // middle.
  const std::size_t packet = 1 + data[size - 1] * std::size_t{16};
  const std::string_view bytes = fuzz::text(data, size - 1);
  const std::string story = read_all(bytes, packet, [](const net::RequestParser& parser, net::HttpRequest request) {
    check_answer(handle(std::move(request)), parser.keep_alive(), parser.http_1_0(), parser.head());
  });
  if (bytes.size() >= net::RequestLimits().header) return 0;  // limits of what comes at a time are not exact
  EC_CHECK(story == read_all(bytes, 1 + packet / 2, [](const net::RequestParser&, net::HttpRequest) {}),
           "how it was cut makes no difference");
  return 0;
}
