// SPDX-License-Identifier: Apache-2.0
// Bytes of the log: docs/formats/log.md. All numbers little-endian.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/raft/raft_node.h"

namespace evercert::store::format {

inline constexpr std::size_t kBatchHeader = 24;
inline constexpr std::uint32_t kBatchMark = 0x32425645;  // "EVB2": the digit is the version
inline constexpr std::size_t kVersionAt = 3;
inline constexpr char kVersionDigit = '2';
inline constexpr std::uint64_t kMaxBatch = 256u << 20;

enum class Kind : std::uint8_t { kEntry = 1, kHardState = 2, kBeginning = 3, kMeta = 4, kMetaRemoved = 5, kEnd = 6 };

// One record of a batch, its texts pointing into the batch.
struct Record {
  Kind kind{};
  GroupId group;
  LogIndex index;
  Term term;
  EntryType type{};
  NodeId vote;
  std::string_view key, value;
  std::size_t offset = 0;  // of the record, from the batch's payload
};

void put_u32(std::string& out, std::uint32_t v);
void put_u64(std::string& out, std::uint64_t v);

void put_entry(std::string& out, GroupId group, const LogEntry& entry);
void put_hard_state(std::string& out, GroupId group, const HardState& state);
void put_beginning(std::string& out, GroupId group, LogIndex index, Term term);
void put_end(std::string& out, GroupId group, LogIndex index, Term term);
void put_meta(std::string& out, std::string_view key, std::string_view value);
void put_meta_removed(std::string& out, std::string_view key);

// Header and payload of a batch.
std::string batch(std::uint64_t sequence, std::string_view payload);
// True when a whole, sound batch of another version of the format stands at the front.
bool is_other_version(std::string_view bytes);
// The payload of the batch at the front of `bytes`; nullopt when there is none that is whole and sound.
struct Batch {
  std::uint64_t sequence;
  std::string_view payload;
};
std::optional<Batch> read_batch(std::string_view bytes);
// kCorrupt when the payload is not a run of records (its checksum was right, so a defect of the writer).
Result<std::vector<Record>> read_records(std::string_view payload);
// One entry record at the front of `bytes`, its own checksum verified. kCorrupt.
Result<LogEntry> read_entry(std::string_view bytes);
std::size_t entry_size(const LogEntry& entry);

}  // namespace evercert::store::format
