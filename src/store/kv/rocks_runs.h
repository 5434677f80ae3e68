// SPDX-License-Identifier: Apache-2.0
// Runs (kv.h) as table files beside the state, in dir/RUN/. They are written once, at the speed of the disk, and linked
// into the state: no record of them goes through its memtable or is written again by a compaction.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/sst_file_writer.h>

#include <map>
#include <memory>
#include <string>

#include "store/kv/kv.h"

namespace evercert::store {

class RocksRuns {
 public:
  // Tables are made as `options` has it.
  RocksRuns(std::string dir, const rocksdb::Options& options, std::uint64_t file_bytes);

  Status stage(const std::string& run, const WriteBatch& puts);
  Status seal(const std::string& run);
  // Puts what was sealed into `db`. The files stay until drop(), so that it can be done again.
  Status ingest(const std::string& run, rocksdb::DB& db);
  Status drop(const std::string& run);

 private:
  struct Run {
    std::unique_ptr<rocksdb::SstFileWriter> writer;  // of the last file; none: it is finished
    int files = 0;
    std::uint64_t bytes = 0;  // in the last file, before compression
  };
  std::string folder(const std::string& run) const { return dir_ + "/" + run; }
  std::string file(const std::string& run, int number) const;
  Status finish(Run& run);

  std::string dir_;
  rocksdb::Options options_;
  std::uint64_t file_bytes_;
  rocksdb::Env& env_;
  std::map<std::string, Run> runs_;
};

}  // namespace evercert::store
