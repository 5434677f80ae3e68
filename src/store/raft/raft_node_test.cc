// SPDX-License-Identifier: Apache-2.0
#include "store/raft/raft_node.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>

namespace evercert::store {
namespace {

const std::vector<NodeId> kMembers{NodeId{1}, NodeId{2}, NodeId{3}};

class MemoryLog : public RaftStorage {
 public:
  InitialState initial_state() const override { return {hard_state, {kMembers, {}, {}}}; }
  Result<std::vector<LogEntry>> entries(LogIndex low, LogIndex high, std::uint64_t max_bytes) const override {
    std::vector<LogEntry> some;
    for (std::uint64_t i = low.value, bytes = 0; i < high.value; ++i) {
      bytes += log[i - 1].data.size();
      if (!some.empty() && bytes > max_bytes) break;
      some.push_back(log[i - 1]);
    }
    return some;
  }
  Result<Term> term(LogIndex index) const override {
    if (index.value == 0) return Term{0};
    if (index.value > log.size()) return fail(Code::kNotFound, "");
    return log[index.value - 1].term;
  }
  LogIndex first_index() const override { return LogIndex{1}; }
  LogIndex last_index() const override { return LogIndex{log.size()}; }
  bool prefers_state(LogIndex low) const override { return low == LogIndex{1} && log.size() > whole_log_most; }
  Result<SnapshotMeta> request_snapshot(NodeId) override {
    ++states_wanted;
    return fail(Code::kUnavailable, "");
  }

  HardState hard_state;
  std::vector<LogEntry> log;
  int states_wanted = 0;
  std::uint64_t whole_log_most = UINT64_MAX;
};

// Three cores and a network that loses nothing. What happens is written down as it happens.
class Trio {
 public:
  explicit Trio(std::uint64_t whole_log_most = UINT64_MAX) : whole_log_most_(whole_log_most) {
    for (std::size_t i = 0; i < 3; ++i) nodes.push_back(make(i));
  }
  void lose_disk(std::size_t i) {
    nodes[i].reset();
    logs[i] = {};
    nodes[i] = make(i);
  }
  void settle() {
    for (bool any = true; any;) {
      any = false;
      for (std::size_t i = 0; i < 3; ++i) {
        while (nodes[i]->has_ready()) {
          any = true;
          work(i);
        }
      }
      while (!wire.empty()) {
        any = true;
        const RaftMessage m = std::move(wire.front());
        wire.pop_front();
        if (m.to == cut || m.from == cut || lost(m)) continue;
        const auto stepped = nodes[m.to.value - 1]->step(m.bytes, m.from, true);
        EXPECT_TRUE(stepped) << stepped.error().message;
      }
    }
  }
  void work(std::size_t i) {
    Ready ready = nodes[i]->ready();
    send(ready.messages);
    if (ready.hard_state) logs[i].hard_state = *ready.hard_state;
    for (auto& entry : ready.entries) {
      logs[i].log.resize(entry.index.value - 1);
      logs[i].log.push_back(std::move(entry));
    }
    send(ready.persisted_messages);
    apply(i, ready.committed);
    LightReady light = nodes[i]->advance_append();
    send(light.messages);
    apply(i, light.committed);
  }
  void send(std::vector<RaftMessage>& messages) {
    for (auto& m : messages) {
      transcript += std::to_string(m.from.value) + ">" + std::to_string(m.to.value) + " type " +
                    std::to_string(static_cast<int>(m.type)) + " term " + std::to_string(m.term.value) + " index " +
                    std::to_string(m.index.value) + (m.reject ? " reject" : "") + "\n";
      wire.push_back(std::move(m));
    }
  }
  void apply(std::size_t i, const std::vector<LogEntry>& entries) {
    for (const auto& entry : entries) {
      applied[i] += entry.data + ";";
      nodes[i]->advance_applied(entry.index);
    }
  }
  std::size_t count(std::size_t from, const std::string& line) const {
    std::size_t found = 0;
    for (std::size_t at = transcript.find(line + "\n", from); at != std::string::npos;
         at = transcript.find(line + "\n", at + 1)) {
      ++found;
    }
    return found;
  }
  void tick(std::size_t i, int times) {
    for (int t = 0; t < times; ++t) {
      nodes[i]->set_election_timeout(10);
      nodes[i]->tick();
    }
  }

