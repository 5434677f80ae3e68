// SPDX-License-Identifier: Apache-2.0
// Golden transcripts of one group on three replicas, one in each region (or as a file's first command, `replicas`, has
// it: how many in each region): what is said, written, applied and answered.
// Each file in testdata/ is a run of blocks: commands, a line of four dashes, what happens, an empty line. A change of
// the core, the bridge or the group that changes any of it shows here. EVERCERT_REWRITE=1 writes what happens now into
// the files: read the difference before it is committed.
//
//   replicas COUNT... | campaign N | propose N TEXT | garble N | wait MS | tick N TIMES | cut N | heal | restart N |
//   gate N TERM INDEX | open N | status step N    N works off what it has; what it says is on its way arrive    it does
//   run       everybody works and everything arrives, until all is quiet
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <set>
#include <sstream>

#include "base/fake_disk.h"
#include "base/log.h"
#include "store/group.h"

namespace evercert::store {
namespace {

constexpr GroupId kGroup{1};

class NoChance : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override { std::fill(out.begin(), out.end(), 0); }
};

std::string name_of(MessageType type) {
  switch (type) {
    case MessageType::kAppend: return "append";
    case MessageType::kAppendResponse: return "appended";
    case MessageType::kRequestVote: return "vote?";
    case MessageType::kRequestVoteResponse: return "vote";
    case MessageType::kHeartbeat: return "heartbeat";
    case MessageType::kHeartbeatResponse: return "heard";
    case MessageType::kRequestPreVote: return "pre-vote?";
    case MessageType::kRequestPreVoteResponse: return "pre-vote";
    case MessageType::kTimeoutNow: return "stand now";
    case MessageType::kTransferLeader: return "transfer";
    case MessageType::kSnapshot: return "snapshot";
    case MessageType::kReadIndex: return "read?";
    case MessageType::kReadIndexResponse: return "read";
  }
  return "?";
}

class Transcript {
 public:
  Transcript() { begin({1, 1, 1}); }

  std::string play(const std::string& line) {
    out_.str("");
    std::istringstream words(line);
    std::string verb;
    std::uint64_t n = 0, a = 0, b = 0;
    words >> verb;
    if (verb == "run") {
      run();
    } else if (verb == "arrive") {
      arrive_all();
    } else if (verb == "replicas") {
      std::vector<std::uint8_t> counts;
      while (words >> n) counts.push_back(static_cast<std::uint8_t>(n));
      begin(counts);
    } else if (verb == "heal") {
      cut_.clear();
    } else if (verb == "status") {
      for (n = 1; n <= members_.size(); ++n) status(n);
    } else if (verb == "wait") {
      words >> a;
      now_ = now_ + Duration{static_cast<std::int64_t>(a) * 1000};
      for (n = 1; n <= members_.size(); ++n) repeat_acknowledgement(n);
    } else if (words >> n && n >= 1 && n <= members_.size()) {
      command(verb, n, words, a, b);
    } else {
      ADD_FAILURE() << "not a command: " << line;
    }
    return out_.str();
  }

 private:
  struct Member {
    FakeDisk disk;
    std::unique_ptr<Log> log;
    std::unique_ptr<TailIndex> tail;
    std::unique_ptr<Group> group;
    LogIndex applied;
    std::vector<LogEntry> committed;  // waits to be applied
  };
  struct Message {
    RaftMessage raft;
    RegionSet promised;
  };

  void begin(const std::vector<std::uint8_t>& counts) {
    layout_ = {};
    layout_.regions = static_cast<std::uint8_t>(counts.size());
    for (std::uint8_t r = 1; r <= layout_.regions; ++r) {
      for (std::uint8_t z = 1; z <= counts[r - 1u]; ++z) layout_.nodes.push_back(node_id(RegionId{r}, z));
    }
    members_.clear();
    for (std::size_t n = 1; n <= layout_.nodes.size(); ++n) {
      members_.push_back(std::make_unique<Member>());
      start(n);
    }
  }

