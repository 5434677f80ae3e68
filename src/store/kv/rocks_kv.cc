// SPDX-License-Identifier: Apache-2.0
#include "store/kv/rocks_kv.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include "store/kv/rocks_runs.h"

namespace evercert::store {
namespace {

Status check(const rocksdb::Status& status) {
  if (status.ok()) return {};
  return fail(status.IsCorruption() ? Code::kCorrupt : Code::kIo, "state: " + status.ToString());
}

rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }

Status scan_with(rocksdb::DB& db, rocksdb::ReadOptions options, const std::string& from, const std::string& to,
                 std::size_t limit, const KvVisitor& visit) {
  const rocksdb::Slice end = slice(to);
  options.iterate_upper_bound = &end;
  const std::unique_ptr<rocksdb::Iterator> it(db.NewIterator(options));
  for (it->Seek(slice(from)); it->Valid() && limit > 0; it->Next(), --limit) {
    if (!visit({it->key().data(), it->key().size()}, {it->value().data(), it->value().size()})) break;
  }
  return check(it->status());
}

class RocksSnapshot : public KvSnapshot {
 public:
  explicit RocksSnapshot(std::shared_ptr<rocksdb::DB> db) : db_(std::move(db)), snapshot_(db_->GetSnapshot()) {}
  ~RocksSnapshot() override { db_->ReleaseSnapshot(snapshot_); }
  Status scan(const std::string& from, const std::string& to, std::size_t limit,
              const KvVisitor& visit) const override {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_;
    options.fill_cache = false;
    return scan_with(*db_, options, from, to, limit, visit);
  }

 private:
  std::shared_ptr<rocksdb::DB> db_;
  const rocksdb::Snapshot* snapshot_;
};

class RocksKv : public Kv {
 public:
  RocksKv(std::shared_ptr<rocksdb::DB> db, RocksRuns runs) : db_(std::move(db)), runs_(std::move(runs)) {}

  Result<std::optional<std::string>> get(const std::string& key) const override {
    std::string value;
    const auto status = db_->Get({}, slice(key), &value);
    if (status.IsNotFound()) return std::optional<std::string>{};
    EC_TRY(check(status));
    return std::optional(std::move(value));
  }

  Status write(const WriteBatch& batch) override {
    rocksdb::WriteBatch raw;
    for (const auto& change : batch.changes()) {
      switch (change.kind) {
        case WriteBatch::Change::Kind::kPut: raw.Put(slice(change.key), slice(change.value)); break;
        case WriteBatch::Change::Kind::kRemove: raw.Delete(slice(change.key)); break;
        case WriteBatch::Change::Kind::kRemoveRange: raw.DeleteRange(slice(change.key), slice(change.value)); break;
      }
    }
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    return check(db_->Write(options, &raw));
  }

  Status scan(const std::string& from, const std::string& to, std::size_t limit,
              const KvVisitor& visit) const override {
    return scan_with(*db_, {}, from, to, limit, visit);
  }

  Status flush() override {
    rocksdb::FlushOptions options;
    options.wait = true;
    return check(db_->Flush(options));
  }

  std::unique_ptr<KvSnapshot> snapshot() const override { return std::make_unique<RocksSnapshot>(db_); }

  Status stage(const std::string& run, const WriteBatch& puts) override { return runs_.stage(run, puts); }
  Status seal(const std::string& run) override {
    EC_TRY(runs_.seal(run));
    return flush();
  }
  Status take_over(const std::string& run, const std::string& from, const std::string& to,
                   WriteBatch finally) override {
    WriteBatch clear;
    clear.remove_range(from, to);
    EC_TRY(write(clear));
    EC_TRY(runs_.ingest(run, *db_));
    EC_TRY(write(finally));
    EC_TRY(flush());  // before the files go, which a restart would need to do it again
    return runs_.drop(run);
  }
  Status drop_staged(const std::string& run) override { return runs_.drop(run); }

 private:
  std::shared_ptr<rocksdb::DB> db_;
  RocksRuns runs_;
};

}  // namespace

Result<std::unique_ptr<Kv>> open_rocks_kv(const std::string& dir, RocksOptions options) {
  rocksdb::Options raw;
  raw.create_if_missing = true;
  raw.write_buffer_size = options.write_buffer_bytes;
  raw.max_write_buffer_number = 2;
  // Most lookups of new records find nothing: a filter answers them without a search of the memtable.
  raw.memtable_prefix_bloom_size_ratio = 0.05;
  raw.memtable_whole_key_filtering = true;
  raw.max_background_jobs = 1;
  // The log is synced on the same disk all the time: tables go out in small steps, and not all at once before their
  // sync.
  raw.bytes_per_sync = 256 << 10;
  raw.max_open_files = -1;  // tables stay open, and a look-up need not search for them
  raw.keep_log_file_num = 2;
  raw.max_log_file_size = 1 << 20;
  raw.stats_dump_period_sec = 0;
  raw.compression = rocksdb::kLZ4Compression;
  raw.paranoid_checks = true;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  // Less work to make a table than with 4 KiB, and less of it: a snapshot comes at the speed of the disk
  // (build/snapshot_bench). A look-up that no cache holds unpacks twice as much.
  table.block_size = 8 << 10;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  // Indexes and filters stay with their tables (about 2 % of the data): a look-up of a new record asks every filter.
  table.cache_index_and_filter_blocks = false;
  raw.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  rocksdb::DB* db = nullptr;
  EC_TRY(check(rocksdb::DB::Open(raw, dir, &db)));
  return std::make_unique<RocksKv>(std::shared_ptr<rocksdb::DB>(db),
                                   RocksRuns(dir + ".staged", raw, options.run_file_bytes));
}

}  // namespace evercert::store
