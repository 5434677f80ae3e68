// SPDX-License-Identifier: Apache-2.0
#include "store/membership_board.h"

#include "base/rfc3339.h"
#include "store/membership.h"

namespace evercert::store {
void MembershipBoard::publish(MembershipView view) {
  const bool fenced = member_of(view.record, own_).state() == v1::FENCED;
  const std::uint64_t word = view.record.epoch() << 1 | (fenced ? 1 : 0);
  {
    std::lock_guard lock(mutex_);
    view_ = std::make_shared<const MembershipView>(std::move(view));
  }
  word_.store(word, std::memory_order_release);
}

std::shared_ptr<const MembershipView> MembershipBoard::view() const {
  std::lock_guard lock(mutex_);
  return view_;
}

Result<Epoch> MembershipBoard::signing_epoch(Instant now) const {
  const std::uint64_t word = word_.load(std::memory_order_acquire);
  if ((word & 1) != 0) return fail(why_fenced());
  if (now.us >= fresh_until_us_.load(std::memory_order_acquire)) {
    return fail(Code::kUnavailable,
                "this region cannot tell whether it is fenced, since a majority of regions has not been heard for some "
                "seconds: it does not sign until it hears them; ask another region");
  }
  return Epoch{word >> 1};
}

Error MembershipBoard::why_fenced() const {
  const auto known = view();
  const v1::RegionMember member = member_of(known->record, own_);
  std::string text = "this region is fenced since " + rfc3339(member.since_ms()) + " (epoch " +
                     std::to_string(member.fence_epoch()) + ") by " + member.by();
  if (!member.reason().empty()) text += ": " + member.reason();
  text += member.attested()
              ? "; it does not sign until it has been heard for some seconds and is admitted again by itself"
              : "; it does not sign until an operator admits it again ('evercert ctl region unfence')";
  return {Code::kUnavailable, text + "; ask another region"};
}

}  // namespace evercert::store