  void command(const std::string& verb, std::uint64_t n, std::istringstream& words, std::uint64_t a, std::uint64_t b) {
    Group& group = *member(n).group;
    if (verb == "campaign") {
      group.campaign_now();
    } else if (verb == "step") {
      work(n);
    } else if (verb == "cut") {
      cut_.insert(n);
    } else if (verb == "restart") {
      start(n);
    } else if (verb == "tick") {
      for (words >> a; a > 0; --a) group.tick(now_);
    } else if (verb == "open") {
      out_ << n << (group.try_open_gate(now_) ? " opens" : " stays closed") << "\n";
    } else if (verb == "gate") {
      words >> a >> b;
      group.close_gate({Term{a}, LogIndex{b}});
    } else if (verb == "garble") {
      // A message that can be written and not be read.
      v1::Command proposed;
      proposed.mutable_claim_request_key()->set_request_key("?\xff");
      group.propose(proposed.SerializeAsString(), WallTime{1}, [this, n](Result<v1::Outcome> result) {
        out_ << n << " answers: " << (result ? "done" : result.error().message) << "\n";
      });
    } else if (verb == "propose") {
      std::string text;
      words >> text;
      v1::Command proposed;
      proposed.mutable_void_serial()->set_serial(text);
      group.propose(proposed.SerializeAsString(), WallTime{1}, [this, n, text](Result<v1::Outcome> result) {
        out_ << n << " answers " << text << ": " << (result ? "done" : result.error().message) << "\n";
      });
    } else {
      ADD_FAILURE() << "not a command: " << verb;
    }
  }

  Member& member(std::uint64_t n) { return *members_[n - 1]; }
  // 1 is the first; 0: nobody.
  std::uint64_t number(NodeId node) const {
    const auto found = std::find(layout_.nodes.begin(), layout_.nodes.end(), node);
    return found == layout_.nodes.end() ? 0 : static_cast<std::uint64_t>(found - layout_.nodes.begin()) + 1;
  }

  void start(std::uint64_t n) {
    Member& m = member(n);
    m.group.reset();
    m.log.reset();
    m.committed.clear();
    m.log = Log::open(m.disk, "/log", {}).value();
    m.tail = std::make_unique<TailIndex>();
    GroupOptions options;
    options.id = kGroup;
    options.self = layout_.nodes[n - 1];
    options.election_ticks = 10;
    options.heartbeat_ticks = 1;
    m.group = Group::open(options, configuration_of(layout_), *m.log, *m.tail, random_, m.applied, now_).value();
  }

  void run() {
    for (bool any = true; any;) {
      any = false;
      for (std::uint64_t n = 1; n <= members_.size(); ++n) any = work(n) || any;
      any = arrive_all() || any;
    }
  }

  bool arrive_all() {
    const auto on_the_way = std::exchange(wire_, {});
    for (const Message& message : on_the_way) arrive(message);
    return !on_the_way.empty();
  }

  void arrive(const Message& message) {
    const RaftMessage& raft = message.raft;
    const std::uint64_t from = number(raft.from), to = number(raft.to);
    if (cut_.contains(from) || cut_.contains(to)) return;
    const auto stepped = member(to).group->step(raft.from, raft.bytes);
    if (!stepped) {
      out_ << to << " refuses " << name_of(raft.type) << " of " << from << ": " << stepped.error().message << "\n";
    } else if (stepped->type == MessageType::kAppendResponse && !stepped->reject) {
      member(to).group->acknowledged(raft.from, stepped->term, stepped->index, message.promised);
    }
  }

  bool work(std::uint64_t n) {
    Member& m = member(n);
    bool any = false;
    while (m.group->has_ready() || m.group->tell_commit()) {
      any = true;
      turn(n, m);
      apply(n, m);
    }
    any = apply(n, m) || any;
    m.group->settle();
    return any;
  }

  void turn(std::uint64_t n, Member& m) {
    Ready ready = m.group->raft().ready();
    send(m, std::move(ready.messages));
    if (ready.hard_state) {
      const HardState before = m.log->hard_state(kGroup);
      if (before.term != ready.hard_state->term || before.vote != ready.hard_state->vote) {
        out_ << n << " writes term " << ready.hard_state->term.value << ", vote for " << number(ready.hard_state->vote)
             << "\n";
      }
      m.log->set_hard_state(kGroup, *ready.hard_state);
    }
    if (!ready.entries.empty()) {
      for (const LogEntry& entry : ready.entries) {
        out_ << n << " writes " << entry.term.value << "/" << entry.index.value << " " << text_of(entry) << "\n";
      }
      m.group->appended(ready.entries, now_);
      m.log->append(kGroup, std::move(ready.entries));
    }
    ASSERT_TRUE(m.log->sync());
    m.group->synced(WallTime{1}, now_);
    send(m, std::move(ready.persisted_messages));
    LightReady light = m.group->raft().advance_append();
    send(m, std::move(light.messages));
    std::move(light.committed.begin(), light.committed.end(), std::back_inserter(ready.committed));
    m.group->committed(ready.committed);
    std::move(ready.committed.begin(), ready.committed.end(), std::back_inserter(m.committed));
  }

