// SPDX-License-Identifier: Apache-2.0
#include "api/coordination/coordinator.h"

#include "coordination/keyspace.h"
#include "coordination/request_check.h"
#include "store/keys.h"

namespace evercert::api {

using namespace etcdserverpb;
namespace cv1 = coordination::v1;

void Coordinator::fill(ResponseHeader* header, std::int64_t revision) {
  header->set_cluster_id(options_.cluster_id);
  header->set_member_id(options_.self.value);
  header->set_revision(revision);
  // For clients' logs: it need not be of this moment, and asking costs more than the rest of an answer.
  if (fills_.fetch_add(1, std::memory_order_relaxed) % 64 == 0) {
    const auto groups = store_.group_status();
    if (!groups.empty()) term_ = groups.front().term.value;
  }
  header->set_raft_term(term_);
}

Task<Answered<cv1::Answer>> Coordinator::propose(Executor& on, cv1::Command command) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    const coordination::Proposed proposed(proposer_, command);
    store::v1::Command entry;
    entry.set_coordination(command.SerializeAsString());
    auto outcome = co_await store_.submit(on, kGlobalGroup, std::move(entry), options_.patience);
    if (!outcome) co_return std::unexpected(trouble(std::move(outcome).error()));
    cv1::Answer answer;
    if (!answer.ParseFromString(outcome->coordination())) {
      co_return std::unexpected(trouble(Error{Code::kInternal, "the answer of the key space does not parse"}));
    }
    if (answer.refusal() == cv1::EARLIER_LIFE) {
      proposer_.adopt(answer.session());
      continue;
    }
    if (answer.refusal() != cv1::NONE) co_return std::unexpected(trouble(answer.refusal()));
    co_return answer;
  }
  co_return std::unexpected(trouble(Error{Code::kUnavailable, "another process of this node's name is at work"}));
}

Task<Answered<std::unique_ptr<coordination::View>>> Coordinator::view(Executor& on, bool serializable) {
  if (!serializable) {
    const auto freshness =
        co_await store_.freshen(on, kGlobalGroup, std::string(store::kCoordinationRecord), options_.patience);
    if (freshness == store::Freshness::kStale) {
      co_return std::unexpected(trouble(Error{Code::kExpired, "no leader could be asked in time"}));
    }
  }
  co_return space_.coordination_view();
}

Task<Answered<RangeResponse>> Coordinator::range(Executor& on, RangeRequest request) {
  if (const auto refusal = coordination::check(request); refusal != cv1::NONE)
    co_return std::unexpected(trouble(refusal));
  auto view = co_await this->view(on, request.serializable());
  if (!view) co_return std::unexpected(view.error());
  const auto meta = coordination::read_meta(**view);
  if (!meta) co_return std::unexpected(trouble(meta.error()));
  if (const auto refusal = coordination::check_revision(*meta, request.revision()); refusal != cv1::NONE)
    co_return std::unexpected(trouble(refusal));
  auto found = coordination::read_range(**view, request);
  if (!found) co_return std::unexpected(trouble(found.error()));
  fill(found->mutable_header(), meta->revision);
  co_return std::move(*found);
}

Task<Answered<PutResponse>> Coordinator::put(Executor& on, PutRequest request) {
  if (const auto refusal = coordination::check(request); refusal != cv1::NONE)
    co_return std::unexpected(trouble(refusal));
  cv1::Command command;
  *command.mutable_put() = std::move(request);
  auto answer = co_await propose(on, std::move(command));
  if (!answer) co_return std::unexpected(answer.error());
  fill(answer->mutable_put()->mutable_header(), answer->revision());
  co_return std::move(*answer->mutable_put());
}

Task<Answered<DeleteRangeResponse>> Coordinator::remove(Executor& on, DeleteRangeRequest request) {
  if (const auto refusal = coordination::check(request); refusal != cv1::NONE)
    co_return std::unexpected(trouble(refusal));
  cv1::Command command;
  *command.mutable_delete_range() = std::move(request);
  auto answer = co_await propose(on, std::move(command));
  if (!answer) co_return std::unexpected(answer.error());
  fill(answer->mutable_delete_range()->mutable_header(), answer->revision());
  co_return std::move(*answer->mutable_delete_range());
}

