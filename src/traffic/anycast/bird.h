// SPDX-License-Identifier: Apache-2.0
// BIRD, the routing daemon, by its control socket (bird.network.cz, "Remote control"; the replies' codes are those of
// its doc/reply_codes). A route is announced while the protocol that has it is enabled.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace evercert::traffic::anycast {

struct BirdReply {
  int code = 0;                    // of its last line: below 8000 it is well
  std::vector<std::string> lines;  // without their codes; of table rows, code 1000 to 1999, the columns as they came
};

// Puts replies together from bytes as they come. Bounded.
class BirdReader {
 public:
  static constexpr std::size_t kMostBytes = 64 << 10;
  // A reply, once it is whole. kInvalid: this is not BIRD, or it never stops.
  Result<std::optional<BirdReply>> add(std::string_view bytes);

 private:
  std::string line_;
  BirdReply reply_;
  std::size_t bytes_ = 0;
};

// Of a table of protocols ("show protocols NAME"), whether the one is up. Nothing: it is not in it.
std::optional<bool> protocol_up(const BirdReply& reply, std::string_view protocol);
// A symbol of BIRD's configuration, which goes into a command as it is.
bool is_symbol(std::string_view text);

// Blocks, for `patience` at most a call. One thread.
class Bird {
 public:
  Bird(std::string socket_path, std::string protocol, Duration patience)
      : path_(std::move(socket_path)), protocol_(std::move(protocol)), patience_(patience) {}
  // kUnavailable: BIRD does not answer; kNotFound: it has no such protocol; kInvalid: it says no.
  Result<bool> up();
  Status set(bool up);

 private:
  Result<BirdReply> command(const std::string& text);

  std::string path_, protocol_;
  Duration patience_;
};

}  // namespace evercert::traffic::anycast
