// SPDX-License-Identifier: Apache-2.0
#include "api/coordination/watch_conversation.h"

#include <algorithm>

#include "coordination/keyspace.h"

namespace evercert::api {
namespace {

using namespace etcdserverpb;

constexpr std::size_t kMostUnsent = 8;               // answers on their way; beyond, the caller is slow
constexpr std::size_t kFragmentBytes = 1536 * 1024;  // as in etcd
constexpr std::size_t kMostWatches = 10'000;         // of one stream

}  // namespace

WatchConversation::WatchConversation(StreamOut<WatchResponse>& out, Executor& executor, Coordinator& coordinator,
                                     coordination::WatchHub& hub)
    : out_(out), executor_(executor), coordinator_(coordinator), hub_(hub) {
  schedule_progress();
}

WatchConversation::~WatchConversation() {
  for (const auto& [id, watch] : watches_) hub_.remove(watch.id);
}

void WatchConversation::later(std::move_only_function<void()> work) {
  executor_.post([alive = std::weak_ptr<int>(alive_), work = std::move(work)]() mutable {
    if (alive.lock()) work();
  });
}

std::int64_t WatchConversation::revision() {
  const auto meta = coordination::read_meta(*coordinator_.space().coordination_view());
  return meta ? meta->revision : 0;
}

void WatchConversation::received(WatchRequest request) {
  if (request.has_create_request()) return create(request.create_request());
  if (request.has_cancel_request()) {
    const std::int64_t id = request.cancel_request().watch_id();
    if (watches_.contains(id)) end(id, 0, "");
    return;
  }
  if (request.has_progress_request()) {
    progress_asked_ = true;
    answer_progress();
  }
}

void WatchConversation::refuse(std::int64_t watch_id, std::string reason) {
  WatchResponse response;
  coordinator_.fill(response.mutable_header(), revision());
  response.set_watch_id(watch_id);
  response.set_created(true);
  response.set_canceled(true);
  response.set_cancel_reason(std::move(reason));
  out_.send(std::move(response));
}

void WatchConversation::create(const WatchCreateRequest& request) {
  std::int64_t id = request.watch_id();
  if (id == 0) {
    while (watches_.contains(next_id_)) ++next_id_;
    id = next_id_++;
  } else if (watches_.contains(id)) {
    return refuse(-1, "etcdserver: mvcc: duplicate watch ID provided on the WatchStream");
  }
  if (watches_.size() >= kMostWatches) return refuse(-1, "etcdserver: too many watches on one stream");
  const std::int64_t now = revision();
  // No key is the first of all keys.
  const std::string key = request.key().empty() ? std::string(1, '\0') : request.key();
  coordination::WatchRequest wanted{coordination::key_range(key, request.range_end()), request.start_revision(), true,
                                    true};
  if (wanted.start <= 0) wanted.start = now + 1;
  for (const int filter : request.filters()) {
    if (filter == WatchCreateRequest::NOPUT) wanted.puts = false;
    if (filter == WatchCreateRequest::NODELETE) wanted.deletes = false;
  }
  // Called under the hub's lock: only the executor is touched.
  const auto added = hub_.add(std::move(wanted), [this, id, &executor = executor_, alive = std::weak_ptr(alive_)] {
    executor.post([this, id, alive] {
      if (alive.lock()) pump(id);
    });
  });
  if (!added) return refuse(-1, added.error().message);
  Watch& watch = watches_[id];
  watch.id = *added;
  watch.with_previous = request.prev_kv();
  watch.progress = request.progress_notify();
  watch.fragment = request.fragment();
  WatchResponse response;
  coordinator_.fill(response.mutable_header(), now);
  response.set_watch_id(id);
  response.set_created(true);
  out_.send(std::move(response));
  pump(id);
}

void WatchConversation::drained() {
  std::vector<std::int64_t> ids;
  for (const auto& [id, watch] : watches_) ids.push_back(id);
  for (const auto id : ids) pump(id);
}

void WatchConversation::pump(std::int64_t watch_id) {
  const auto found = watches_.find(watch_id);
  if (found == watches_.end() || out_.waiting() > kMostUnsent) return;  // drained() comes back to it
  const auto news = hub_.take(found->second.id);
  if (!news) return end(watch_id, 0, news.error().message);
  if (news->compacted) return end(watch_id, *news->compacted, "etcdserver: mvcc: required revision has been compacted");
  if (!news->events.empty()) {
    found->second.told = true;
    send_events(watch_id, found->second, *news);
  }
  if (news->more) return later([this, watch_id] { pump(watch_id); });
  answer_progress();
}

void WatchConversation::send_events(std::int64_t watch_id, const Watch& watch, const coordination::WatchNews& news) {
  WatchResponse response;
  std::size_t bytes = 0;
  const auto begin = [&] {
    response.Clear();
    bytes = 0;
    coordinator_.fill(response.mutable_header(), news.events.back()->kv().mod_revision());
    response.set_watch_id(watch_id);
  };
  begin();
  for (std::size_t i = 0; i < news.events.size(); ++i) {
    const auto& event = *news.events[i];
    auto* out = response.add_events();
    out->set_type(event.type());
    *out->mutable_kv() = event.kv();
    if (watch.with_previous && event.has_prev_kv()) *out->mutable_prev_kv() = event.prev_kv();
    bytes += out->ByteSizeLong();
    if (!watch.fragment || bytes < kFragmentBytes || i + 1 == news.events.size()) continue;
    response.set_fragment(true);
    out_.send(std::move(response));
    begin();
  }
  out_.send(std::move(response));
}

void WatchConversation::end(std::int64_t watch_id, std::int64_t compacted, std::string reason) {
  hub_.remove(watches_.at(watch_id).id);
  watches_.erase(watch_id);
  WatchResponse response;
  coordinator_.fill(response.mutable_header(), revision());
  response.set_watch_id(watch_id);
  response.set_canceled(true);
  response.set_compact_revision(compacted);
  response.set_cancel_reason(std::move(reason));
  out_.send(std::move(response));
}

// Only when every watch has been told everything up to one revision.
void WatchConversation::answer_progress() {
  if (!progress_asked_) return;
  std::int64_t least = watches_.empty() ? revision() : INT64_MAX;
  for (const auto& [id, watch] : watches_) {
    const auto reached = hub_.progress(watch.id);
    if (!reached) return;
    least = std::min(least, *reached);
  }
  progress_asked_ = false;
  WatchResponse response;
  coordinator_.fill(response.mutable_header(), least);
  response.set_watch_id(-1);
  out_.send(std::move(response));
}

void WatchConversation::schedule_progress() {
  executor_.post_after(kProgressInterval, [this, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.lock()) return;
    for (auto& [id, watch] : watches_) {
      const auto reached = hub_.progress(watch.id);
      if (watch.progress && !watch.told && reached) {
        WatchResponse response;
        coordinator_.fill(response.mutable_header(), *reached);
        response.set_watch_id(id);
        out_.send(std::move(response));
      }
      watch.told = false;
    }
    schedule_progress();
  });
}

}  // namespace evercert::api