  MemoryLog logs[3];
  std::vector<std::unique_ptr<RaftNode>> nodes;
  std::deque<RaftMessage> wire;
  std::map<std::size_t, std::string> applied;
  std::string transcript;
  NodeId cut;
  std::function<bool(const RaftMessage&)> lost = [](const RaftMessage&) { return false; };

 private:
  std::unique_ptr<RaftNode> make(std::size_t i) {
    RaftOptions options;
    options.self = kMembers[i];
    logs[i].whole_log_most = whole_log_most_;
    return RaftNode::create(options, logs[i]).value();
  }
  std::uint64_t whole_log_most_;
};

// Golden: an election with pre-vote and one proposal. A change of the core or of the bridge that changes what is said
// between replicas shows here.
TEST(RaftNode, ElectsALeaderAndReplicatesAsInTheTranscript) {
  Trio trio;
  ASSERT_TRUE(trio.nodes[0]->campaign());
  trio.settle();
  EXPECT_EQ(trio.nodes[0]->status().role, RaftRole::kLeader);
  ASSERT_TRUE(trio.nodes[0]->propose("x"));
  trio.settle();
  EXPECT_EQ(trio.transcript,
            "1>2 type 17 term 1 index 0\n1>3 type 17 term 1 index 0\n"
            "2>1 type 18 term 1 index 0\n3>1 type 18 term 1 index 0\n"
            "1>2 type 5 term 1 index 0\n1>3 type 5 term 1 index 0\n"
            "2>1 type 6 term 1 index 0\n3>1 type 6 term 1 index 0\n"
            "1>2 type 3 term 1 index 0\n1>3 type 3 term 1 index 0\n"
            "2>1 type 4 term 1 index 1\n3>1 type 4 term 1 index 1\n"
            "1>2 type 3 term 1 index 1\n1>3 type 3 term 1 index 1\n"
            "2>1 type 4 term 1 index 2\n3>1 type 4 term 1 index 2\n");
  EXPECT_EQ(trio.applied[0], ";x;");
  EXPECT_EQ(trio.applied[1], ";") << "followers learn of a commit with the next append";
  trio.nodes[0]->tell_commit();
  trio.settle();
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(trio.applied[i], ";x;");
}

TEST(RaftNode, AnotherLeaderTakesOverWhenTheFirstIsSilent) {
  Trio trio;
  ASSERT_TRUE(trio.nodes[0]->campaign());
  trio.settle();
  trio.cut = NodeId{1};
  trio.tick(1, 11);
  trio.tick(2, 11);
  trio.settle();
  trio.tick(1, 11);
  trio.settle();
  const bool second = trio.nodes[1]->status().role == RaftRole::kLeader;
  const bool third = trio.nodes[2]->status().role == RaftRole::kLeader;
  EXPECT_TRUE(second != third);
}

// Without this, what clients propose in the first round trip of a term would be a round trip older in every region.
TEST(RaftNode, ANewLeaderSendsProposalsBeforeItsFollowersHaveAnswered) {
  Trio trio;
  trio.lost = [](const RaftMessage& m) { return m.type == MessageType::kAppendResponse; };
  ASSERT_TRUE(trio.nodes[0]->campaign());
  trio.settle();
  ASSERT_EQ(trio.nodes[0]->status().role, RaftRole::kLeader);
  ASSERT_TRUE(trio.nodes[0]->propose("x"));
  trio.settle();
  ASSERT_TRUE(trio.nodes[0]->propose("y"));
  trio.settle();
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_EQ(trio.logs[i].log.size(), 3u);
    EXPECT_EQ(trio.logs[i].log.back().data, "y");
  }
}

// It ignores what begins before the end that it knows to be committed.
TEST(RaftNode, ANewLeaderSendsAheadAlsoToAFollowerThatKnowsOfMoreCommittedEntries) {
  Trio trio;
  ASSERT_TRUE(trio.nodes[0]->campaign());
  trio.settle();
  for (const char* data : {"a", "b", "c"}) {
    ASSERT_TRUE(trio.nodes[0]->propose(data));
    trio.settle();
  }
  trio.lost = [](const RaftMessage& m) { return m.type == MessageType::kAppend && m.to == NodeId{2}; };
  trio.nodes[0]->tell_commit();
  trio.settle();
  ASSERT_LT(trio.nodes[1]->status().commit, trio.nodes[2]->status().commit);
  trio.lost = [](const RaftMessage& m) { return m.type == MessageType::kAppendResponse; };
  trio.nodes[0]->transfer_leader(NodeId{2});
  trio.settle();
  ASSERT_EQ(trio.nodes[1]->status().role, RaftRole::kLeader);
  ASSERT_TRUE(trio.nodes[1]->propose("x"));
  trio.settle();
  EXPECT_EQ(trio.logs[0].log.back().data, "x");
  EXPECT_EQ(trio.logs[2].log.back().data, "x");
}

TEST(RaftNode, AFollowerThatLacksEntriesWhenATermBeginsGetsThemFromWhereItStands) {
  for (const bool unreachable : {false, true}) {
    Trio trio;
    ASSERT_TRUE(trio.nodes[0]->campaign());
    trio.settle();
    trio.cut = NodeId{3};
    for (const char* data : {"a", "b", "c"}) {
      ASSERT_TRUE(trio.nodes[0]->propose(data));
      trio.settle();
    }
    trio.nodes[0]->transfer_leader(NodeId{2});
    trio.settle();
    ASSERT_EQ(trio.nodes[1]->status().role, RaftRole::kLeader);
    if (unreachable) trio.nodes[1]->report_unreachable(NodeId{3});
    trio.cut = NodeId{0};
    const std::size_t before = trio.transcript.size();
    ASSERT_TRUE(trio.nodes[1]->propose("d"));
    trio.settle();
    trio.nodes[1]->tell_commit();
    trio.settle();
    EXPECT_EQ(trio.applied[2], trio.applied[0]);
    EXPECT_TRUE(trio.applied[2].ends_with("a;b;c;;d;")) << trio.applied[2];
    // Refused once, told where the log ends, sent the rest: not the whole log from its beginning.
    EXPECT_EQ(
        trio.count(before, "3>2 type 4 term 2 index 5 reject") + trio.count(before, "3>2 type 4 term 2 index 4 reject"),
        1u);
    EXPECT_EQ(trio.count(before, "2>3 type 3 term 2 index 0"), 0u);
    EXPECT_GE(trio.count(before, "2>3 type 3 term 2 index 1"), 1u);
  }
}

TEST(RaftNode, ALeaderWhoseConnectionsBreakIsReplacedWithoutWaitingForTheWholeTimeOut) {
  Trio trio;
  ASSERT_TRUE(trio.nodes[0]->campaign());
  trio.settle();
  trio.cut = NodeId{1};
  trio.nodes[1]->report_unreachable(NodeId{1});
  trio.nodes[2]->report_unreachable(NodeId{1});
  trio.tick(1, 1);
  trio.settle();
  EXPECT_EQ(trio.nodes[1]->status().role, RaftRole::kLeader);
}

TEST(RaftNode, WhoIsRemovedWhileItStandsForElectionDoesNotWinIt) {
  Trio trio;
  ASSERT_TRUE(trio.nodes[0]->campaign());
  trio.settle();
  MembersChange change;
  change.removed = {kMembers[2]};
  ASSERT_TRUE(trio.nodes[0]->propose_change(change));
  trio.settle();
  const std::string data = trio.logs[0].log.back().data;
  trio.cut = kMembers[0];
  trio.tick(1, 10);  // so that it would vote
  trio.tick(2, 10);
  ASSERT_NE(trio.nodes[2]->status().role, RaftRole::kFollower);
  ASSERT_TRUE(trio.nodes[2]->apply_change(data, ""));
  EXPECT_EQ(trio.nodes[2]->status().role, RaftRole::kFollower);
  trio.settle();
  EXPECT_NE(trio.nodes[2]->status().role, RaftRole::kLeader);
  EXPECT_FALSE(trio.nodes[2]->broken());
}

TEST(RaftNode, OneBrokenConnectionUnseatsNobody) {
  Trio trio;
  ASSERT_TRUE(trio.nodes[0]->campaign());
  trio.settle();
  trio.nodes[1]->report_unreachable(NodeId{1});
  trio.tick(1, 1);
  trio.settle();
  trio.tick(0, 2);
  trio.settle();
  EXPECT_EQ(trio.nodes[0]->status().role, RaftRole::kLeader);
  EXPECT_EQ(trio.nodes[0]->status().term, Term{1});
  EXPECT_EQ(trio.nodes[1]->status().leader, NodeId{1});
}

TEST(RaftNode, AFollowerThatMissedVeryMuchIsSentPiecesThatATransportTakes) {
  Trio trio;
  ASSERT_TRUE(trio.nodes[0]->campaign());
  trio.settle();
  trio.cut = kMembers[2];
  constexpr int kMissed = 3000;
  const std::string data(16 << 10, 'x');
  for (int i = 0; i < kMissed; ++i) {
    ASSERT_TRUE(trio.nodes[0]->propose(data));
    trio.settle();
  }
  trio.cut = NodeId{0};
  std::size_t largest = 0, sent = 0;
  trio.lost = [&](const RaftMessage& m) {
    if (m.to == kMembers[2]) largest = std::max(largest, m.bytes.size()), sent += m.bytes.size();
    return false;
  };
  trio.nodes[0]->report_unreachable(kMembers[2]);
  trio.tick(0, 2);
  trio.settle();
  EXPECT_EQ(trio.logs[2].log.size(), trio.logs[0].log.size());
  EXPECT_LE(largest, std::size_t{2} << 20);
  EXPECT_LE(sent, kMissed * data.size() * 5 / 4) << "and each entry about once";
}

TEST(RaftNode, WhoHasNothingIsSentTheStateWhenTheWholeLogIsLongAndTheLogWhenItIsShort) {
  for (const std::uint64_t most : {5u, 50u}) {
    Trio trio(most);
    ASSERT_TRUE(trio.nodes[0]->campaign());
    trio.settle();
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(trio.nodes[0]->propose("x"));
      trio.settle();
    }
    trio.lose_disk(2);
    trio.lost = [](const RaftMessage& m) { return m.from == kMembers[0] && m.to == kMembers[2]; };
    trio.nodes[0]->transfer_leader(kMembers[1]);
    trio.settle();
    ASSERT_EQ(trio.nodes[1]->status().role, RaftRole::kLeader);
    ASSERT_TRUE(trio.nodes[1]->propose("y"));
    trio.settle();
    trio.tick(1, 2);
    trio.settle();
    EXPECT_EQ(trio.logs[1].states_wanted > 0, most == 5);
    EXPECT_EQ(trio.logs[2].log.size() == trio.logs[1].log.size(), most == 50);
  }
}

