// SPDX-License-Identifier: Apache-2.0
// A request whose body is given out as it comes: what comes out in pieces is what would have come whole, however the
// bytes were cut, and never more than the limit.
#include <optional>

#include "base/check.h"
#include "fuzz/input.h"
#include "net/http_parse.h"

namespace evercert {
namespace {

constexpr std::size_t kWhole = 32, kMost = 1500;

struct Read {
  bool done = false, failed = false, in_pieces = false;
  std::string head, body;
  std::optional<std::uint64_t> length;
};

Read read(std::string_view bytes, std::size_t packet, const net::RequestLimits& limits) {
  net::RequestParser parser(limits);
  Read out;
  std::string kept;
  const auto begin = [&] {
    out.in_pieces = true;
    out.body = parser.take_body();
    const auto request = parser.take();
    out.head = request.method + " " + request.target;
    out.length = request.length;
  };
  for (std::string_view left = bytes; !left.empty() && !parser.done() && !parser.failed();) {
    const auto some = left.substr(0, packet);
    left.remove_prefix(some.size());
    kept += some;
    kept.erase(0, parser.feed(kept));
    if (parser.failed()) break;
    if (!out.in_pieces && parser.comes_in_pieces()) {
      EC_CHECK(limits.in_pieces > 0 || parser.done() || parser.header_done(), "the header is there first");
      if (limits.in_pieces > 0) begin();
    }
    if (out.in_pieces) {
      const std::string more = parser.take_body();
      EC_CHECK(more.size() <= packet + kept.size() + limits.header, "what is held is what came at a time");
      out.body += more;
    }
  }
  out.failed = parser.failed();
  out.done = parser.done() && !out.failed;
  if (out.done && !out.in_pieces) {
    const auto request = parser.take();
    out.head = request.method + " " + request.target;
    out.body = request.body;
  }
  return out;
}

}  // namespace
}  // namespace evercert

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evercert;
  if (size == 0) return 0;
  const std::size_t packet = 1 + data[size - 1] * std::size_t{4};
  const std::string_view bytes = fuzz::text(data, size - 1);
  net::RequestLimits pieces, whole;
  pieces.body = kWhole;
  pieces.in_pieces = kMost;
  whole.body = kMost;
  const Read slow = read(bytes, packet, pieces);
  EC_CHECK(slow.body.size() <= kMost, "the limit holds whatever was announced");
  EC_CHECK(slow.in_pieces || slow.body.size() <= kWhole, "what comes whole is small");
  if (slow.length)
    EC_CHECK(slow.body.size() <= *slow.length && (!slow.done || slow.body.size() == *slow.length),
             "nor more than was said");
  const Read other = read(bytes, bytes.size() + 1, whole);
  EC_CHECK(!slow.done || (other.done && other.head == slow.head && other.body == slow.body), "in pieces as whole");
  EC_CHECK(!other.done || slow.done || slow.failed, "and the other way round");
  return 0;
}
