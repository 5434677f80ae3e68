// SPDX-License-Identifier: Apache-2.0
#include "store/log/format.h"

#include <cstring>

#include "base/encoding.h"

namespace evercert::store::format {
namespace {

// kind, group, index, term, type, length, checksum of the data
constexpr std::size_t kEntryHeader = 1 + 4 + 8 + 8 + 1 + 4 + 4;

class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  bool done() const { return at_ == bytes_.size(); }
  std::size_t at() const { return at_; }
  std::uint8_t u8() { return static_cast<std::uint8_t>(fixed<1>()); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(fixed<4>()); }
  std::uint64_t u64() { return fixed<8>(); }
  std::string_view text(std::size_t n) {
    if (bytes_.size() - at_ < n) {
      ok_ = false;
      return {};
    }
    const auto out = bytes_.substr(at_, n);
    at_ += n;
    return out;
  }

 private:
  template <std::size_t N>
  std::uint64_t fixed() {
    const auto raw = text(N);
    std::uint64_t v = 0;
    for (std::size_t i = raw.size(); i-- > 0;) v = v << 8 | static_cast<std::uint8_t>(raw[i]);
    return v;
  }
  std::string_view bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

Record read_record(Cursor& in) {
  Record record;
  record.offset = in.at();
  record.kind = static_cast<Kind>(in.u8());
  switch (record.kind) {
    case Kind::kEntry: {
      record.group = GroupId{in.u32()};
      record.index = LogIndex{in.u64()};
      record.term = Term{in.u64()};
      record.type = static_cast<EntryType>(in.u8());
      const std::uint32_t length = in.u32();
      in.u32();
      record.value = in.text(length);
      break;
    }
    case Kind::kHardState:
      record.group = GroupId{in.u32()};
      record.term = Term{in.u64()};
      record.vote = NodeId{in.u64()};
      record.index = LogIndex{in.u64()};
      break;
    case Kind::kBeginning:
    case Kind::kEnd:
      record.group = GroupId{in.u32()};
      record.index = LogIndex{in.u64()};
      record.term = Term{in.u64()};
      break;
    case Kind::kMeta:
      record.key = in.text(in.u32());
      record.value = in.text(in.u32());
      break;
    case Kind::kMetaRemoved: record.key = in.text(in.u32()); break;
    default: in.text(SIZE_MAX); break;  // marks the cursor as failed
  }
  return record;
}

}  // namespace

void put_u32(std::string& out, std::uint32_t v) {
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(v >> 8 * i));
}
void put_u64(std::string& out, std::uint64_t v) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(v >> 8 * i));
}

void put_entry(std::string& out, GroupId group, const LogEntry& entry) {
  out.push_back(static_cast<char>(Kind::kEntry));
  put_u32(out, group.value);
  put_u64(out, entry.index.value);
  put_u64(out, entry.term.value);
  out.push_back(static_cast<char>(entry.type));
  put_u32(out, static_cast<std::uint32_t>(entry.data.size()));
  put_u32(out, crc32c(entry.data));
  out.append(entry.data);
}

void put_hard_state(std::string& out, GroupId group, const HardState& state) {
  out.push_back(static_cast<char>(Kind::kHardState));
  put_u32(out, group.value);
  put_u64(out, state.term.value);
  put_u64(out, state.vote.value);
  put_u64(out, state.commit.value);
}

namespace {
void put_place(std::string& out, Kind kind, GroupId group, LogIndex index, Term term) {
  out.push_back(static_cast<char>(kind));
  put_u32(out, group.value);
  put_u64(out, index.value);
  put_u64(out, term.value);
}
}  // namespace

void put_beginning(std::string& out, GroupId group, LogIndex index, Term term) {
  put_place(out, Kind::kBeginning, group, index, term);
}
void put_end(std::string& out, GroupId group, LogIndex index, Term term) {
  put_place(out, Kind::kEnd, group, index, term);
}

void put_meta(std::string& out, std::string_view key, std::string_view value) {
  out.push_back(static_cast<char>(Kind::kMeta));
  put_u32(out, static_cast<std::uint32_t>(key.size()));
  out.append(key);
  put_u32(out, static_cast<std::uint32_t>(value.size()));
  out.append(value);
}

void put_meta_removed(std::string& out, std::string_view key) {
  out.push_back(static_cast<char>(Kind::kMetaRemoved));
  put_u32(out, static_cast<std::uint32_t>(key.size()));
  out.append(key);
}

std::string batch(std::uint64_t sequence, std::string_view payload) {
  std::string out;
  out.reserve(kBatchHeader + payload.size());
  put_u32(out, kBatchMark);
  put_u64(out, payload.size());
  put_u64(out, sequence);
  put_u32(out, crc32c(payload, crc32c(out)));
  out.append(payload);
  return out;
}

namespace {

// `covered_from`: where what the checksum covers begins.
std::optional<Batch> sound_batch(std::string_view bytes, std::size_t covered_from) {
  if (bytes.size() < kBatchHeader) return std::nullopt;
  Cursor in(bytes.substr(sizeof kBatchMark, kBatchHeader - sizeof kBatchMark));
  const std::uint64_t length = in.u64();
  const std::uint64_t sequence = in.u64();
  const std::uint32_t crc = in.u32();
  if (length > kMaxBatch || length > bytes.size() - kBatchHeader) return std::nullopt;
  const auto payload = bytes.substr(kBatchHeader, length);
  constexpr std::size_t kCrcAt = kBatchHeader - sizeof crc;
  if (crc32c(payload, crc32c(bytes.substr(covered_from, kCrcAt - covered_from))) != crc) return std::nullopt;
  return Batch{sequence, payload};
}

}  // namespace

bool is_other_version(std::string_view bytes) {
  if (bytes.size() <= kVersionAt || bytes.substr(0, kVersionAt) != "EVB" || bytes[kVersionAt] == kVersionDigit)
    return false;
  // The first version's checksum did not cover the mark.
  return sound_batch(bytes, 0) || (bytes[kVersionAt] == '1' && sound_batch(bytes, sizeof kBatchMark));
}

std::optional<Batch> read_batch(std::string_view bytes) {
  if (bytes.size() < kBatchHeader || Cursor(bytes).u32() != kBatchMark) return std::nullopt;
  return sound_batch(bytes, 0);
}

Result<std::vector<Record>> read_records(std::string_view payload) {
  std::vector<Record> records;
  Cursor in(payload);
  while (in.ok() && !in.done()) records.push_back(read_record(in));
  if (!in.ok()) return fail(Code::kCorrupt, "a batch holds something that is no record");
  return records;
}

Result<LogEntry> read_entry(std::string_view bytes) {
  Cursor in(bytes);
  const Record record = read_record(in);
  if (!in.ok() || record.kind != Kind::kEntry) return fail(Code::kCorrupt, "no log entry where one should be");
  Cursor checksum(bytes.substr(kEntryHeader - 4, 4));
  if (checksum.u32() != crc32c(record.value)) return fail(Code::kCorrupt, "a log entry fails its checksum");
  return LogEntry{record.index, record.term, record.type, std::string(record.value)};
}

std::size_t entry_size(const LogEntry& entry) { return kEntryHeader + entry.data.size(); }

}  // namespace evercert::store::format
