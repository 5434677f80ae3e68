// SPDX-License-Identifier: Apache-2.0
#include "store/membership_board.h"

#include "base/rfc3339.h"
#include "store/membership.h"

namespace evercert::store {

Status members_settled(const MembershipView& view) {
  const std::vector<NodeId> wanted = wanted_voters(view.record);
  if (view.groups.empty()) return fail(Code::kConflict, "this node does not know yet who votes in the groups");
  const Configuration& global = view.groups.front();
  if (!global.consists_of(wanted.empty() ? global.voters() : wanted))
    return fail(
        Code::kConflict,
        "the members of the groups are being changed: ask again when that is done (`evercert ctl node list` shows it)");
  return {};
}

void MembershipBoard::publish(MembershipView view) {
  const v1::RegionState state = member_of(view.record, own_).state();
  const bool silent = silenced(state) || state == v1::JOINING || state == v1::WITNESS || own_.value > view.regions;
  const std::uint64_t word = view.record.epoch() << 1 | (silent ? 1 : 0);
  regions_.store(view.regions, std::memory_order_release);
  founding_.store(view.founding, std::memory_order_release);
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
  if ((word & 1) != 0) return fail(why_not());
  if (now.us >= fresh_until_us_.load(std::memory_order_acquire)) {
    return fail(Code::kUnavailable,
                "this region cannot tell whether it is fenced, since a majority of regions has not been heard for some "
                "seconds: it does not sign until it hears them; ask another region");
  }
  return Epoch{word >> 1};
}

Error MembershipBoard::why_not() const {
  const auto known = view();
  const v1::RegionMember member = member_of(known->record, own_);
  if (own_.value > known->regions)
    return {
        Code::kUnavailable,
        "this region is none of the cluster's yet ('evercert ctl region add'): it does not sign; ask another region"};
  if (member.state() == v1::JOINING)
    return {Code::kUnavailable, "this region is joining since " + rfc3339(member.since_ms()) +
                                    ": it does not sign until it has caught up and is admitted by itself; ask another "
                                    "region"};
  if (member.state() == v1::REMOVED)
    return {Code::kUnavailable, "this region was removed from the cluster at " + rfc3339(member.since_ms()) +
                                    " (epoch " + std::to_string(member.epoch()) + ") by " + member.by() +
                                    ": it never signs again, and its nodes are to be stopped; ask another region"};
  if (member.state() == v1::WITNESS)
    return {Code::kUnavailable, "this region is a witness: it has no issuing key; ask another region"};
  std::string text = "this region is fenced since " + rfc3339(member.since_ms()) + " (epoch " +
                     std::to_string(member.fence_epoch()) + ") by " + member.by();
  if (!member.reason().empty()) text += ": " + member.reason();
  text += member.attested()
              ? "; it does not sign until it has been heard for some seconds and is admitted again by itself"
              : "; it does not sign until an operator admits it again ('evercert ctl region unfence')";
  return {Code::kUnavailable, text + "; ask another region"};
}

}  // namespace evercert::store