Task<Answered<TxnResponse>> Coordinator::txn(Executor& on, TxnRequest request) {
  if (const auto refusal = coordination::check(request); refusal != cv1::NONE)
    co_return std::unexpected(trouble(refusal));
  Answered<cv1::Answer> answer;
  if (coordination::only_reads(request)) {
    auto view = co_await this->view(on, false);
    if (!view) co_return std::unexpected(view.error());
    auto read = coordination::read_transaction(request, **view);
    if (!read) co_return std::unexpected(trouble(read.error()));
    if (read->refusal() != cv1::NONE) co_return std::unexpected(trouble(read->refusal()));
    answer = std::move(*read);
  } else {
    cv1::Command command;
    *command.mutable_txn() = std::move(request);
    answer = co_await propose(on, std::move(command));
    if (!answer) co_return std::unexpected(answer.error());
  }
  fill(answer->mutable_txn()->mutable_header(), answer->revision());
  co_return std::move(*answer->mutable_txn());
}

Task<Answered<CompactionResponse>> Coordinator::compact(Executor& on, CompactionRequest request) {
  cv1::Command command;
  *command.mutable_compact() = std::move(request);
  auto answer = co_await propose(on, std::move(command));
  if (!answer) co_return std::unexpected(answer.error());
  CompactionResponse response;
  fill(response.mutable_header(), answer->revision());
  co_return response;
}

Task<Answered<LeaseGrantResponse>> Coordinator::grant(Executor& on, LeaseGrantRequest request) {
  if (const auto refusal = coordination::check(request); refusal != cv1::NONE)
    co_return std::unexpected(trouble(refusal));
  while (request.id() == 0) request.set_id(static_cast<std::int64_t>(random_.next() >> 1));
  request.set_ttl(std::max(request.ttl(), options_.shortest_ttl));
  cv1::Command command;
  *command.mutable_grant() = std::move(request);
  auto answer = co_await propose(on, std::move(command));
  if (!answer) co_return std::unexpected(answer.error());
  fill(answer->mutable_grant()->mutable_header(), answer->revision());
  co_return std::move(*answer->mutable_grant());
}

Task<Answered<LeaseRevokeResponse>> Coordinator::revoke(Executor& on, LeaseRevokeRequest request) {
  cv1::Command command;
  *command.mutable_revoke() = std::move(request);
  auto answer = co_await propose(on, std::move(command));
  if (!answer) co_return std::unexpected(answer.error());
  LeaseRevokeResponse response;
  fill(response.mutable_header(), answer->revision());
  co_return response;
}

Task<Answered<LeaseKeepAliveResponse>> Coordinator::renew(Executor& on, LeaseKeepAliveRequest request) {
  cv1::Command command;
  *command.mutable_renew() = request;
  auto answer = co_await propose(on, std::move(command));
  if (!answer && answer.error().refusal != cv1::LEASE_NOT_FOUND) co_return std::unexpected(answer.error());
  LeaseKeepAliveResponse response;
  response.set_id(request.id());
  if (answer) response.set_ttl(answer->renew().ttl());
  fill(response.mutable_header(), answer ? answer->revision() : 0);
  co_return response;
}

Task<Answered<LeaseTimeToLiveResponse>> Coordinator::time_to_live(Executor& on, LeaseTimeToLiveRequest request) {
  auto view = co_await this->view(on, false);
  if (!view) co_return std::unexpected(view.error());
  const auto meta = coordination::read_meta(**view);
  if (!meta) co_return std::unexpected(trouble(meta.error()));
  const auto lease = coordination::find_lease(**view, request.id());
  if (!lease) co_return std::unexpected(trouble(lease.error()));
  LeaseTimeToLiveResponse response;
  fill(response.mutable_header(), meta->revision);
  response.set_id(request.id());
  response.set_ttl(-1);
  if (!*lease) co_return response;
  response.set_grantedttl((*lease)->ttl());
  const auto remaining = space_.lease_remaining(request.id());
  response.set_ttl(remaining ? std::chrono::duration_cast<std::chrono::seconds>(*remaining).count() : 0);
  if (request.keys()) {
    const auto keys = coordination::attached_keys(**view, request.id());
    if (!keys) co_return std::unexpected(trouble(keys.error()));
    for (const auto& key : *keys) response.add_keys(key);
  }
  co_return response;
}

Task<Answered<LeaseLeasesResponse>> Coordinator::leases(Executor& on) {
  auto view = co_await this->view(on, false);
  if (!view) co_return std::unexpected(view.error());
  const auto meta = coordination::read_meta(**view);
  const auto all = coordination::list_leases(**view);
  if (!meta || !all) co_return std::unexpected(trouble(!meta ? meta.error() : all.error()));
  LeaseLeasesResponse response;
  fill(response.mutable_header(), meta->revision);
  for (const auto& lease : *all) response.add_leases()->set_id(lease.id());
  co_return response;
}

}  // namespace evercert::api
