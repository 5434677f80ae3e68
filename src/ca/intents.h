// SPDX-License-Identifier: Apache-2.0
// Intents to issue, on the node's own disk before the signature exists. After a crash each one that is still open is
// finished (its certificate is in the store) or voided (its serial can never be stored), so no certificate is ever
// signed and forgotten. Concurrent intents share one fdatasync.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "base/task.h"

namespace evercert::ca {

class Intents {
 public:
  // Reads what an earlier life left open. `writer` does the disk work; it must have stopped before the object goes.
  static Result<std::unique_ptr<Intents>> open(Disk& disk, const std::string& path, Executor& writer);

  // Durable when it returns. kIo: the disk refused; nothing may be signed.
  Task<Status> record(Executor& on, std::string serial);
  // The issuance came to an end; written down some time later (forgetting it costs a look-up after a crash).
  void resolved(const std::string& serial);
  // The same, durable when it returns: after a crash nobody settles it. kIo: it may or may not be open then.
  Task<Status> close(Executor& on, std::string serial);
  // Still open: from an earlier life, or with an outcome that is not known yet.
  std::vector<std::string> open_serials() const;
  // Those that this life began are not to be resolved by others while they run.
  std::vector<std::string> left_behind() const;

 private:
  struct Waiting {
    std::string line;
    std::move_only_function<void(Status)> done;
  };
  Intents(Disk& disk, std::string path, Executor& writer) : disk_(disk), path_(std::move(path)), writer_(writer) {}
  Status load();
  Status cut_room(std::string& text) const;
  Status rewrite();
  Task<Status> append(Executor& on, char sign, std::string serial);
  void write();

  Disk& disk_;
  std::string path_;
  Executor& writer_;
  mutable std::mutex mutex_;
  std::unique_ptr<AppendFile> file_;
  std::map<std::string, bool> open_;  // serial: from an earlier life
  std::vector<Waiting> waiting_;
  std::string resolved_lines_;
  std::size_t lines_ = 0;
  bool write_scheduled_ = false;
};

}  // namespace evercert::ca
