// SPDX-License-Identifier: Apache-2.0
#include "store/log/log.h"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <map>

#include "base/check.h"
#include "base/log.h"
#include "base/probe.h"
#include "store/log/format.h"
#include "store/log/metas.h"

namespace evercert::store {
namespace {

std::string segment_name(std::uint64_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "%012llu.log", static_cast<unsigned long long>(number));
  return name;
}

// Where an entry lies on disk.
struct Slot {
  Term term;
  std::uint32_t segment = 0;
  std::uint32_t length = 0;
  std::uint64_t offset = 0;
};

struct GroupLog {
  HardState hard_state;
  Log::Beginning beginning;
  std::deque<Slot> slots;      // slots[i] is entry beginning.index + 1 + i
  std::deque<LogEntry> cache;  // the last entries
  std::uint64_t cached_bytes = 0;
  // While replaying: entries before the present ones were in segments that are gone; a later record must say so.
  bool gap = false;

  LogIndex last() const { return LogIndex{beginning.index.value + slots.size()}; }
  std::size_t position(LogIndex index) const { return index.value - beginning.index.value - 1; }
};

class LogImpl : public Log {
 public:
  LogImpl(Disk& disk, std::string dir, LogOptions options) : disk_(disk), dir_(std::move(dir)), options_(options) {}

  Status replay() {
    EC_ASSIGN(const auto names, disk_.list(dir_));
    std::vector<std::string> segments;
    for (const auto& name : names) {
      if (name.size() == 16 && name.ends_with(".log")) segments.push_back(name);
    }
    for (std::size_t i = 0; i < segments.size(); ++i) EC_TRY(replay_segment(segments[i], i + 1 == segments.size()));
    if (!segments.empty() && options_.bug != LogBug::kTrustUnsynced) EC_TRY(rewrite(dir_ + "/" + segments.back()));
    for (const auto& [id, log] : groups_) {
      if (!log.gap) continue;
      return fail(Code::kCorrupt, dir_ + ": group " + std::to_string(id.value) + " lacks the entries before " +
                                      std::to_string(log.beginning.index.value + 1));
    }
    return {};
  }

  void append(GroupId group, std::vector<LogEntry> entries) override {
    GroupLog& log = of(group);
    if (entries.empty()) return;
    const LogIndex first = entries.front().index;
    EC_CHECK(first.value <= log.last().value + 1 && first > log.beginning.index, "entries continue the log");
    if (log.last() >= first) EC_PROBE("another leader's entries replace a tail");
    truncate_from(log, first);
    for (LogEntry& entry : entries) {
      log.slots.push_back({entry.term, 0, static_cast<std::uint32_t>(format::entry_size(entry)), 0});
      unplaced_.push_back({group, entry.index, pending_.size()});
      format::put_entry(pending_, group, entry);
      log.cached_bytes += entry.data.size();
      log.cache.push_back(std::move(entry));
    }
    // What is not on disk yet must stay in memory, so the cache is trimmed after a sync only.
  }

  void set_hard_state(GroupId group, HardState state) override {
    if (of(group).hard_state == state) return;
    of(group).hard_state = state;
    format::put_hard_state(pending_, group, state);
  }

  void set_snapshot(GroupId group, LogIndex index, Term term) override {
    GroupLog& log = of(group);
    const bool continues = index >= log.beginning.index && index <= log.last() && this->term(group, index) == term;
    if (continues) {
      drop_until(log, index);
    } else {
      begin_after(log, index, term);
    }
    format::put_beginning(pending_, group, log.beginning.index, log.beginning.term);
  }

  void compact(GroupId group, LogIndex upto) override {
    GroupLog& log = of(group);
    if (upto <= log.beginning.index) return;
    EC_CHECK(upto <= log.last(), "only what is there can be dropped");
    drop_until(log, upto);
    format::put_beginning(pending_, group, log.beginning.index, log.beginning.term);
  }

  void put_meta(std::string key, std::string value) override {
    format::put_meta(pending_, key, value);
    meta_[std::move(key)] = std::move(value);
  }
  void remove_meta(const std::string& key) override {
    if (meta_.erase(key) > 0) format::put_meta_removed(pending_, key);
  }

  Status sync() override {
    if (broken_) return fail(Code::kIo, "the log failed before and must not be used");
    if (pending_.empty()) return {};
    Status written = write_pending();
    if (!written) broken_ = true;
    return written;
  }

  HardState hard_state(GroupId group) const override { return view(group).hard_state; }
  LogIndex first_index(GroupId group) const override { return LogIndex{view(group).beginning.index.value + 1}; }
  LogIndex last_index(GroupId group) const override { return view(group).last(); }
  Beginning snapshot(GroupId group) const override { return view(group).beginning; }

