// SPDX-License-Identifier: Apache-2.0
// Which certificates were revoked lately, for those who keep copies of answers about them. Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

namespace evercert::ca {

class StatusChanges {
 public:
  struct Position {
    std::uint64_t incarnation = 0, number = 0;
    friend bool operator==(const Position&, const Position&) = default;
  };
  struct News {
    Position position;                 // how far these news go
    bool everything = false;           // all may have changed since; `serials` is empty
    std::vector<std::string> serials;  // in order; the last is change position.number
  };

  // `incarnation`: never the same again, not 0. The last `most` changes are remembered.
  explicit StatusChanges(std::uint64_t incarnation, std::size_t most = 4096) : position_{incarnation, 0}, most_(most) {}

  // Call when nobody can read the old status any more.
  void changed(std::string serial);
  // Everything may have changed.
  void replaced(std::uint64_t incarnation);
  // What is read after this call shows every change up to there.
  Position position() const;
  News since(Position seen) const;

 private:
  mutable std::mutex mutex_;
  Position position_;
  std::size_t most_;
  std::deque<std::string> last_;
};

}  // namespace evercert::ca
