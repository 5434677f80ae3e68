// SPDX-License-Identifier: Apache-2.0
#include "api/coordination/etcd_calls.h"
#include "api/coordination/stream_binding.h"
#include "coordination/keyspace.h"

namespace evercert::api {
namespace {

using etcdserverpb::RangeRequest;
using namespace v3lockpb;
using namespace v3electionpb;

grpc::Status no_leader() { return {grpc::StatusCode::UNKNOWN, "election: no leader"}; }

Task<Answered<LockResponse>> lock(Locks& locks, CallInfo info, LockRequest request) {
  auto held = co_await locks.acquire(info.executor, request.name(), request.lease(), "", info.cancellation);
  if (!held) co_return std::unexpected(held.error());
  LockResponse response;
  response.mutable_header()->set_revision(held->revision);
  response.set_key(held->key);
  co_return response;
}

Task<Answered<UnlockResponse>> unlock(Locks& locks, CallInfo info, UnlockRequest request) {
  auto header = co_await locks.release(info.executor, request.key());
  if (!header) co_return std::unexpected(header.error());
  UnlockResponse response;
  *response.mutable_header() = std::move(*header);
  co_return response;
}

Task<Answered<CampaignResponse>> campaign(Locks& locks, CallInfo info, CampaignRequest request) {
  auto held =
      co_await locks.acquire(info.executor, request.name(), request.lease(), request.value(), info.cancellation);
  if (!held) co_return std::unexpected(held.error());
  CampaignResponse response;
  response.mutable_header()->set_revision(held->revision);
  auto* leader = response.mutable_leader();
  leader->set_name(request.name());
  leader->set_key(held->key);
  leader->set_rev(held->token);
  leader->set_lease(held->lease);
  co_return response;
}

Task<Answered<ProclaimResponse>> proclaim(Locks& locks, CallInfo info, ProclaimRequest request) {
  const auto& leader = request.leader();
  auto header =
      co_await locks.proclaim(info.executor, Held{leader.key(), leader.rev(), leader.lease(), 0}, request.value());
  if (!header) co_return std::unexpected(header.error());
  ProclaimResponse response;
  *response.mutable_header() = std::move(*header);
  co_return response;
}

Task<Answered<LeaderResponse>> leader(Locks& locks, CallInfo info, LeaderRequest request) {
  auto found = co_await locks.holder(info.executor, request.name());
  if (!found) co_return std::unexpected(found.error());
  if (!found->second) co_return std::unexpected(trouble(Error{Code::kNotFound, "election: no leader"}));
  LeaderResponse response;
  *response.mutable_header() = std::move(found->first);
  *response.mutable_kv() = std::move(*found->second);
  co_return response;
}

Task<Answered<ResignResponse>> resign(Locks& locks, CallInfo info, ResignRequest request) {
  ResignResponse response;
  if (request.leader().key().empty()) co_return response;
  auto header = co_await locks.release(info.executor, request.leader().key(), request.leader().rev());
  // Who no longer leads has resigned.
  if (!header && header.error().error.code != Code::kConflict) co_return std::unexpected(header.error());
  if (header) *response.mutable_header() = std::move(*header);
  co_return response;
}

// Each leader, and each thing that it proclaims, as this node comes to know of it. What is overtaken meanwhile is left
// out, as in etcd.
class Observe : public Conversation<LeaderRequest> {
 public:
  Observe(StreamOut<LeaderResponse>& out, EtcdParts& parts) : out_(out), parts_(parts) {}
  ~Observe() override {
    if (watch_) parts_.hub.remove(*watch_);
  }

  void received(LeaderRequest request) override {
    const std::string prefix = request.name() + "/";
    first_.set_key(prefix);
    first_.set_range_end(coordination::end_of(prefix));
    first_.set_sort_target(RangeRequest::CREATE);
    first_.set_sort_order(RangeRequest::ASCEND);
    first_.set_limit(1);
    coordination::WatchRequest wanted{coordination::key_range(prefix, first_.range_end()), 0, true, true};
    const auto watch = parts_.hub.add(std::move(wanted), [this, alive = std::weak_ptr<int>(alive_), &q = parts_.queue] {
      q.post([this, alive] {
        if (alive.lock()) look();
      });
    });
    if (!watch) return out_.finish({grpc::StatusCode::INTERNAL, watch.error().message});
    watch_ = *watch;
    look();
  }
  void half_closed() override {}

 private:
  void look() {
    for (bool more = true; more;) {
      const auto news = parts_.hub.take(*watch_);
      if (!news) return out_.finish({grpc::StatusCode::INTERNAL, news.error().message});
      more = news->more;
      if (news->compacted) return out_.finish(no_leader());  // far behind: the caller begins anew
    }
    const auto view = parts_.coordinator.space().coordination_view();
    const auto meta = coordination::read_meta(*view);
    const auto found = coordination::read_range(*view, first_);
    if (!meta || !found) return out_.finish({grpc::StatusCode::INTERNAL, "the key space cannot be read"});
    if (found->kvs_size() == 0 || found->kvs(0).mod_revision() == told_) return;
    told_ = found->kvs(0).mod_revision();
    LeaderResponse response;
    parts_.coordinator.fill(response.mutable_header(), meta->revision);
    *response.mutable_kv() = found->kvs(0);
    out_.send(std::move(response));
  }

  StreamOut<LeaderResponse>& out_;
  EtcdParts& parts_;
  RangeRequest first_;
  std::optional<coordination::WatchHub::Id> watch_;
  std::int64_t told_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace

void serve_locks(EtcdParts& parts) {
  using LockService = Lock::AsyncService;
  using ElectionService = Election::AsyncService;
  auto& locks = parts.locks;
  auto& l = parts.services.lock;
  auto& e = parts.services.election;
  serve_as<&LockService::RequestLock, LockService, LockRequest, LockResponse>(
      parts.queue, parts.access, Role::kOperator, l,
      [&locks](CallInfo info, LockRequest request) { return lock(locks, info, std::move(request)); }, true);
  serve_as<&LockService::RequestUnlock, LockService, UnlockRequest, UnlockResponse>(
      parts.queue, parts.access, Role::kOperator, l,
      [&locks](CallInfo info, UnlockRequest request) { return unlock(locks, info, std::move(request)); });
  serve_as<&ElectionService::RequestCampaign, ElectionService, CampaignRequest, CampaignResponse>(
      parts.queue, parts.access, Role::kOperator, e,
      [&locks](CallInfo info, CampaignRequest request) { return campaign(locks, info, std::move(request)); }, true);
  serve_as<&ElectionService::RequestProclaim, ElectionService, ProclaimRequest, ProclaimResponse>(
      parts.queue, parts.access, Role::kOperator, e,
      [&locks](CallInfo info, ProclaimRequest request) { return proclaim(locks, info, std::move(request)); });
  serve_as<&ElectionService::RequestLeader, ElectionService, LeaderRequest, LeaderResponse>(
      parts.queue, parts.access, Role::kReader, e,
      [&locks](CallInfo info, LeaderRequest request) { return leader(locks, info, std::move(request)); });
  serve_as<&ElectionService::RequestResign, ElectionService, ResignRequest, ResignResponse>(
      parts.queue, parts.access, Role::kOperator, e,
      [&locks](CallInfo info, ResignRequest request) { return resign(locks, info, std::move(request)); });
  serve_answers<&ElectionService::RequestObserve, ElectionService, LeaderRequest, LeaderResponse>(
      parts.queue, parts.access, Role::kReader, e,
      [&parts](StreamOut<LeaderResponse>& out) { return std::make_unique<Observe>(out, parts); });
}

}  // namespace evercert::api