  Result<Term> term(GroupId group, LogIndex index) const override {
    const GroupLog& log = view(group);
    if (index == log.beginning.index) return log.beginning.term;
    if (index < log.beginning.index || index > log.last()) return fail(Code::kNotFound, "not in the log");
    return log.slots[log.position(index)].term;
  }

  Result<std::vector<LogEntry>> entries(GroupId group, LogIndex low, LogIndex high,
                                        std::uint64_t max_bytes) const override {
    const GroupLog& log = view(group);
    std::vector<LogEntry> out;
    if (low >= high) return out;
    if (low <= log.beginning.index || high.value > log.last().value + 1) return fail(Code::kNotFound, "not in the log");
    std::uint64_t bytes = 0;
    for (LogIndex i = low; i < high; ++i.value) {
      const std::uint64_t from_end = log.last().value - i.value;
      if (from_end < log.cache.size()) {
        out.push_back(log.cache[log.cache.size() - 1 - from_end]);
      } else {
        EC_ASSIGN(auto entry, read_slot(log.slots[log.position(i)], i));
        out.push_back(std::move(entry));
      }
      bytes += out.back().data.size();
      if (bytes > max_bytes && out.size() > 1) {
        out.pop_back();
        break;
      }
    }
    return out;
  }

  std::optional<std::string> meta(const std::string& key) const override {
    const auto found = meta_.find(key);
    return found == meta_.end() ? std::nullopt : std::optional(found->second);
  }
  const std::map<std::string, std::string>& metas() const { return meta_; }

 private:
  struct Segment {
    std::uint64_t bytes = 0;
    std::map<GroupId, LogIndex> newest;  // of each group, so that one knows when nothing in it is needed
  };
  struct Unplaced {
    GroupId group;
    LogIndex index;
    std::size_t offset;  // in pending_
  };

  GroupLog& of(GroupId group) { return groups_[group]; }
  const GroupLog& view(GroupId group) const {
    static const GroupLog empty;
    const auto found = groups_.find(group);
    return found == groups_.end() ? empty : found->second;
  }

  static void truncate_from(GroupLog& log, LogIndex index) {
    while (log.last() >= index) {
      log.slots.pop_back();
      if (!log.cache.empty()) {
        log.cached_bytes -= log.cache.back().data.size();
        log.cache.pop_back();
      }
    }
  }

  static void drop_until(GroupLog& log, LogIndex upto) {
    while (log.beginning.index < upto) {
      log.beginning = {LogIndex{log.beginning.index.value + 1}, log.slots.front().term};
      log.slots.pop_front();
    }
    while (log.cache.size() > log.slots.size()) {
      log.cached_bytes -= log.cache.front().data.size();
      log.cache.pop_front();
    }
  }

  void trim_caches() {
    for (auto& [id, log] : groups_) {
      while (log.cached_bytes > options_.cache_bytes_per_group && log.cache.size() > 1) {
        log.cached_bytes -= log.cache.front().data.size();
        log.cache.pop_front();
      }
    }
  }

  Result<LogEntry> read_slot(const Slot& slot, LogIndex index) const {
    auto& file = readers_[slot.segment];
    if (!file) {
      EC_ASSIGN(file, disk_.open_read(dir_ + "/" + segment_name(slot.segment)));
    }
    std::string bytes(slot.length, '\0');
    EC_ASSIGN(const auto got, file->read_at(slot.offset, bytes));
    if (got != bytes.size()) return fail(Code::kCorrupt, "a log segment is shorter than it was");
    EC_ASSIGN(auto entry, format::read_entry(bytes));
    if (entry.index != index || entry.term != slot.term) return fail(Code::kCorrupt, "a log entry is not where it was");
    return entry;
  }

  Status write_pending() {
    // One batch for one sync, also at the beginning of a segment: a torn write is then torn as a whole.
    std::string head;
    if (!file_ || segments_[current_].bytes >= options_.segment_bytes) {
      EC_TRY(begin_segment());
      head = restated();
    }
    Segment& segment = segments_[current_];
    const std::string batch = format::batch(++sequence_, head + pending_);
    EC_TRY(file_->append(batch));
    if (const Status synced = file_->sync(); !synced && options_.bug != LogBug::kRetrySync) return synced;
    if (segment.bytes == 0) EC_TRY(disk_.sync_dir(dir_));
    const std::uint64_t pending_at = segment.bytes + format::kBatchHeader + head.size();
    for (const Unplaced& entry : unplaced_) {
      GroupLog& log = of(entry.group);
      if (entry.index > log.last() || entry.index <= log.beginning.index) continue;  // replaced before it was written
      Slot& slot = log.slots[log.position(entry.index)];
      slot.segment = current_;
      slot.offset = pending_at + entry.offset;
      LogIndex& newest = segment.newest[entry.group];
      newest = std::max(newest, entry.index);
    }
    segment.bytes += batch.size();
    pending_.clear();
    unplaced_.clear();
    trim_caches();
    return remove_dead_segments();
  }

