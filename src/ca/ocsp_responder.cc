// SPDX-License-Identifier: Apache-2.0
#include "ca/ocsp_responder.h"

#include <algorithm>

#include "store/keys.h"
#include "store/membership.h"

namespace evercert::ca {
namespace {

OcspReply error_reply(pki::OcspError error) {
  OcspReply reply;
  reply.der = std::make_shared<const std::string>(pki::ocsp_error_response(error));
  return reply;
}

}  // namespace

Result<std::unique_ptr<OcspResponder>> OcspResponder::create(OcspOptions options, std::vector<OcspIssuer> issuers,
                                                             store::Store& store, WallClock& wall) {
  std::unique_ptr<OcspResponder> responder(new OcspResponder(options, store, wall));
  for (auto& issuer : issuers) {
    EC_ASSIGN(auto hashes, pki::issuer_hashes(issuer.certificate_der));
    responder->issuers_.push_back({std::move(issuer), std::move(hashes)});
  }
  store.on_certificate_changed(
      [raw = responder.get()](const store::v1::Certificate& certificate) { raw->changed(certificate); });
  store.on_records_replaced([raw = responder.get()] { raw->everything_changed(); });
  return responder;
}

const OcspResponder::Known* OcspResponder::issuer_of(const pki::OcspCertId& id) const {
  for (const Known& known : issuers_) {
    const bool sha1 = id.issuer_key_hash.size() == 20;
    if (id.issuer_key_hash == (sha1 ? known.hashes.key_sha1 : known.hashes.key_sha256) &&
        id.issuer_name_hash == (sha1 ? known.hashes.name_sha1 : known.hashes.name_sha256)) {
      return &known;
    }
  }
  return nullptr;
}

bool OcspResponder::left_behind() const {
  const auto view = store_.membership();
  return store::member_of(view->record, options_.region).state() == store::v1::REMOVED;
}

Task<OcspReply> OcspResponder::answer(Executor& on, std::string request_der) {
  const auto request = pki::parse_ocsp_request(request_der);
  if (!request) co_return error_reply(pki::OcspError::kMalformedRequest);
  const Known* issuer = issuer_of(request->ids.front());
  if (issuer == nullptr) co_return error_reply(pki::OcspError::kUnauthorized);
  const std::int64_t now = wall_.now().seconds();
  const bool cacheable = request->ids.size() == 1 && !request->nonce;
  bool stale = false;
  std::vector<pki::OcspAnswer> answers;
  std::uint64_t generation = 0;
  StatusChanges::Position position;
  for (const auto& id : request->ids) {
    if (issuer_of(id) != issuer)
      co_return error_reply(pki::OcspError::kUnauthorized);  // one responder signs one answer
    const auto group = store::home_of_serial(id.serial, options_.regions);
    if (!group) {
      answers.push_back({id, pki::CertStatus::kUnknown, 0, 0});
      continue;
    }
    // The rule of the store: first fresh, then read. The cache is a read too.
    const std::string record = store::certificate_record(id.serial);
    if (!store_.fresh_now(*group, record) &&
        co_await store_.freshen(on, *group, record, options_.read_timeout) == store::Freshness::kStale) {
      stale = true;
    }
    if (cacheable) {
      position = changes_.position();  // before the read: what changes later is beyond it
      if (auto kept = cached(id, now); kept && !held(id.serial)) {
        co_return OcspReply{kept->der, stale, kept->next_update, stale ? nullptr : kept, position};
      }
      Shard& shard = shard_of(id.serial);
      std::lock_guard lock(shard.mutex);
      generation = shard.generation;
    }
    const auto certificate = store_.certificate(id.serial);
    if (!certificate) co_return error_reply(pki::OcspError::kInternalError);
    const bool ours = *certificate && (*certificate)->issuer_region() == issuer->issuer.region.value;
    if (!ours && stale) co_return error_reply(pki::OcspError::kTryLater);  // it may exist: this region cannot tell
    const bool revoked = ours && (*certificate)->revoked();
    // What a removed region's nodes hold is of the day on which they left, and would be "good" for ever.
    if (!revoked && stale && left_behind()) co_return error_reply(pki::OcspError::kTryLater);
    if (!revoked && held(id.serial)) co_return error_reply(pki::OcspError::kTryLater);
    pki::OcspAnswer one{id, pki::CertStatus::kUnknown, 0, 0};
    if (ours) {
      one.status = (*certificate)->revoked() ? pki::CertStatus::kRevoked : pki::CertStatus::kGood;
      one.revoked_at = (*certificate)->revoked_at_ms() / 1000;
      one.reason = static_cast<int>((*certificate)->reason());
    }
    answers.push_back(std::move(one));
  }
  // A stale "good" is short-lived: it must not outlast the silence by much.
  const std::int64_t next_update =
      now + (stale ? std::min<std::int64_t>(300, options_.validity_seconds) : options_.validity_seconds);
  auto der = pki::make_ocsp_response(answers, now, next_update, request->nonce, *issuer->issuer.responder,
                                     issuer->issuer.responder_certificate_der);
  if (!der) co_return error_reply(pki::OcspError::kTryLater);
  auto shared = std::make_shared<const std::string>(std::move(*der));
  OcspReply reply{shared, stale, next_update, nullptr, position};
  if (cacheable && !stale && answers.front().status != pki::CertStatus::kUnknown) {
    const GroupId group = *store::home_of_serial(request->ids.front().serial, options_.regions);
    reply.kept = keep(request->ids.front(), group, generation, shared, now, next_update);
  }
  co_return reply;
}

bool OcspResponder::still_right(const OcspKept& kept) const {
  return store_.fresh_now(kept.group, kept.record) && kept_still(kept);
}

std::shared_ptr<const OcspKept> OcspResponder::cached(const pki::OcspCertId& id, std::int64_t now) {
  Shard& shard = shard_of(id.serial);
  std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(id.der);
  if (found == shard.entries.end() || found->second.kept->renew_after <= now) return nullptr;
  return found->second.kept;
}

void OcspResponder::drop(Shard& shard, const std::string& key) {
  const auto found = shard.entries.find(key);
  if (found == shard.entries.end()) return;
  found->second.kept->dropped = true;
  shard.bytes -= found->second.kept->der->size() + 2 * key.size();
  shard.order.erase(found->second.place);
  shard.entries.erase(found);
}

std::shared_ptr<const OcspKept> OcspResponder::keep(const pki::OcspCertId& id, GroupId group, std::uint64_t generation,
                                                    const std::shared_ptr<const std::string>& der, std::int64_t now,
                                                    std::int64_t next_update) {
  auto kept = std::make_shared<OcspKept>();
  kept->serial = id.serial;
  kept->id = id.der;
  kept->group = group;
  kept->record = store::certificate_record(id.serial);
  kept->der = der;
  kept->renew_after = now + (next_update - now) / 2;
  kept->next_update = next_update;
  Shard& shard = shard_of(id.serial);
  std::lock_guard lock(shard.mutex);
  if (shard.generation != generation) return nullptr;
  drop(shard, id.der);
  shard.order.push_back(id.der);
  shard.entries[id.der] = {kept, std::prev(shard.order.end())};
  shard.bytes += der->size() + 2 * id.der.size();
  auto& keys = shard.by_serial[id.serial];
  if (std::find(keys.begin(), keys.end(), id.der) == keys.end()) keys.push_back(id.der);
  while (shard.bytes > options_.cache_bytes / kShards && !shard.order.empty()) {
    const std::string oldest = shard.order.front();
    const auto keys_of = shard.by_serial.find(shard.entries.at(oldest).kept->serial);
    drop(shard, oldest);
    std::erase(keys_of->second, oldest);
    if (keys_of->second.empty()) shard.by_serial.erase(keys_of);
  }
  return kept;
}

// First what is kept here is dropped, then others are told: who has seen the change in the list can read nothing older.
void OcspResponder::changed(const store::v1::Certificate& certificate) {
  drop_kept(certificate.serial());
  if (certificate.revoked()) changes_.changed(certificate.serial());
}

void OcspResponder::drop_kept(const std::string& serial) {
  Shard& shard = shard_of(serial);
  std::lock_guard lock(shard.mutex);
  ++shard.generation;
  const auto found = shard.by_serial.find(serial);
  if (found == shard.by_serial.end()) return;
  for (const auto& key : found->second) drop(shard, key);
  shard.by_serial.erase(found);
}

// As a change: first what is kept here goes, then edges are told to let go of theirs. What they ask for anew is not
// kept.
void OcspResponder::hold(const std::string& serial) {
  {
    std::lock_guard lock(held_mutex_);
    ++held_[serial];
    held_count_ = held_.size();
  }
  drop_kept(serial);
  changes_.changed(serial);
}

void OcspResponder::release(const std::string& serial) {
  std::lock_guard lock(held_mutex_);
  const auto found = held_.find(serial);
  if (found == held_.end()) return;
  if (--found->second == 0) held_.erase(found);
  held_count_ = held_.size();
}

bool OcspResponder::held(const std::string& serial) const {
  if (held_count_ == 0) return false;
  std::lock_guard lock(held_mutex_);
  return held_.contains(serial);
}

void OcspResponder::everything_changed() {
  for (Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    ++shard.generation;
    for (auto& [key, entry] : shard.entries) entry.kept->dropped = true;
    shard.entries.clear();
    shard.order.clear();
    shard.by_serial.clear();
    shard.bytes = 0;
  }
  changes_.replaced(changes_.position().incarnation + 1);
}

}  // namespace evercert::ca
