// SPDX-License-Identifier: Apache-2.0
// What moving a state costs: a group's records of so many certificates, read by the sender, checked and written by the
// receiver, put in the place of what was there; without the transport, which peer_transport_bench measures:
//   taskset -c 0 build/snapshot_bench FOLDER [certificates]
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>

#include "base/os/system.h"
#include "store/keys.h"
#include "store/kv/rocks_kv.h"
#include "store/snapshots.h"

namespace {

using namespace evercert;

constexpr GroupId kGroup{1};
constexpr NodeId kSender{257}, kReceiver{513};

struct Clock {
  double cpu = 0, wall = 0;
};
// Of this thread: what RocksDB does beside it is not the snapshot's.
Clock read_clock() {
  rusage used{};
  getrusage(RUSAGE_THREAD, &used);
  return {static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
              static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6,
          static_cast<double>(os::monotonic_clock().now().us) / 1e6};
}

// As a node keeps them; what differs between certificates is random, the rest repeats.
store::v1::Certificate certificate(const std::string& serial, const std::string& form) {
  auto& random = os::secure_random();
  store::v1::Certificate record;
  record.set_serial(serial);
  std::string der = form;
  der.replace(40, 16, serial);
  der.replace(200, 65, random.bytes(65));
  der.replace(der.size() - 70, 70, random.bytes(70));
  record.set_der(std::move(der));
  record.set_issuer_region(1);
  record.set_profile("server");
  record.set_not_before(1'700'000'000);
  record.set_not_after(1'710'000'000);
  record.set_issued_at_ms(1'700'000'000'000);
  record.set_epoch(1);
  record.set_request_digest(random.bytes(32));
  record.set_spki_sha256(random.bytes(32));
  return record;
}

Status fill(store::Kv& kv, int certificates) {
  auto& random = os::secure_random();
  const std::string form = random.bytes(720);
  store::WriteBatch batch;
  for (int i = 0; i < certificates; ++i) {
    std::string serial = random.bytes(16);
    serial[0] = 1;
    const auto record = certificate(serial, form);
    batch.put(store::state_key(kGroup, store::certificate_record(serial)), record.SerializeAsString());
    if (batch.changes().size() < 1000 && i + 1 < certificates) continue;
    EC_TRY(kv.write(batch));
    batch = {};
  }
  return kv.flush();
}

Status run(const std::string& dir, int certificates) {
  EC_ASSIGN(const auto from, store::open_rocks_kv(dir + "/from", {}));
  EC_ASSIGN(const auto to, store::open_rocks_kv(dir + "/to", {}));
  EC_TRY(fill(*from, certificates));
  store::SnapshotSender sender(*from, Duration{5'000'000}, 1);
  store::SnapshotReceiver receiver(*to);
  Clock sending{}, receiving{};
  const auto timed = [](Clock& sum, auto work) {
    const Clock before = read_clock();
    auto result = work();
    const Clock after = read_clock();
    sum.cpu += after.cpu - before.cpu;
    sum.wall += after.wall - before.wall;
    return result;
  };
  const Instant now{1'000'000};
  const store::Position end{Term{1}, LogIndex{static_cast<std::uint64_t>(certificates)}};
  EC_TRY(sender.prepare(kGroup, kReceiver, end));
  std::deque<std::string> wire;
  const auto put = [&](const std::vector<store::v1::SnapshotChunk>& chunks) {
    for (const auto& chunk : chunks) wire.push_back(chunk.SerializeAsString());
    return 0;
  };
  timed(sending, [&] { return put(sender.begin(kGroup, kReceiver, "message", now)); });
  std::uint64_t bytes = 0, sent = 0;  // of records, and as they travel
  while (!wire.empty()) {
    const std::string text = std::move(wire.front());
    wire.pop_front();
    sent += text.size();
    const auto received = timed(receiving, [&] {
      store::v1::SnapshotChunk chunk;
      chunk.ParseFromString(text);
      bytes += std::max<std::uint64_t>(chunk.plain_bytes(), chunk.records().size());
      return receiver.chunk(kSender, chunk);
    });
    if (!received) return std::unexpected(received.error());
    if (!received->ack || !received->ack->ok()) return fail(Code::kCorrupt, "a chunk was refused");
    timed(sending, [&] { return put(sender.acknowledged(kReceiver, *received->ack, now).chunks); });
  }
  const auto in_place = timed(receiving, [&]() -> Status {
    EC_TRY(receiver.mark(kGroup, end));
    return receiver.swap_in(kGroup);
  });
  EC_TRY(in_place);
  std::uint64_t on_disk = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(dir + "/to"))
    on_disk += file.path().extension() == ".sst" ? file.file_size() : 0;
  const auto rate = [](std::uint64_t size, double seconds) { return static_cast<double>(size) / 1e6 / seconds; };
  std::printf("%d certificates, %.1f MB of records: %.1f MB sent, %.1f MB of tables\n", certificates,
              static_cast<double>(bytes) / 1e6, static_cast<double>(sent) / 1e6, static_cast<double>(on_disk) / 1e6);
  std::printf("  sender    %6.1f MB of records a second of a core\n", rate(bytes, sending.cpu));
  std::printf("  receiver  %6.1f MB of records a second of a core, %.1f of the clock (%.1f MB of tables)\n",
              rate(bytes, receiving.cpu), rate(bytes, receiving.wall), rate(on_disk, receiving.wall));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "snapshot_bench FOLDER [certificates]\n");
    return 2;
  }
  if (const auto done = run(argv[1], argc > 2 ? std::atoi(argv[2]) : 200'000); !done) {
    std::fprintf(stderr, "%s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
}