  Status begin_segment() {
    ++current_;
    const std::string path = dir_ + "/" + segment_name(current_);
    if (disk_.exists(path)) return fail(Code::kIo, path + " exists already");
    EC_ASSIGN(file_, disk_.open_journal(path));
    segments_[current_].bytes = 0;
    return {};
  }

  // The end of what older segments hold: the entries that are written with this batch come behind it.
  std::pair<LogIndex, Term> durable_end(GroupId id, const GroupLog& log) const {
    LogIndex end = log.last();
    for (const Unplaced& entry : unplaced_) {
      if (entry.group == id) end = std::min(end, LogIndex{entry.index.value - 1});
    }
    end = std::max(end, log.beginning.index);
    return {end, term(id, end).value_or(Term{})};
  }

  // All that is not entries: a new segment begins with it, so that older ones are needed for their entries alone.
  std::string restated() const {
    std::string state;
    for (const auto& [id, log] : groups_) {
      format::put_beginning(state, id, log.beginning.index, log.beginning.term);
      format::put_hard_state(state, id, log.hard_state);
      const auto [end, term] = durable_end(id, log);
      format::put_end(state, id, end, term);
    }
    for (const auto& [key, value] : meta_) format::put_meta(state, key, value);
    return state;
  }

  Status remove_dead_segments() {
    while (!segments_.empty() && segments_.begin()->first != current_) {
      for (const auto& [group, newest] : segments_.begin()->second.newest) {
        if (newest > view(group).beginning.index) return {};
      }
      const std::uint32_t number = segments_.begin()->first;
      readers_.erase(number);
      EC_TRY(disk_.remove(dir_ + "/" + segment_name(number)));
      segments_.erase(segments_.begin());
    }
    return {};
  }

  // ------------------------------------------------------------------------------------------------------- replay

  Status replay_segment(const std::string& name, bool is_last) {
    const std::string path = dir_ + "/" + name;
    EC_ASSIGN(const std::string bytes, read_file(disk_, path));
    const auto number = static_cast<std::uint32_t>(std::strtoul(name.c_str(), nullptr, 10));
    current_ = std::max(current_, number);
    if (format::is_other_version(bytes)) {
      const char* age = bytes[format::kVersionAt] > format::kVersionDigit ? "a newer" : "an older";
      return fail(Code::kUnsupported, path + ": " + age + " version of Evercert wrote this log (format " +
                                          bytes[format::kVersionAt] + "; this program's is " + format::kVersionDigit +
                                          "). Nothing was changed: start that version again, or move the data folder "
                                          "away and start: the node is then rebuilt from its peers");
    }
    Segment& segment = segments_[number];
    std::size_t at = 0;
    while (at < bytes.size()) {
      const auto batch = format::read_batch(std::string_view(bytes).substr(at));
      if (batch && at == 0 && sequence_ != 0 && batch->sequence > sequence_ + 1) {
        // Dead segments were removed, and a crash brought back an older one alone. What this one states is all there
        // is; if entries that are still needed are missing, it says so too.
        groups_.clear();
        meta_.clear();
        sequence_ = batch->sequence - 1;
      }
      if (!batch && is_room(bytes, at)) {
        segment.bytes = at;
        trim_caches();
        return is_last ? cut(path, at) : Status{};
      }
      if (!batch || (sequence_ != 0 && batch->sequence != sequence_ + 1)) {
        if (!batch && is_last && (!finds_batch(bytes, at + 1) || options_.bug == LogBug::kCutDamage)) {
          EC_PROBE("a torn tail is cut off");
          log_warning("log: " + path + ": cutting off a torn tail of " + std::to_string(bytes.size() - at) + " bytes");
          segment.bytes = at;
          return cut(path, at);
        }
        return fail(Code::kCorrupt, path + ": offset " + std::to_string(at) +
                                        ": a batch fails its checksum although later ones are sound");
      }
      sequence_ = batch->sequence;
      EC_TRY(replay_batch(path, number, segment, at + format::kBatchHeader, batch->payload));
      at += format::kBatchHeader + batch->payload.size();
    }
    segment.bytes = at;
    trim_caches();
    return {};
  }

  // The file ends here: what follows was written ahead (Disk::open_journal).
  static bool is_room(std::string_view bytes, std::size_t from) {
    return bytes.find_first_not_of('\0', from) == std::string_view::npos;
  }

