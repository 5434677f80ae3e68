// SPDX-License-Identifier: Apache-2.0
// A node that comes back without its disk: the others go on as if it had been restarted.
#include <gtest/gtest.h>

#include "base/log.h"
#include "base/probe.h"
#include "sim/world.h"

namespace evercert::sim {
namespace {

class RestartTest : public testing::Test {
 protected:
  RestartTest() : random(11), world(options(), random) {
    set_log_level(LogLevel::kOff);
    for (const NodeId node : world.nodes()) world.start(node);
    run_for(10s);
  }
  ~RestartTest() override { set_log_level(LogLevel::kInfo); }
  static WorldOptions options() {
    WorldOptions options;
    options.loss = options.late = 0;
    return options;
  }
  void run_for(Duration duration) { world.run_until(world.now() + duration); }
  std::vector<store::GroupStatus> status(NodeId node) { return world.engine(node)->status(world.local_now(node)); }

  // How many of so many writes, each 50 ms after the other, were not answered as done within the time given.
  int fail_of(int count, NodeId through, Duration within) {
    auto failed = std::make_shared<int>(count);
    for (int i = 0; i < count; ++i) {
      store::v1::Command command;
      auto* certificate = command.mutable_issue()->mutable_certificate();
      certificate->set_serial("\x01" + std::to_string(100'000'000'000'000 + ++written_));
      certificate->set_der(std::string(300, 'd'));
      world.engine(through)->submit(GroupId{1}, command.SerializeAsString(), world.local_now(through) + within,
                                    [failed](Result<store::v1::Outcome> outcome) { *failed -= outcome ? 1 : 0; });
      world.wake(through);
      run_for(50ms);
    }
    run_for(within);
    return *failed;
  }

  SeededRandom random;
  World world;
  const NodeId a = node_id(RegionId{1}, 1), c = node_id(RegionId{3}, 1);

 private:
  int written_ = 0;
};

TEST_F(RestartTest, WhoComesBackWithoutItsDiskDeposesNobodyAndHoldsUpNoWrite) {
  EXPECT_EQ(fail_of(20, a, 2s), 0);
  world.end(c, World::End::kMachine);
  world.wipe(c);
  run_for(8s);  // its own group is led from elsewhere by now
  const auto before = status(a);
  const auto counts = Probe::counts();
  world.start(c);
  EXPECT_EQ(fail_of(40, a, 600ms), 0);
  for (std::size_t g = 0; g < before.size(); ++g) {
    if (before[g].group == GroupId{3}) continue;  // goes home again
    EXPECT_EQ(status(a)[g].term, before[g].term) << "group " << g;
    EXPECT_EQ(status(a)[g].leader, before[g].leader) << "group " << g;
  }
  run_for(5s);
  for (std::size_t g = 0; g < before.size(); ++g)
    EXPECT_EQ(status(c)[g].applied, status(a)[g].applied) << "group " << g;
  // It had nothing, and much had happened: it was sent what has become of it.
  EXPECT_GT(Probe::counts().at("a snapshot is put in place"),
            counts.contains("a snapshot is put in place") ? counts.at("a snapshot is put in place") : 0);
}

TEST_F(RestartTest, WhoComesBackWithItsDiskIsSentOnlyWhatItLacks) {
  EXPECT_EQ(fail_of(60, a, 2s), 0);
  const auto snapshots = [] {
    const auto counts = Probe::counts();
    return counts.contains("a snapshot is sent") ? counts.at("a snapshot is sent") : 0;
  };
  const auto before = snapshots();
  world.end(c, World::End::kProcess);
  run_for(200ms);
  world.start(c);
  EXPECT_EQ(fail_of(5, a, 2s), 0);
  run_for(5s);
  EXPECT_EQ(snapshots(), before);
  EXPECT_EQ(status(c)[1].applied, status(a)[1].applied);
}

}  // namespace
}  // namespace evercert::sim
