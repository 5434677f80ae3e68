// SPDX-License-Identifier: Apache-2.0
// Locks and elections as etcd makes them out of keys: each contender puts a key below the name, bound to its lease, and
// the one that was created first holds the lock or leads. Its create revision is the fencing token: it grows from
// holder to holder.
#pragma once

#include <memory>
#include <string>

#include "api/coordination/cancellation.h"
#include "api/coordination/coordinator.h"
#include "coordination/lock_table.h"

namespace evercert::api {

struct Held {
  std::string key;
  std::int64_t token = 0;  // the key's create revision
  std::int64_t lease = 0;
  std::int64_t revision = 0;  // of the key space when it was held
};

// The key of one contender.
std::string contender_key(const std::string& name, std::int64_t lease);

class Locks {
 public:
  // `table` is told what this node applies. Both outlive the locks and every task they gave out.
  Locks(Coordinator& coordinator, coordination::LockTable& table) : coordinator_(coordinator), table_(table) {}

  // Waits until it is held or cancelled (kExpired; the contender's key is gone then). Asking again with the same lease
  // goes on waiting in the same place. lease 0: a new one of 60 seconds. Free, it takes one entry of the log.
  Task<Answered<Held>> acquire(Executor& on, std::string name, std::int64_t lease, std::string value,
                               std::shared_ptr<Cancellation> cancellation);
  Task<Answered<etcdserverpb::ResponseHeader>> release(Executor& on, std::string key);
  // Of the holder with this token alone; kConflict: another holds it, or nobody.
  Task<Answered<etcdserverpb::ResponseHeader>> release(Executor& on, std::string key, std::int64_t token);
  Task<Answered<etcdserverpb::ResponseHeader>> proclaim(Executor& on, Held held, std::string value);
  // Who holds it now; nullopt: nobody.
  Task<Answered<std::pair<etcdserverpb::ResponseHeader, std::optional<mvccpb::KeyValue>>>> holder(Executor& on,
                                                                                                  std::string name);

 private:
  Task<Answered<Held>> contend(Executor& on, const std::string& name, std::int64_t lease, const std::string& value);

  Coordinator& coordinator_;
  coordination::LockTable& table_;
};

}  // namespace evercert::api
