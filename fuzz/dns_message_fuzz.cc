// SPDX-License-Identifier: Apache-2.0
// Messages to the name server: whatever they say, no crash, no answer that is longer than is allowed or cannot be read
// again, no answer to an answer, and what is kept is what would be worked out.
#include <array>
#include <cstring>

#include "base/check.h"
#include "fuzz/input.h"
#include "traffic/dns/brain.h"
#include "traffic/dns/handler.h"

namespace evercert::traffic::dns {
namespace {

std::vector<RegionFacts> regions() {
  std::vector<RegionFacts> all;
  for (const char* name : {"us-east-1", "eu-central-1"}) {
    RegionFacts facts;
    facts.name = name;
    facts.endpoint = std::string(name) + ".a.test.";
    facts.coordinates = well_known_coordinates(name);
    for (const char* address : {"192.0.2.1", "2001:db8::1"})
      facts.edges.push_back({{*parse_address(address)}, static_cast<std::uint16_t>(443 + all.size())});
    all.push_back(std::move(facts));
  }
  return all;
}

ZoneOptions zone_options() {
  ZoneOptions options;
  options.name = "a.test.";
  for (const auto& region : regions()) options.endpoints.push_back(region.endpoint);
  options.name_servers = {{"ns1.a.test.", {*parse_address("192.0.2.53")}}};
  options.contact = "hostmaster.a.test.";
  options.caa = {"0 issue \"ca.test\""};
  return options;
}

struct World {
  World()
      : zone(*Zone::create(zone_options(), "r", "x.y TXT \"deep\"\n")),
        geography(std::move(
            *read_geography_table("t", "10.0.0.0/8 us-east-1\n2001:db8::/32 50,8\n", {"us-east-1", "eu-central-1"}))),
        brain(regions(), Policy::kWeightedLatency, {}, Instant{0}),
        handler(std::make_unique<Responder>(zone, *geography, nullptr, ResponderOptions{"fuzz", 2}),
                {{0, 0, 0, 0, 2, 64}, 1, 256}, counters),
        fresh(std::make_unique<Responder>(zone, *geography, nullptr, ResponderOptions{"fuzz", 2})) {
    handler.use(brain.view(), WallTime{});
    fresh->use(brain.view(), WallTime{});
  }
  const Zone zone;
  const std::unique_ptr<Geography> geography;
  const Brain brain;
  HandlerCounters counters;
  Handler handler;
  std::unique_ptr<Responder> fresh;
};

void check(std::span<const std::uint8_t> message) {
  static World world;
  const IpAddress from = *parse_address("10.1.2.3");
  std::array<std::uint8_t, Handler::kRoom> out;
  const auto worked_out = world.fresh->respond(message, from, false);
  for (int round = 0; round < 2; ++round) {
    const std::size_t size = world.handler.by_udp(message, from, Instant{1}, out);
    EC_CHECK((size > 0) == worked_out.has_value(), "it is answered or not, whoever asked before");
    if (size == 0) continue;
    EC_CHECK(message.size() >= kHeaderBytes && (message[2] & 0x80) == 0, "answers are not answered");
    EC_CHECK((out[2] & 0x80) != 0 && std::memcmp(out.data(), message.data(), 2) == 0, "an answer to this query");
    EC_CHECK(size == worked_out->bytes.size(), "what is kept is what would be worked out");
    // Names in compressed answers share the letters of the first who asked, in any case.
    EC_CHECK(folded({reinterpret_cast<const char*>(out.data()), size}) == folded(worked_out->bytes),
             "what is kept is what would be worked out");
    ldns_pkt* parsed = nullptr;
    EC_CHECK(ldns_wire2pkt(&parsed, out.data(), size) == LDNS_STATUS_OK, "an answer can be read");
    const PacketPtr packet(parsed);
    const std::size_t asked = worked_out->name_bytes + kHeaderBytes + 4;
    EC_CHECK(!ldns_pkt_tc(parsed) || size <= asked + 64, "what is cut is short");
  }
  const std::string whole = world.handler.by_tcp(message, from, Instant{1});
  EC_CHECK(whole.empty() != worked_out.has_value() && whole.size() <= 65535, "by TCP too");
  if (const auto cut = world.fresh->truncated(message))
    EC_CHECK(cut->bytes.size() <= message.size() + 64, "nothing is amplified");
}

}  // namespace
}  // namespace evercert::traffic::dns

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  evercert::traffic::dns::check({data, size});
  return 0;
}