  static bool finds_batch(std::string_view bytes, std::size_t from) {
    for (std::size_t at = from; at + format::kBatchHeader <= bytes.size(); ++at) {
      if (format::read_batch(bytes.substr(at))) return true;
    }
    return false;
  }

  // What was read may lie in the kernel's memory alone: the last life may have ended between a write and its sync, or
  // because a sync had failed, after which no further one of that file can be believed. Written anew, all of it is
  // durable before anybody builds on it.
  Status rewrite(const std::string& path) {
    if (!disk_.exists(path)) return {};  // it was a torn tail and nothing else
    EC_ASSIGN(const std::string bytes, read_file(disk_, path));
    return write_file_durably(disk_, path, bytes);
  }

  // The file is never appended to again: the next write begins a new segment.
  Status cut(const std::string& path, std::size_t at) {
    if (at == 0) {
      segments_.erase(static_cast<std::uint32_t>(current_));
      EC_TRY(disk_.remove(path));
      return disk_.sync_dir(dir_);
    }
    return disk_.truncate(path, at);
  }

  Status replay_batch(const std::string& path, std::uint32_t number, Segment& segment, std::uint64_t payload_at,
                      std::string_view payload) {
    auto records = format::read_records(payload);
    if (!records) return fail(records.error(), path);
    for (const auto& record : *records) {
      GroupLog& log =
          record.kind == format::Kind::kMeta || record.kind == format::Kind::kMetaRemoved ? scratch_ : of(record.group);
      switch (record.kind) {
        case format::Kind::kEntry: replay_entry(number, segment, payload_at, record, log); break;
        case format::Kind::kHardState: log.hard_state = {record.term, record.vote, record.index}; break;
        case format::Kind::kEnd:
          if (log.last() < record.index) {
            begin_after(log, record.index, record.term);
            log.gap = true;
          }
          break;
        case format::Kind::kBeginning: replay_beginning(log, record.index, record.term); break;
        case format::Kind::kMeta: meta_[std::string(record.key)] = std::string(record.value); break;
        case format::Kind::kMetaRemoved: meta_.erase(std::string(record.key)); break;
      }
    }
    return {};
  }

  void replay_entry(std::uint32_t number, Segment& segment, std::uint64_t payload_at, const format::Record& record,
                    GroupLog& log) {
    if (record.index <= log.beginning.index) return;
    if (record.index.value > log.last().value + 1) {
      begin_after(log, LogIndex{record.index.value - 1}, Term{});
      log.gap = true;
    }
    truncate_from(log, record.index);
    LogEntry entry{record.index, record.term, record.type, std::string(record.value)};
    log.slots.push_back(
        {record.term, number, static_cast<std::uint32_t>(format::entry_size(entry)), payload_at + record.offset});
    LogIndex& newest = segment.newest[record.group];
    newest = std::max(newest, record.index);
    log.cached_bytes += entry.data.size();
    log.cache.push_back(std::move(entry));
    if (log.cached_bytes > 2 * options_.cache_bytes_per_group) trim_caches();
  }

  static void begin_after(GroupLog& log, LogIndex index, Term term) {
    log.slots.clear();
    log.cache.clear();
    log.cached_bytes = 0;
    log.beginning = {index, term};
  }

  static void replay_beginning(GroupLog& log, LogIndex index, Term term) {
    if (index < log.beginning.index) return;  // restated before the entries in between were dropped
    if (log.gap && index == log.beginning.index) {
      log.beginning.term = term;
    } else if (index >= log.beginning.index && index <= log.last() &&
               (index == log.beginning.index ? log.beginning.term : log.slots[log.position(index)].term) == term) {
      drop_until(log, index);
    } else {
      begin_after(log, index, term);
    }
    log.gap = false;
  }

  Disk& disk_;
  std::string dir_;
  LogOptions options_;
  std::map<GroupId, GroupLog> groups_;
  GroupLog scratch_;
  std::map<std::string, std::string> meta_;
  std::map<std::uint32_t, Segment> segments_;
  mutable std::map<std::uint32_t, std::unique_ptr<ReadFile>> readers_;
  std::unique_ptr<AppendFile> file_;
  std::uint32_t current_ = 0;
  std::uint64_t sequence_ = 0;
  std::string pending_;
  std::vector<Unplaced> unplaced_;
  bool broken_ = false;
};

}  // namespace

Result<std::unique_ptr<Log>> Log::open(Disk& disk, std::string dir, LogOptions options) {
  EC_TRY(disk.make_dirs(dir));
  auto log = std::make_unique<LogImpl>(disk, std::move(dir), options);
  EC_TRY(log->replay());
  return log;
}

// Log::open() makes logs of this one class.
const std::map<std::string, std::string>& all_meta(const Log& log) { return static_cast<const LogImpl&>(log).metas(); }

}  // namespace evercert::store
