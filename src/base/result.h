// SPDX-License-Identifier: Apache-2.0
// Operating errors as values. A code says what the caller can do; the message is for a person. No exception crosses
// a module boundary.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace evercert {

enum class Code : std::uint8_t {
  kInvalid,         // the input is wrong: give up, tell whoever sent it
  kDenied,          // authentication or authorization failed: give up
  kNotFound,        // no such record
  kConflict,        // the record exists or is in a state that forbids this: read it, then decide
  kUnsupported,     // understood, but not offered
  kUnavailable,     // nothing was done: retry here later, or elsewhere now
  kUnknownOutcome,  // it may or may not have happened: ask with the same idempotency key
  kExpired,         // the deadline passed before anything was done
  kCorrupt,         // stored bytes fail their checksum or do not parse: never use them
  kIo,              // the disk or the operating system refused
  kInternal,        // a defect of ours
};

std::string_view to_string(Code code);

struct Error {
  Code code = Code::kInternal;
  std::string message;
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline std::unexpected<Error> fail(Code code, std::string message) {
  return std::unexpected<Error>(Error{code, std::move(message)});
}
// Passes an error on, with what was being attempted put in front of it.
[[nodiscard]] inline std::unexpected<Error> fail(const Error& cause, std::string_view attempted) {
  return std::unexpected<Error>(Error{cause.code, std::string(attempted) + ": " + cause.message});
}
[[nodiscard]] inline std::unexpected<Error> fail(Error cause) { return std::unexpected<Error>(std::move(cause)); }

}  // namespace evercert

// Returns the error of `expression` (a Status or a Result whose value is not needed) to the caller.
#define EC_TRY(expression)                                                               \
  do {                                                                                   \
    if (auto ec_try_ = (expression); !ec_try_) return ::evercert::fail(ec_try_.error()); \
  } while (0)
#define EC_CONCAT_(a, b) a##b
#define EC_CONCAT(a, b) EC_CONCAT_(a, b)
// EC_ASSIGN(auto x, f()): x is the value of f(), or the error is returned to the caller.
#define EC_ASSIGN(target, expression) EC_ASSIGN_(EC_CONCAT(ec_assign_, __LINE__), target, expression)
#define EC_ASSIGN_(temporary, target, expression)                        \
  auto temporary = (expression);                                         \
  if (!temporary) return ::evercert::fail(std::move(temporary).error()); \
  target = std::move(*temporary)
