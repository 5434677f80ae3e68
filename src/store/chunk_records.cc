// SPDX-License-Identifier: Apache-2.0
#include "store/chunk_records.h"

#include <lz4.h>

#include "base/encoding.h"

namespace evercert::store {
namespace {

// LZ4's "acceleration": the sender's thread leads groups besides.
constexpr int kHaste = 4;

}  // namespace

void pack_records(const v1::KeyValues& records, v1::SnapshotChunk& chunk) {
  std::string plain = records.SerializeAsString();
  std::string& sent = *chunk.mutable_records();
  chunk.clear_plain_bytes();
  if (plain.size() <= kMostChunkBytes) {
    const int length = static_cast<int>(plain.size());
    sent.resize(static_cast<std::size_t>(LZ4_compressBound(length)));
    const int packed = LZ4_compress_fast(plain.data(), sent.data(), length, static_cast<int>(sent.size()), kHaste);
    sent.resize(static_cast<std::size_t>(packed));
    if (packed > 0 && sent.size() < plain.size()) chunk.set_plain_bytes(static_cast<std::uint32_t>(plain.size()));
  }
  if (chunk.plain_bytes() == 0) sent = std::move(plain);
  chunk.set_crc32c(crc32c(sent));
}

bool unpack_records(const v1::SnapshotChunk& chunk, v1::KeyValues& records) {
  const std::string& sent = chunk.records();
  if (crc32c(sent) != chunk.crc32c() || sent.size() > kMostChunkBytes) return false;
  if (chunk.plain_bytes() == 0) return records.ParseFromString(sent);
  if (chunk.plain_bytes() > kMostChunkBytes) return false;
  std::string plain(chunk.plain_bytes(), '\0');
  const int length =
      LZ4_decompress_safe(sent.data(), plain.data(), static_cast<int>(sent.size()), static_cast<int>(plain.size()));
  return length >= 0 && static_cast<std::size_t>(length) == plain.size() && records.ParseFromString(plain);
}

}  // namespace evercert::store
