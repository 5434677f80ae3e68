// SPDX-License-Identifier: Apache-2.0
// The state in RocksDB, without its write-ahead log: ours is the truth.
#pragma once

#include <memory>
#include <string>

#include "store/kv/kv.h"

namespace evercert::store {

struct RocksOptions {
  std::size_t block_cache_bytes = 12 << 20;
  std::size_t write_buffer_bytes = 16 << 20;  // two of them
  std::uint64_t run_file_bytes = 64 << 20;    // of what is staged, before compression
};

// kCorrupt: checksums do not fit; kIo: locked by another process, no space, ...
Result<std::unique_ptr<Kv>> open_rocks_kv(const std::string& dir, RocksOptions options);

}  // namespace evercert::store
