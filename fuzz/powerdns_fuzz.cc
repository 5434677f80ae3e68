// SPDX-License-Identifier: Apache-2.0
// What comes where PowerDNS asks, a path and whom it asks for: no crash, and whatever is answered with is JSON that
// says a result, or a problem.
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "fuzz/input.h"
#include "traffic/dns/brain.h"
#include "traffic/dns/powerdns.h"

namespace evercert::traffic::dns {
namespace {

std::vector<RegionFacts> regions() {
  RegionFacts facts;
  facts.name = "us-east-1";
  facts.endpoint = "us-east-1.a.test.";
  facts.edges.push_back({{*parse_address("192.0.2.1"), *parse_address("2001:db8::1")}, 443});
  return {facts};
}

ZoneOptions zone_options() {
  ZoneOptions options;
  options.name = "a.test.";
  options.endpoints = {"us-east-1.a.test."};
  options.name_servers = {{"ns1.a.test.", {*parse_address("192.0.2.53")}}};
  options.contact = "hostmaster.a.test.";
  return options;
}

void check(const std::string& text) {
  static const Zone zone = *Zone::create(zone_options(), "r", "x.y TXT \"deep\"\n");
  static const std::unique_ptr<Geography> geography =
      std::move(*read_geography_table("t", "10.0.0.0/8 us-east-1\n", {"us-east-1"}));
  static const Brain brain(regions(), Policy::kWeightedLatency, {}, Instant{0});
  static PowerDns powerdns(zone, Responder(zone, *geography, nullptr, ResponderOptions{"", 2}));
  powerdns.use(brain.view(), WallTime{});
  const auto line = text.find('\n');
  net::HttpRequest request;
  request.method = "GET";
  request.path = text.substr(0, line);
  if (line != std::string::npos) request.headers.set("X-RemoteBackend-real-remote", text.substr(line + 1));
  const auto response = powerdns.answer(request);
  const auto said = nlohmann::json::parse(response.bytes(), nullptr, false);
  EC_CHECK(said.is_object() && (response.status == 200) == said.contains("result"), "a result or a problem");
}

}  // namespace
}  // namespace evercert::traffic::dns

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  evercert::traffic::dns::check(std::string(evercert::fuzz::text(data, size)));
  return 0;
}
