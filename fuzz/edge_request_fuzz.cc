// SPDX-License-Identifier: Apache-2.0
// What an edge makes of a request's words before anybody else sees it: who comes, what it is worth, how long it may
// take, and what is passed on. Fields lie one after another, with a line's end between them.
#include <array>

#include "base/address_prefix.h"
#include "base/check.h"
#include "base/encoding.h"
#include "fuzz/input.h"
#include "traffic/edge/claims.h"
#include "traffic/edge/forwarding.h"
#include "traffic/edge/guests.h"
#include "traffic/policy/canary.h"
#include "traffic/policy/deadline.h"

namespace evercert {
namespace {

class Fixed : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (auto& byte : out) byte = 0x5a;
  }
};

constexpr std::string_view kOwn = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";  // the edge's own request id

void check_passed_on(const net::HttpRequest& request, bool from_edge, Random& random) {
  const auto headers = traffic::forwarded_headers(request, from_edge, random);
  EC_CHECK(!headers.find("Connection") && !headers.find("Transfer-Encoding") && !headers.find("Content-Length"),
           "what belongs to one connection ends with it");
  const int attempts = traffic::earlier_attempts(headers);
  EC_CHECK(attempts >= 0 && attempts <= 1'000'000, "attempts are counted");
  if (from_edge) return;
  for (const auto& [name, value] : headers.all()) {
    if (name.size() <= 9 || (name[0] | 0x20) != 'e' || name.substr(1, 8) != "vercert-") continue;
    const bool ours = (name == traffic::kRequestId && value == kOwn) || name == traffic::kClientIdentity;
    EC_CHECK(ours, "a stranger's word is taken for an edge's");
  }
  EC_CHECK(headers.find("X-Forwarded-For") == request.peer_address, "nodes are told who asks");
}

}  // namespace
}  // namespace evercert

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evercert;
  std::array<std::string_view, 8> words;
  std::string_view rest = fuzz::text(data, size);
  for (auto& word : words) {
    const auto end = rest.find('\n');
    word = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  }
  net::HttpRequest request;
  request.method = words[0];
  request.path = request.target = words[1];
  request.peer_address = words[2];
  request.client_identity = words[3];
  // Of an ACME request the last two words are what its JWS holds, so that the bytes reach behind its encoding.
  request.body = words[7];
  if (request.path.starts_with("/acme/") && !words[6].empty())
    request.body = "{\"protected\":\"" + to_base64url(words[6]) + "\",\"payload\":\"" + to_base64url(words[7]) + "\"}";
  const auto claims = traffic::read_claims(request);
  EC_CHECK(claims.account.size() <= 64 && claims.account.find('/') == std::string::npos, "an account's name is one");
  for (const auto& [name, value] : {std::pair{std::string_view(traffic::kDeadlineHeader), words[4]},
                                    {std::string_view("Authorization"), words[5]},
                                    {words[6], words[7]}}) {
    if (!name.empty()) request.headers.add(name, value);
  }
  static Fixed random;
  static traffic::Guests guests({.limit_loopback = true}, "evercert://c/", random);
  const bool from_edge = request.client_identity.starts_with("evercert://c/edge/");
  static std::int64_t now = 1'000'000;
  const auto ruling = guests.rule(request, from_edge, Instant{now += 1000});
  EC_CHECK(!from_edge || !ruling.refused, "another edge has counted it");
  if (ruling.refused)
    EC_CHECK(traffic::retry_after_seconds(ruling.refused->retry_after) >= 1, "told when to come again");
  const auto renewal = size % 3 == 0 ? std::nullopt : std::optional(size % 3 == 1);
  guests.answered(guests.guest_of(request, from_edge), ruling, 200 + static_cast<int>(size % 400), renewal,
                  Instant{now});
  if (const auto told = traffic::parse_deadline(words[4])) {
    EC_CHECK(*told >= Duration{0}, "a deadline lies ahead");
    const traffic::Deadline deadline(Instant{now}, 12s, *told);
    EC_CHECK(deadline.left(Instant{now}) <= 12s, "nobody is granted more than this hop grants");
    EC_CHECK(traffic::parse_deadline(traffic::format_deadline(deadline.left(Instant{now}))).has_value(),
             "our own words");
  }
  traffic::parse_canary_wish(words[7]);
  if (const auto network = network_of(words[2]))
    EC_CHECK(network->contains(words[2]), "an address lies in its network");
  check_passed_on(request, from_edge, random);
  return 0;
}
