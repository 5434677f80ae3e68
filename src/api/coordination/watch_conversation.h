// SPDX-License-Identifier: Apache-2.0
// One Watch stream of etcd's API: any number of watches, whose events are sent as fast as the caller takes them.
#pragma once

#include <map>
#include <memory>

#include "api/coordination/coordinator.h"
#include "api/coordination/stream_call.h"
#include "coordination/watch_hub.h"

namespace evercert::api {

inline constexpr Duration kProgressInterval = 10s;

class WatchConversation : public Conversation<etcdserverpb::WatchRequest> {
 public:
  // Everything given outlives the conversation, which lives on the executor's thread.
  WatchConversation(StreamOut<etcdserverpb::WatchResponse>& out, Executor& executor, Coordinator& coordinator,
                    coordination::WatchHub& hub);
  ~WatchConversation() override;

  void received(etcdserverpb::WatchRequest request) override;
  void half_closed() override { out_.finish(grpc::Status::OK); }
  void drained() override;

 private:
  struct Watch {
    coordination::WatchHub::Id id = 0;
    bool with_previous = false, progress = false, fragment = false;
    bool told = false;  // something, since the last round of progress
  };
  void create(const etcdserverpb::WatchCreateRequest& request);
  void refuse(std::int64_t watch_id, std::string reason);
  // Sends what there is for the watch, if the caller takes it.
  void pump(std::int64_t watch_id);
  void send_events(std::int64_t watch_id, const Watch& watch, const coordination::WatchNews& news);
  void end(std::int64_t watch_id, std::int64_t compacted, std::string reason);
  void answer_progress();
  void schedule_progress();
  // Runs `work` later, if the conversation still lives.
  void later(std::move_only_function<void()> work);
  std::int64_t revision();

  StreamOut<etcdserverpb::WatchResponse>& out_;
  Executor& executor_;
  Coordinator& coordinator_;
  coordination::WatchHub& hub_;
  std::map<std::int64_t, Watch> watches_;
  std::int64_t next_id_ = 0;
  bool progress_asked_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace evercert::api
