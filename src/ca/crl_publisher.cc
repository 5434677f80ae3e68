// SPDX-License-Identifier: Apache-2.0
#include "ca/crl_publisher.h"

#include "base/log.h"

namespace evercert::ca {

CrlPublisher::CrlPublisher(CrlOptions options, std::string issuer_certificate_der, std::shared_ptr<pki::Signer> signer,
                           store::Store& store, WallClock& wall, Executor& executor)
    : options_(options),
      issuer_certificate_der_(std::move(issuer_certificate_der)),
      signer_(std::move(signer)),
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

bool CrlPublisher::duty() const {
  for (const auto& group : store_.group_status()) {
    if (group.group != home_group(options_.region)) continue;
    if (group.leads_here) return true;
    return region_of(group.leader) != options_.region && options_.self == node_id(options_.region, 1);
  }
  return false;
}

bool CrlPublisher::due() {
  const auto stored = store_.crl(options_.region);
  if (!stored) return false;
  if (!*stored) return true;
  const std::int64_t now = wall_.now().seconds();
  return revoked_since_ || now - (*stored)->this_update() >= options_.interval_seconds;
}

void CrlPublisher::check() {
  if (running_ || !store_.clock_trusted() || !store_.signing_epoch() || !duty() || !due()) return;
  running_ = true;
  publishing_.spawn(publish(), [this](Result<std::uint64_t> published) {
    running_ = false;
    if (!published) {
      revoked_since_ = true;  // tried again in a moment
      log_warning("crl: not published: " + published.error().message);
    }
  });
}

Task<Result<std::uint64_t>> CrlPublisher::publish() {
  revoked_since_ = false;  // before the state is read: what comes later asks for another list
  const auto epoch = store_.signing_epoch();
  if (!epoch) co_return fail(epoch.error());
  store::v1::Command allocate;
  allocate.mutable_allocate_crl_number()->set_issuer_region(options_.region.value);
  allocate.mutable_allocate_crl_number()->set_epoch(epoch->value);
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
      pki::make_crl(issuer_certificate_der_, *signer_, number->number(), now, now + options_.validity_seconds, entries);
  if (!der) co_return fail(std::move(der).error());
  store::v1::Command put;
  auto* crl = put.mutable_put_crl()->mutable_crl();
  crl->set_issuer_region(options_.region.value);
  crl->set_number(number->number());
  crl->set_epoch(epoch->value);
  crl->set_der(std::move(*der));
  crl->set_this_update(now);
  crl->set_next_update(now + options_.validity_seconds);
  const auto stored =
      co_await store_.submit(executor_, home_group(options_.region), std::move(put), options_.submit_timeout);
  if (!stored) co_return fail(stored.error());
  co_return number->number();
}

}  // namespace evercert::ca
