// SPDX-License-Identifier: Apache-2.0
// Bytes of one HTTP/2 connection, from a client that may have said hello or not, to a server that answers at once,
// later or never.
#include "base/check.h"
#include "fuzz/input.h"
#include "net/http2_session.h"

namespace evercert {
namespace {

using net::Http2Session;

net::Http2Limits limits() {
  net::Http2Limits out;
  out.streams = 4;
  out.body = 200;
  out.header = 400;
  out.bodies = 500;
  out.unsent = 2000;
  return out;
}

void check_request(const net::HttpRequest& request, const net::Http2Limits& limit) {
  EC_CHECK(request.body.size() <= limit.body, "the limit of a body holds");
  EC_CHECK(!request.method.empty() && request.method != "CONNECT", "a request has a method");
  EC_CHECK(request.target.starts_with('/') || request.target == "*", "a request has a target");
  EC_CHECK(request.method.find_first_of(" \r\n") == std::string::npos, "an edge passes the method on");
  EC_CHECK(request.target.find_first_of(std::string_view(" \r\n\0", 4)) == std::string::npos, "and the target");
  std::size_t size = 0;
  for (const auto& [name, value] : request.headers.all()) {
    size += name.size() + value.size();
    EC_CHECK(!name.empty() && name.find_first_of(std::string_view(" :\r\n\0", 5)) == std::string::npos, "and names");
    EC_CHECK(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos, "and values");
    EC_CHECK(name != "transfer-encoding" && name != "connection" && name != "te",
             "what is of one connection ends here");
  }
  EC_CHECK(size <= limit.header, "the limit of a header holds");
}

net::HttpResponse response(std::size_t size) {
  net::HttpResponse out;
  out.headers.add("Content-Type", "text/plain");
  out.body.assign(size, 'x');
  return out;
}

}  // namespace
}  // namespace evercert

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evercert;
  if (size < 2) return 0;
  // The last bytes say how large packets are and what the handlers do.
  const std::size_t packet = 1 + data[size - 1] * std::size_t{4};
  const unsigned mood = data[size - 2];
  std::string bytes;
  if ((mood & 1) != 0) bytes = std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", 33);
  bytes += fuzz::text(data, size - 2);
  const auto limit = limits();
  Http2Session::Time now{};
  Http2Session session(limit, now);
  std::vector<std::int32_t> waiting;
  bool fine = true;
  for (std::string_view left = bytes; !left.empty() && fine && !session.over();) {
    const std::string_view some = left.substr(0, packet);
    left.remove_prefix(some.size());
    now += 1s;
    fine = session.receive(some, now);
    for (auto& one : session.arrived()) {
      check_request(one.request, limit);
      if ((mood & 2) != 0) {
        session.answer(one.stream, response(mood));
      } else if ((mood & 4) != 0) {
        session.refuse(one.stream);
      } else {
        waiting.push_back(one.stream);
      }
    }
    EC_CHECK(session.open() <= 2 * limit.streams, "streams are bounded");
    net::Outbox out;
    if ((mood & 8) == 0) {
      session.produce(out, 1000, now);
      EC_CHECK(out.size() < 1000 + 17 * 1024, "what is produced at a time is bounded");
    }
    session.check_time(now);
    if (waiting.size() > 3) {
      session.answer(waiting.front(), response(3 * mood));
      waiting.erase(waiting.begin());
    }
  }
  if ((mood & 16) != 0) session.announce_end();
  if ((mood & 32) != 0) session.end();
  for (const auto stream : waiting) session.answer(stream, response(10));
  net::Outbox rest;
  session.produce(rest, 1 << 20, now);
  EC_CHECK(rest.size() < (1 << 20), "it comes to an end");
  return 0;
}
