// SPDX-License-Identifier: Apache-2.0
#include "coordination/change.h"

namespace evercert::coordination {

using mvccpb::Event;
using mvccpb::KeyValue;

void Change::record(Event event) {
  state_.put(history_key(meta_.revision + 1, changed_++), event.SerializeAsString());
  effects_.events.push_back(std::make_shared<const Event>(std::move(event)));
}

Result<etcdserverpb::PutResponse> Change::put(const etcdserverpb::PutRequest& request) {
  EC_ASSIGN(auto before, find_key(state_, request.key()));
  KeyValue kv;
  kv.set_key(request.key());
  kv.set_mod_revision(meta_.revision + 1);
  kv.set_create_revision(before ? before->create_revision() : meta_.revision + 1);
  if (bug_ == Bug::kReuseToken && !before) kv.set_create_revision(1 + static_cast<std::int64_t>(request.key().size()));
  kv.set_version(before ? before->version() + 1 : 1);
  kv.set_value(request.ignore_value() && before ? before->value() : request.value());
  kv.set_lease(request.ignore_lease() && before ? before->lease() : request.lease());
  if (before && before->lease() != 0 && before->lease() != kv.lease()) {
    state_.remove(attachment_key(before->lease(), kv.key()));
  }
  if (kv.lease() != 0 && (!before || before->lease() != kv.lease())) {
    state_.put(attachment_key(kv.lease(), kv.key()), "");
  }
  state_.put(key_key(kv.key()), kv.SerializeAsString());
  etcdserverpb::PutResponse response;
  if (request.prev_kv() && before) *response.mutable_prev_kv() = *before;
  Event event;
  *event.mutable_kv() = std::move(kv);
  if (before) *event.mutable_prev_kv() = std::move(*before);
  record(std::move(event));
  response.mutable_header()->set_revision(revision());
  return response;
}

Status Change::remove_key(KeyValue before) {
  state_.remove(key_key(before.key()));
  if (before.lease() != 0) state_.remove(attachment_key(before.lease(), before.key()));
  Event event;
  event.set_type(Event::DELETE);
  event.mutable_kv()->set_key(before.key());
  event.mutable_kv()->set_mod_revision(meta_.revision + 1);
  *event.mutable_prev_kv() = std::move(before);
  record(std::move(event));
  return {};
}

Result<etcdserverpb::DeleteRangeResponse> Change::remove(const etcdserverpb::DeleteRangeRequest& request) {
  etcdserverpb::RangeRequest which;
  which.set_key(request.key());
  which.set_range_end(request.range_end());
  EC_ASSIGN(auto found, read_range(state_, which));
  etcdserverpb::DeleteRangeResponse response;
  response.set_deleted(found.kvs_size());
  for (auto& kv : *found.mutable_kvs()) {
    if (request.prev_kv()) *response.add_prev_kvs() = kv;
    EC_TRY(remove_key(std::move(kv)));
  }
  response.mutable_header()->set_revision(revision());
  return response;
}

Status Change::end_lease(const v1::Lease& lease) {
  EC_ASSIGN(const auto keys, attached_keys(state_, lease.id()));
  for (const auto& key : keys) {
    if (bug_ == Bug::kLeaseKeepsKeys) continue;
    EC_ASSIGN(auto kv, find_key(state_, key));
    if (kv) EC_TRY(remove_key(std::move(*kv)));
  }
  state_.remove(lease_key(lease.id()));
  effects_.leases.push_back({lease, true});
  return {};
}

void Change::set_lease(const v1::Lease& lease) {
  state_.put(lease_key(lease.id()), lease.SerializeAsString());
  effects_.leases.push_back({lease, false});
}

void Change::compact(std::int64_t revision) {
  meta_.compacted = revision;
  if (bug_ == Bug::kCompactTooMuch) revision += 3;
  state_.remove_range(history_key(0), history_key(revision));
  state_.put(meta_key(), encode(meta_));
}

void Change::finish() {
  if (changed_ > 0) {
    ++meta_.revision;
    changed_ = 0;
    state_.put(meta_key(), encode(meta_));
  }
  effects_.meta = meta_;
}

}  // namespace evercert::coordination
