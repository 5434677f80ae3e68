// SPDX-License-Identifier: Apache-2.0
// Recovery of the replicated log. The first byte chooses what the rest is: a segment file as it stands, the records of
// a batch whose checksum is right, or an overwriting of a valid log. Whatever it is, the log opens or refuses; what
// opens can be read, reads the same a second time, and after an overwriting is a prefix of what was written.
#include <algorithm>
#include <optional>
#include <vector>

#include "base/check.h"
#include "base/fake_disk.h"
#include "base/log.h"
#include "fuzz/input.h"
#include "store/log/format.h"
#include "store/log/log.h"

namespace evercert::store {
namespace {

constexpr GroupId kGroups[] = {GroupId{0}, GroupId{1}, GroupId{2}};
const std::string kFirst = "/log/000000000001.log";
// Nothing in the cache, several segments: reading goes to the disk.
constexpr LogOptions kSmall{.segment_bytes = 256, .cache_bytes_per_group = 0};

// All that can be asked of a log, as one text; equal texts are equal logs.
std::string state_of(const Log& log) {
  std::string out;
  for (const GroupId group : kGroups) {
    format::put_hard_state(out, group, log.hard_state(group));
    format::put_beginning(out, group, log.snapshot(group).index, log.snapshot(group).term);
    const auto entries = log.entries(group, log.first_index(group), LogIndex{log.last_index(group).value + 1}, 1 << 20);
    if (!entries) {
      EC_CHECK(entries.error().code == Code::kCorrupt, "what the log says it has, it has");
      out += "unreadable";
      continue;
    }
    for (const auto& entry : *entries) format::put_entry(out, group, entry);
  }
  return out + log.meta("a").value_or("-") + log.meta("b").value_or("-");
}

std::optional<std::string> recover(FakeDisk& disk) {
  const auto log = Log::open(disk, "/log", kSmall);
  if (!log) {
    const Code code = log.error().code;
    EC_CHECK(code == Code::kCorrupt || code == Code::kUnsupported, "refused as what it is");
    return std::nullopt;
  }
  const std::string state = state_of(**log);
  const auto again = Log::open(disk, "/log", kSmall);
  EC_CHECK(again && state_of(**again) == state, "recovery is done once and for all");
  return state;
}

struct Written {
  FakeDisk disk;
  std::vector<std::string> segments;  // names
  std::vector<std::string> states;    // after each sync
};

const Written& written() {
  static const Written made = [] {
    Written out;
    auto log = Log::open(out.disk, "/log", kSmall).value();
    out.states.push_back(state_of(*log));
    for (std::uint64_t i = 1; i <= 12; ++i) {
      log->append(kGroups[1], {{LogIndex{i}, Term{1 + i / 5}, EntryType::kNormal, "entry" + std::to_string(i)}});
      if (i % 2 == 0) log->append(kGroups[2], {{LogIndex{i / 2}, Term{1}, EntryType::kNormal, std::string(i, 'x')}});
      if (i % 3 == 0) log->set_hard_state(kGroups[1], {Term{1 + i / 5}, NodeId{257}, LogIndex{i - 1}});
      if (i == 4) log->put_meta("a", "1");
      if (i == 7) log->compact(kGroups[1], LogIndex{2});
      if (i == 9) log->remove_meta("a");
      EC_CHECK(log->sync().has_value(), "the disk is sound");
      out.states.push_back(state_of(*log));
    }
    out.segments = out.disk.list("/log").value();
    return out;
  }();
  return made;
}

// True when a batch that was not written passes its checksum: then the bytes are another valid log.
bool forged(std::string_view before, std::string_view after) {
  for (auto at = after.find("EVB"); at != std::string_view::npos; at = after.find("EVB", at + 1)) {
    const auto batch = format::read_batch(after.substr(at));
    if (!batch) continue;
    const std::size_t length = format::kBatchHeader + batch->payload.size();
    if (at + length > before.size() || before.substr(at, length) != after.substr(at, length)) return true;
  }
  return false;
}

void overwrite(std::string_view input) {
  if (input.size() < 5) return;
  const Written& sound = written();
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(input[i]); };
  FakeDisk disk;
  for (const auto& name : sound.segments) disk.set_contents("/log/" + name, sound.disk.contents("/log/" + name));
  const std::string path = "/log/" + sound.segments[byte(0) % sound.segments.size()];
  const std::string before = disk.contents(path);
  const std::size_t at = (byte(1) | byte(2) << 8) % (before.size() + 1);
  std::string after = before;
  if (byte(3) % 2 == 0) after.resize(at);  // torn there; what follows is garbage
  after.replace(at, input.size() - 4, input.substr(4));
  disk.set_contents(path, after);
  const auto state = recover(disk);
  if (!state || forged(before, after)) return;
  EC_CHECK(std::find(sound.states.begin(), sound.states.end(), *state) != sound.states.end(),
           "what is recovered is a state that was synced");
}

}  // namespace
}  // namespace evercert::store

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evercert;
  if (size == 0) return 0;
  set_log_level(LogLevel::kOff);
  const auto input = fuzz::text(data + 1, size - 1);
  FakeDisk disk;
  switch (data[0] % 3) {
    case 0: disk.set_contents(store::kFirst, std::string(input)); break;
    case 1: disk.set_contents(store::kFirst, store::format::batch(1, input)); break;
    default: store::overwrite(input); return 0;
  }
  store::recover(disk);
  return 0;
}
