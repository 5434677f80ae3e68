// SPDX-License-Identifier: Apache-2.0
#include "ca/crl_publisher.h"

#include <algorithm>

#include "base/log.h"
#include "store/membership.h"

namespace evercert::ca {
namespace {

constexpr int kMostSkipped = 30;  // looks between two attempts, after several that failed

}  // namespace

CrlPublisher::CrlPublisher(CrlOptions options, std::string issuer_certificate_der, std::shared_ptr<CrlKey> key,
                           store::Store& store, WallClock& wall, Executor& executor)
    : options_(std::move(options)),
      issuer_certificate_der_(std::move(issuer_certificate_der)),
      key_(std::move(key)),
      store_(store),
      wall_(wall),
      executor_(executor) {
  store_.on_certificate_changed([this](const store::v1::Certificate& certificate) {
    if (certificate.revoked() && certificate.issuer_region() == options_.region.value) revoked_since_ = true;
  });
}

void CrlPublisher::start() {
  // A new CA waits for its first list.
  const auto stored = store_.crl(options_.region);
  const Duration pause = stored && !*stored ? options_.after_revocation / 10 : options_.after_revocation;
  executor_.post_after(pause, [this, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.lock()) return;
    check();
    start();
  });
}

Result<CrlPublisher::Right> CrlPublisher::right() const {
  // Also who stands in must not be fenced itself, and must know that it is not.
  if (const auto epoch = store_.signing_epoch(); !epoch) return fail(epoch.error());
  const auto view = store_.membership();
  const store::Activation activation = store::crl_activation(view->record, options_.region);
  if (activation.signer != region_of(options_.self))
    return fail(Code::kUnavailable, "it is not for this region to sign the CRLs of " + options_.name);
  return Right{activation, Epoch{view->record.epoch()}};
}

bool CrlPublisher::duty() const {
  for (const auto& group : store_.group_status()) {
    if (group.group != home_group(options_.region)) continue;
    if (group.leads_here) return true;
    const RegionId own = region_of(options_.self);
    return region_of(group.leader) != own && options_.self == node_id(own, 1);
  }
  return false;
}

bool CrlPublisher::due(const store::Activation& activation) {
  const auto stored = store_.crl(options_.region);
  if (!stored) return false;
  if (!*stored) return true;
  // Who takes over shows at once that it can, and lists what was revoked while nobody signed.
  if ((*stored)->epoch() < activation.epoch) return true;
  const std::int64_t now = wall_.now().seconds();
  return revoked_since_ || now - (*stored)->this_update() >= options_.interval_seconds;
}

// The beginning and the end of standing in, for the log; the key is not kept beyond.
void CrlPublisher::note(const Result<Right>& now) {
  if (is_ours()) return;
  const std::uint64_t since = now ? now->activation.epoch : 0;
  if (since == stands_in_since_) return;
  if (since != 0) {
    log_warning("crl: this region stands in for " + options_.name + ", which is fenced: activation of epoch " +
                std::to_string(since));
  } else {
    log_warning("crl: this region stands in for " + options_.name + " no longer; the activation of epoch " +
                std::to_string(stands_in_since_) + " is over");
  }
  key_->put_away();
  stands_in_since_ = since;
}

void CrlPublisher::check() {
  if (running_) return;
  const auto now = right();
  note(now);
  if (!now || !store_.clock_trusted() || !duty() || !due(now->activation)) return;
  if (failures_ > 1 && ++skipped_ < std::min(1 << std::min(failures_ - 1, 8), kMostSkipped)) return;
  skipped_ = 0;
  running_ = true;
  publishing_.spawn(publish(), [this](Result<std::uint64_t> published) {
    running_ = false;
    failures_ = published ? 0 : failures_ + 1;
    if (!published) {
      revoked_since_ = true;  // tried again in a moment
      log_warning("crl: the list of " + options_.name + " is not published: " + published.error().message);
    }
  });
}

Task<Result<std::uint64_t>> CrlPublisher::publish() {
  revoked_since_ = false;  // before the state is read: what comes later asks for another list
  const auto now_right = right();
  if (!now_right) co_return fail(now_right.error());
  const auto [activation, epoch] = *now_right;
  const auto signer = co_await key_->open(executor_, activation);
  if (!signer) co_return fail(signer.error());
  store::v1::Command allocate;
  allocate.mutable_allocate_crl_number()->set_issuer_region(options_.region.value);
  allocate.mutable_allocate_crl_number()->set_epoch(epoch.value);
  allocate.mutable_allocate_crl_number()->set_signer_region(activation.signer.value);
  const auto number = co_await store_.submit(executor_, kGlobalGroup, std::move(allocate), options_.submit_timeout);
  if (!number) co_return fail(number.error());
  const std::int64_t now = wall_.now().seconds();
  std::vector<pki::CrlEntry> entries;
  const Status read = store_.revoked_certificates(options_.region, now, [&](const store::v1::Certificate& certificate) {
    entries.push_back(
        {certificate.serial(), certificate.revoked_at_ms() / 1000, static_cast<int>(certificate.reason())});
  });
  if (!read) co_return fail(read.error());
  auto der =
      pki::make_crl(issuer_certificate_der_, **signer, number->number(), now, now + options_.validity_seconds, entries);
  // A list that its issuer's certificate does not verify is of no use to anybody, whatever key a token gave.
  Status sound = der ? Status{} : fail(der.error());
  if (sound) {
    if (const auto facts = pki::read_crl(*der, issuer_certificate_der_); !facts) sound = fail(facts.error());
  }
  if (!sound) {
    key_->put_away();
    co_return fail(sound.error());
  }
  store::v1::Command put;
  auto* crl = put.mutable_put_crl()->mutable_crl();
  crl->set_issuer_region(options_.region.value);
  crl->set_number(number->number());
  crl->set_epoch(epoch.value);
  crl->set_signer_region(activation.signer.value);
  crl->set_der(std::move(*der));
  crl->set_this_update(now);
  crl->set_next_update(now + options_.validity_seconds);
  const auto stored =
      co_await store_.submit(executor_, home_group(options_.region), std::move(put), options_.submit_timeout);
  if (!stored) co_return fail(stored.error());
  if (!is_ours()) {
    log_info("crl: signed list " + std::to_string(number->number()) + " of " + options_.name + " with " +
             std::to_string(entries.size()) + " entries under the activation of epoch " +
             std::to_string(activation.epoch));
  }
  co_return number->number();
}

}  // namespace evercert::ca
