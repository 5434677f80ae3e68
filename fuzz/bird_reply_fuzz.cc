// SPDX-License-Identifier: Apache-2.0
// What comes from BIRD's control socket, in pieces of any size: replies within bounds, the same whatever the pieces.
#include "base/check.h"
#include "fuzz/input.h"
#include "traffic/anycast/bird.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evercert;
  using namespace evercert::traffic::anycast;
  if (size < 1) return 0;
  const std::size_t piece = 1 + data[0] % 16;
  const std::string bytes(fuzz::text(data + 1, size - 1));
  const auto replies = [&](std::size_t step) {
    std::string all;
    BirdReader reader;
    // A reply ends the reading, as a caller's does.
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      const auto reply = reader.add(std::string_view(bytes).substr(at, step));
      if (!reply) return all + "refused";
      if (!*reply) continue;
      EC_CHECK((*reply)->code >= 0 && (*reply)->code <= 9999, "a code has four digits");
      static_cast<void>(protocol_up(**reply, "evercert_anycast"));
      all += std::to_string((*reply)->code);
      for (const std::string& line : (*reply)->lines) all += "|" + line;
      return all;
    }
    return all;
  };
  EC_CHECK(replies(piece) == replies(1), "the pieces make no difference");
  return 0;
}
