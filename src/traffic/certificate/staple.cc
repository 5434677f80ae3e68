// SPDX-License-Identifier: Apache-2.0
#include "traffic/certificate/staple.h"

#include <algorithm>

namespace evercert::traffic {
namespace {

constexpr std::int64_t kFirstWaitMs = 5000, kLongestWaitMs = 60'000;
// Clocks of this machine and the responder's may differ by so much.
constexpr std::int64_t kClocksMs = 60'000;
constexpr std::size_t kMostBytes = 16 * 1024;

}  // namespace

Result<Staple> check_staple(std::string der, const StapleSubject& subject, WallTime now) {
  if (der.size() > kMostBytes) return fail(Code::kInvalid, "an OCSP answer of more than 16 KB");
  EC_ASSIGN(const auto read, pki::read_ocsp_response(der, subject.issuer_der, subject.serial));
  if (read.status == pki::CertStatus::kRevoked) return fail(Code::kConflict, "the certificate is revoked");
  if (read.status != pki::CertStatus::kGood) return fail(Code::kInvalid, "the responder does not know the certificate");
  Staple staple{std::move(der), {read.this_update * 1000}, {read.next_update * 1000}};
  if (staple.next_update <= staple.this_update || staple.this_update.ms > now.ms + kClocksMs ||
      staple.next_update <= now)
    return fail(Code::kInvalid, "an OCSP answer of another time");
  return staple;
}

void StapleSchedule::fetched(const Staple& staple, double chance) {
  failures_ = 0;
  end_ = staple.next_update;
  const auto life = static_cast<double>(staple.next_update.ms - staple.this_update.ms);
  next_ = {staple.this_update.ms + static_cast<std::int64_t>(life * (0.4 + chance / 10))};
}

void StapleSchedule::failed(WallTime now, double chance) {
  ++failures_;
  const std::int64_t wait = std::min(kFirstWaitMs << std::min(failures_ - 1, 8), kLongestWaitMs);
  next_ = {now.ms + static_cast<std::int64_t>(static_cast<double>(wait) * (0.75 + chance / 2))};
}

}  // namespace evercert::traffic
