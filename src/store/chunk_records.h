// SPDX-License-Identifier: Apache-2.0
// The records of one chunk of a snapshot, as they travel: LZ4's block format, when that makes them smaller. Between
// regions the bytes are what a transfer waits for; certificates shrink to less than half.
#pragma once

#include "store/proto/peer.pb.h"

namespace evercert::store {

// What the transport takes at most (net/peer_transport.cc): a chunk ends with the record that fills it, which may be
// large.
inline constexpr std::size_t kMostChunkBytes = 64 << 20;

void pack_records(const v1::KeyValues& records, v1::SnapshotChunk& chunk);
// False: the checksum is another, or there is no such block, or it is larger than a chunk may be.
bool unpack_records(const v1::SnapshotChunk& chunk, v1::KeyValues& records);

}  // namespace evercert::store
