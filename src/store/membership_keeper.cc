// SPDX-License-Identifier: Apache-2.0
#include "store/membership_keeper.h"

#include <algorithm>
#include <utility>

namespace evercert::store {
namespace {

constexpr int kRoundsValid = 3;       // a word counts for so many rounds
constexpr double kClockDrift = 0.05;  // the clock that counts the time until a fence may be faster by this share

// Nobody needs to have watched for longer than a day, and a forged number must not overflow.
Duration bounded(std::int64_t ms) {
  constexpr std::int64_t kDayMs = 86'400'000;
  return Duration{std::clamp<std::int64_t>(ms, 0, kDayMs) * 1000};
}

}  // namespace

MembershipKeeper::MembershipKeeper(const Layout& layout, const Kv& kv, NodeId self, FenceTiming timing, Duration round,
                                   Instant now, Bug bug)
    : layout_(layout),
      kv_(kv),
      timing_(timing),
      bug_(bug),
      founding_{layout.regions, layout.witnesses},
      watch_(region_of(self), now),
      book_(layout, kRoundsValid * round),
      duty_(layout, region_of(self), timing, bug),
      board_(region_of(self)),
      own_(region_of(self)) {
  record_ = first_membership(layout.witnesses);
}

Status MembershipKeeper::load(GroupId group) {
  if (group == kGlobalGroup) {
    EC_ASSIGN(record_, load_membership(kv_, founding_.witnesses));
  } else {
    EC_TRY(floors_.load(group, kv_));
  }
  publish();
  return {};
}

void MembershipKeeper::applied(const AppliedChanges& changes) {
  if (changes.membership) record_ = *changes.membership;
  if (changes.membership || changes.floors) publish();
}

void MembershipKeeper::members_moved(std::vector<Configuration> groups) {
  groups_ = std::move(groups);
  publish();
}

void MembershipKeeper::set_founding(RegionRoll founding) {
  // Nothing has changed yet, as far as is known here, and the file was taken for the beginning.
  if (record_.epoch() == 1) record_ = first_membership(founding.witnesses);
  founding_ = founding;
  publish();
}

void MembershipKeeper::names(NodeId node, RegionRoll regions) {
  if (std::exchange(named_[node], regions) != regions) publish();
}

void MembershipKeeper::publish() {
  if (told_ && told_->epoch() <= record_.epoch()) told_.reset();
  MembershipView view{told_ ? *told_ : record_, {},        groups_, layout_.regions,
                      founding_.count,          lineage(), named_,  founding_.witnesses};
  for (std::uint32_t r = 0; r <= layout_.regions; ++r) {
    const RegionId region{static_cast<std::uint8_t>(r)};
    const auto missing = duty_.missing_floors(member_of(record_, region), floors_);
    view.carried_out.push_back(static_cast<std::uint32_t>(layout_.groups() - 1 - missing.size()));
  }
  board_.publish(std::move(view));
}

std::optional<v1::Attestation> MembershipKeeper::attest(RegionSet in_some, RegionSet in_all, Instant now) {
  watch_.saw(in_some, in_all, counted(record_, layout_.regions), now);
  v1::Attestation attestation;
  attested_silent_ = 0;
  for (std::uint8_t r = 1; r <= layout_.regions; ++r) {
    const RegionId region{r};
    const v1::RegionMember member = member_of(record_, region);
    const RegionWord word = watch_.word(region, now);
    if (member.state() == v1::WITNESS) continue;  // nothing is to be taken from it, nor given back
    const bool fenced = member.state() == v1::FENCED, joins = member.state() == v1::JOINING;
    const bool removed = member.state() == v1::REMOVED;
    const bool silent = !fenced && !joins && !removed && word.silent >= timing_.silence;
    const bool may = joins || (removed && bug_ == Bug::kRemovedComesBack) ||
                     (fenced && (member.attested() || bug_ == Bug::kUndoOperatorsFence));
    const bool held = may && word.held > Duration{0};
    if (!silent && !held) continue;
    v1::RegionWord* said = attestation.add_words();
    said->set_region(r);
    said->set_silent_ms(word.silent.count() / 1000);
    said->set_held_ms(word.held.count() / 1000);
    if (silent) attested_silent_ |= region_bit(region);
  }
  // Once more when there is nothing left to say: the last word is taken back.
  if (attestation.words().empty() && !said_something_) return std::nullopt;
  said_something_ = !attestation.words().empty();
  attestation.set_epoch(record_.epoch());
  attestation.set_sent_us(now.us);
  return attestation;
}

void MembershipKeeper::told(NodeId from, const v1::Attestation& attestation, Instant now) {
  if (attestation.words_size() > layout_.regions) return;
  std::vector<RegionWord> words;
  for (const auto& word : attestation.words()) {
    if (word.region() == 0 || word.region() > layout_.regions) return;
    words.push_back(
        {RegionId{static_cast<std::uint8_t>(word.region())}, bounded(word.silent_ms()), bounded(word.held_ms())});
  }
  book_.told(from, Instant{attestation.sent_us()}, Epoch{attestation.epoch()}, std::move(words), now);
}

void MembershipKeeper::told_of_removal(v1::Membership record) {
  if (record.epoch() <= board_.epoch().value || member_of(record, own_).state() != v1::REMOVED) return;
  told_ = std::move(record);
  publish();
}

std::vector<FencingDuty::Proposal> MembershipKeeper::due(Instant now) {
  if (!reformation_ || knows(record_, reformation_->id())) return duty_.due(record_, floors_, book_, now);
  std::vector<FencingDuty::Proposal> first(1, {kGlobalGroup, {}});
  *first.front().command.mutable_record_reformation() = *reformation_;
  return first;
}

void MembershipKeeper::leased_until(Instant until) {
  if (until.us == 0) return;
  const auto longer =
      Duration{static_cast<std::int64_t>(static_cast<double>(timing_.silence.count()) * (1 - kClockDrift))};
  const Instant fresh = until.us == INT64_MAX ? until : until + longer;
  if (fresh <= fresh_until_) return;
  fresh_until_ = fresh;
  board_.set_fresh_until(fresh);
}

bool MembershipKeeper::removed(RegionId region) const { return member_of(record_, region).state() == v1::REMOVED; }

bool MembershipKeeper::serves(RegionId region) const { return member_of(record_, region).state() == v1::SERVING; }

}  // namespace evercert::store