TEST(RaftNode, WhoHasABeginningIsSentTheRestOfTheLogHoweverLong) {
  Trio trio(5);
  ASSERT_TRUE(trio.nodes[0]->campaign());
  trio.settle();
  trio.cut = kMembers[2];
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(trio.nodes[0]->propose("x"));
    trio.settle();
  }
  trio.cut = NodeId{0};
  trio.nodes[0]->report_unreachable(kMembers[2]);
  trio.tick(0, 2);
  trio.settle();
  EXPECT_EQ(trio.logs[0].states_wanted, 0);
  EXPECT_EQ(trio.logs[2].log.size(), trio.logs[0].log.size());
}

TEST(RaftNode, DamagedForgedAndImpossibleMessagesAreRefusedAndChangeNothing) {
  Trio trio;
  ASSERT_TRUE(trio.nodes[0]->campaign());
  while (trio.nodes[0]->has_ready()) trio.work(0);
  ASSERT_FALSE(trio.wire.empty());
  const std::string good = trio.wire.front().bytes;
  RaftNode& second = *trio.nodes[trio.wire.front().to.value - 1];
  RaftNode& third = *trio.nodes[trio.wire.front().to.value == 2 ? 2 : 1];
  EXPECT_FALSE(second.step(good, kMembers[2], true).has_value()) << "brought by somebody else than it says";
  EXPECT_FALSE(third.step(good, kMembers[0], true).has_value()) << "for another replica";
  EXPECT_FALSE(second.step(good, kMembers[0], false).has_value()) << "a vote is asked for, and the gate is closed";
  EXPECT_FALSE(second.step("", kMembers[0], true).has_value()) << "no term, no sender";
  std::size_t refused = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int v = 0; v < 256; ++v) {
      std::string bad = good;
      bad[i] = static_cast<char>(v);
      refused += second.step(bad, kMembers[0], true).has_value() ? 0 : 1;
    }
    EXPECT_FALSE(second.step(good.substr(0, i), kMembers[0], true).has_value() && i < 2);
  }
  EXPECT_GT(refused, 0u);
  EXPECT_NE(second.status().role, RaftRole::kLeader);
}

}  // namespace
}  // namespace evercert::store
