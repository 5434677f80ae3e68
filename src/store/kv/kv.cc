// SPDX-License-Identifier: Apache-2.0
// Runs within the state itself, for engines that have nothing better: each of these steps is a batch, and what a crash
// takes back is a number of them.
#include "store/kv/kv.h"

namespace evercert::store {
namespace {

// A first byte that no record has.
std::string prefix_of(const std::string& run) { return "\xfe" + run + '\0'; }
std::string end_of(const std::string& run) { return "\xfe" + run + '\1'; }
constexpr std::size_t kPieceBytes = 256 << 10;

}  // namespace

Status Kv::stage(const std::string& run, const WriteBatch& puts) {
  WriteBatch batch;
  for (const auto& change : puts.changes()) batch.put(prefix_of(run) + change.key, change.value);
  return write(batch);
}

// The prefix alone is the seal: it stands before all that is staged.
Status Kv::seal(const std::string& run) {
  WriteBatch batch;
  batch.put(prefix_of(run), "sealed");
  EC_TRY(write(batch));
  return flush();
}

Status Kv::take_over(const std::string& run, const std::string& from, const std::string& to, WriteBatch finally) {
  const std::string prefix = prefix_of(run);
  EC_ASSIGN(const auto sealed, get(prefix));
  if (!sealed) return fail(Code::kCorrupt, "there is no sealed run '" + run + "'");
  WriteBatch clear;
  clear.remove_range(from, to);
  EC_TRY(write(clear));
  const auto view = snapshot();
  WriteBatch piece;
  std::size_t bytes = 0;
  Status written;
  EC_TRY(view->scan(prefix + '\0', end_of(run), SIZE_MAX, [&](std::string_view key, std::string_view value) {
    piece.put(std::string(key.substr(prefix.size())), std::string(value));
    bytes += key.size() + value.size();
    if (bytes >= kPieceBytes) {
      written = write(piece);
      piece = WriteBatch{};
      bytes = 0;
    }
    return written.has_value();
  }));
  EC_TRY(written);
  EC_TRY(write(piece));
  // In one batch: until then a restart begins again.
  finally.remove_range(prefix, end_of(run));
  return write(finally);
}

Status Kv::drop_staged(const std::string& run) {
  WriteBatch batch;
  batch.remove_range(prefix_of(run), end_of(run));
  return write(batch);
}

}  // namespace evercert::store
