// SPDX-License-Identifier: Apache-2.0
// The state machine of the key space with whatever a peer may put into the log: commands one after another, each with
// its length (two bytes) in front. Whatever they are, they are applied or refused, a refusal changes nothing, revisions
// only grow, and a second replica comes to the same state.
#include "base/check.h"
#include "coordination/keyspace.h"
#include "coordination/machine.h"
#include "fuzz/input.h"
#include "testkit/map_state.h"

namespace evercert::coordination {
namespace {

void one(std::string_view input) {
  MapState first, second;
  std::int64_t revision = 1;
  while (input.size() >= 2) {
    const std::size_t wanted = static_cast<std::uint8_t>(input[0]) * 256u + static_cast<std::uint8_t>(input[1]);
    input.remove_prefix(2);
    const std::size_t size = std::min(wanted, input.size());
    v1::Command command;
    const bool parsed = command.ParseFromArray(input.data(), static_cast<int>(size));
    input.remove_prefix(size);
    if (!parsed) continue;
    Effects effects, others;
    const auto before = first.data;
    const auto answer = apply(command, first, effects);
    EC_CHECK(answer.has_value(), "what the machine wrote it can read");
    const bool counted = command.proposer() != 0;
    if (answer->refusal() != v1::NONE && !counted) EC_CHECK(first.data == before, "a refusal changes nothing");
    const auto meta = read_meta(first);
    EC_CHECK(meta && meta->revision >= revision && meta->compacted <= meta->revision, "revisions only grow");
    if (answer->refusal() != v1::NONE) EC_CHECK(meta->revision == revision, "a refusal is no revision");
    revision = meta->revision;
    EC_CHECK(apply(command, second, others).has_value() && first.data == second.data, "replicas are equal");
    etcdserverpb::RangeRequest all;
    all.set_key(std::string(1, '\0'));
    all.set_range_end(std::string(1, '\0'));
    all.set_revision(meta->compacted);
    EC_CHECK(read_range(first, all).has_value(), "the oldest revision that is left can be read");
  }
}

}  // namespace
}  // namespace evercert::coordination

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  evercert::coordination::one(evercert::fuzz::text(data, size));
  return 0;
}
