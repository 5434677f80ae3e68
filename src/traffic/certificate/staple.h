// SPDX-License-Identifier: Apache-2.0
// The OCSP answer that goes along with a certificate (RFC 6066 section 8): what is taken, and when the next one is
// fetched. Pure. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "pki/ocsp.h"

namespace evercert::traffic {

// Of whom the answer must be.
struct StapleSubject {
  std::string serial;      // big-endian, no leading zeros
  std::string issuer_der;  // its issuer's certificate
};

struct Staple {
  std::string der;
  WallTime this_update, next_update;
};

// What a responder answered, checked: signed for that issuer, about that certificate, valid at `now`. kInvalid.
// kConflict: the certificate is revoked.
Result<Staple> check_staple(std::string der, const StapleSubject& subject, WallTime now);

class StapleSchedule {
 public:
  // Fetched halfway to its end, each at another moment.
  void fetched(const Staple& staple, double chance);
  // Then again after 5 s, twice as long each time, a minute at most: an answer that has run out is worse than none.
  void failed(WallTime now, double chance);
  // Another certificate: at once.
  void reset() { *this = {}; }
  bool due(WallTime now) const { return now >= next_; }
  WallTime next() const { return next_; }
  // Of the answer at hand; none: there is none.
  std::optional<WallTime> end() const { return end_; }

 private:
  WallTime next_;
  std::optional<WallTime> end_;
  int failures_ = 0;
};

}  // namespace evercert::traffic
