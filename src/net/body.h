// SPDX-License-Identifier: Apache-2.0
// A body that nobody holds whole. Its pieces are asked for one after another, each when the one before is on its way:
// so what a reader does not take is not read from where it comes from, and a body costs the memory of a piece or two,
// however large it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/env.h"
#include "base/result.h"
#include "base/task.h"

namespace evercert::net {

class BodySource {
 public:
  BodySource() = default;
  BodySource(const BodySource&) = delete;
  BodySource& operator=(const BodySource&) = delete;
  // Whoever lets it go wants no more of it.
  virtual ~BodySource() = default;

  // The next piece, at most kMostOfAPiece; empty at the end. An error: it breaks off here, and what came is not the
  // whole; there is nothing after that. One call at a time, on the thread of `on`, which is the same each time. The
  // source lives until the task has ended.
  virtual Task<Result<std::string>> next(Executor& on) = 0;
  // Nobody wants the rest: a next() that waits ends with an error soon, but not within this call. On the same thread.
  virtual void give_up() = 0;
};

inline constexpr std::size_t kMostOfAPiece = 64 << 10;

// All of it. kInvalid: it is more than `most`. Else the source's own error.
Task<Result<std::string>> collect(Executor& on, BodySource& source, std::size_t most);

}  // namespace evercert::net