  bool apply(std::uint64_t n, Member& m) {
    m.group->settle_more(now_);
    bool any = false;
    while (!m.committed.empty() && m.group->may_apply(m.committed.front())) {
      const LogEntry entry = std::move(m.committed.front());
      m.committed.erase(m.committed.begin());
      any = true;
      const auto command = m.group->take_parsed(entry);
      std::optional<v1::Outcome> outcome;
      if (!entry.data.empty()) {
        out_ << n << " applies " << text_of(entry) << "\n";
        outcome.emplace();
      }
      m.applied = entry.index;
      m.group->applied(entry.index, entry.term, std::move(outcome));
    }
    return any;
  }

  static std::string text_of(const LogEntry& entry) {
    v1::Command command;
    return entry.data.empty()                    ? "(a term begins)"
           : command.ParseFromString(entry.data) ? command.void_serial().serial()
                                                 : "?";
  }

  void send(Member& m, std::vector<RaftMessage> messages) {
    for (RaftMessage& raft : messages) {
      RegionSet promised = 0;
      out_ << number(raft.from) << ">" << number(raft.to) << " " << name_of(raft.type) << " term " << raft.term.value;
      if (raft.type == MessageType::kAppend) out_ << " after " << raft.index.value;
      if (raft.type == MessageType::kAppendResponse) out_ << " to " << raft.index.value;
      if (raft.reject) out_ << " no";
      if (raft.type == MessageType::kAppendResponse && !raft.reject) {
        promised = m.group->promised(now_);
        m.group->sent_acknowledgement(raft.term, raft.index);
        out_ << regions(promised);
      }
      out_ << "\n";
      wire_.push_back({std::move(raft), promised});
    }
  }

  // As the engine does all the time: with the promises of now.
  void repeat_acknowledgement(std::uint64_t n) {
    Group& group = *member(n).group;
    const auto last = group.repeatable_acknowledgement();
    if (group.leads() || group.leader() == NodeId{0} || cut_.contains(n) || cut_.contains(number(group.leader())))
      return;
    const RegionSet promised = group.promised(now_);
    out_ << n << ">" << number(group.leader()) << " appended again, term " << last.term.value << " to "
         << last.index.value << regions(promised) << "\n";
    Group& leader = *member(number(group.leader())).group;
    leader.acknowledged(layout_.nodes[n - 1], last.term, last.index, promised);
    leader.remembers(layout_.nodes[n - 1], last.term);
  }

  static std::string regions(RegionSet set) {
    std::string text = ", promises";
    for (int r = 1; r <= 3; ++r) {
      if (set >> r & 1) text += " " + std::to_string(r);
    }
    return text;
  }

  void status(std::uint64_t n) {
    const Group& group = *member(n).group;
    const RaftStatus s = group.status();
    const char* roles[] = {"follower", "candidate", "leader", "pre-candidate"};
    out_ << n << " " << roles[static_cast<int>(s.role)] << " term " << s.term.value << " leader " << number(s.leader)
         << " last " << s.last.value << " committed " << s.commit.value << " applied " << group.applied_index().value
         << (group.gate_open() ? "" : " gate closed") << "\n";
  }

  Layout layout_;
  NoChance random_;
  Instant now_{1'000'000};
  std::vector<std::unique_ptr<Member>> members_;
  std::deque<Message> wire_;
  std::set<std::uint64_t> cut_;
  std::ostringstream out_;
};

class GroupTranscript : public testing::TestWithParam<const char*> {};

TEST_P(GroupTranscript, IsAsWritten) {
  set_log_level(LogLevel::kOff);
  const std::string path = std::string(EVERCERT_TESTDATA) + "/" + GetParam() + ".txt";
  std::ifstream in(path);
  ASSERT_TRUE(in.good()) << path;
  Transcript transcript;
  std::string line, commands, happened, expected, whole;
  bool expecting = false;
  const auto finish = [&] {
    if (expecting) {
      EXPECT_EQ(happened, expected) << "after:\n" << commands;
      whole += "----\n" + happened + "\n";
    }
    commands = happened = expected = "";
    expecting = false;
  };
  while (std::getline(in, line)) {
    if (line == "----") {
      expecting = true;
    } else if (line.empty()) {
      if (!expecting) whole += "\n";
      finish();
    } else if (expecting) {
      expected += line + "\n";
    } else {
      whole += line + "\n";
      if (line[0] == '#') continue;
      commands += line + "\n";
      happened += transcript.play(line);
    }
  }
  finish();
  if (std::getenv("EVERCERT_REWRITE") != nullptr) std::ofstream(path) << whole;
}

INSTANTIATE_TEST_SUITE_P(Each, GroupTranscript,
                         testing::Values("election_and_proposals", "unreadable_command", "silent_region",
                                         "leadership_lost", "former_leader", "old_acknowledgements", "closed_gate",
                                         "restart"),
                         [](const auto& p) { return std::string(p.param); });

}  // namespace
}  // namespace evercert::store
