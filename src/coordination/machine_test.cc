// SPDX-License-Identifier: Apache-2.0
#include "coordination/machine.h"

#include <gtest/gtest.h>

#include "coordination/keyspace.h"
#include "coordination/request_check.h"
#include "testkit/map_state.h"

namespace evercert::coordination {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RangeRequest;

class MachineTest : public testing::Test {
 protected:
  v1::Answer done(const v1::Command& command) {
    effects = {};
    auto answer = apply(command, state, effects);
    EXPECT_TRUE(answer.has_value());
    EXPECT_EQ(answer->refusal(), v1::NONE) << v1::Refusal_Name(answer->refusal());
    return *answer;
  }
  void refused(const v1::Command& command, v1::Refusal why) {
    const auto before = state.data;
    effects = {};
    const auto answer = apply(command, state, effects);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->refusal(), why) << v1::Refusal_Name(answer->refusal());
    EXPECT_EQ(state.data, before);
    EXPECT_TRUE(effects.events.empty());
  }
  v1::Answer grant(std::int64_t id, std::int64_t ttl = 10) {
    v1::Command command;
    command.mutable_grant()->set_id(id);
    command.mutable_grant()->set_ttl(ttl);
    return done(command);
  }
  static v1::Command revoke(std::int64_t id) {
    v1::Command command;
    command.mutable_revoke()->set_id(id);
    return command;
  }
  static v1::Command renew(std::int64_t id) {
    v1::Command command;
    command.mutable_renew()->set_id(id);
    return command;
  }
  static v1::Command expire(std::int64_t id, std::uint64_t renewals) {
    v1::Command command;
    command.mutable_expire()->set_lease(id);
    command.mutable_expire()->set_renewals(renewals);
    return command;
  }
  // As a node sends it that has the answers to all below `done_below`.
  static v1::Command numbered(v1::Command command, std::uint64_t sequence, std::uint64_t done_below) {
    command.set_proposer(1);
    command.set_session(10);
    command.set_sequence(sequence);
    command.set_done_below(done_below);
    return command;
  }
  int kept(const std::string& from, const std::string& to) {
    int count = 0;
    EXPECT_TRUE(state.scan(from, to, [&](auto, auto) { return ++count, true; }));
    return count;
  }
  static RangeRequest all() {
    RangeRequest request;
    request.set_key(std::string(1, '\0'));
    request.set_range_end(std::string(1, '\0'));
    return request;
  }
  // "key=value key=value" as it is, or was.
  std::string seen(RangeRequest request = all()) {
    const auto found = read_range(state, request);
    EXPECT_TRUE(found.has_value());
    std::string text;
    for (const auto& kv : found->kvs()) text += (text.empty() ? "" : " ") + kv.key() + "=" + kv.value();
    return text;
  }
  std::string seen_at(std::int64_t revision) {
    auto request = all();
    request.set_revision(revision);
    return seen(request);
  }

  MapState state;
  Effects effects;
};

TEST_F(MachineTest, EachChangeHasTheNextRevisionAndAKeyKnowsItsOwn) {
  EXPECT_EQ(done(put_command("a", "1")).revision(), 2);
  EXPECT_EQ(done(put_command("a", "2")).revision(), 3);
  const auto kv = *find_key(state, "a").value();
  EXPECT_EQ(kv.create_revision(), 2);
  EXPECT_EQ(kv.mod_revision(), 3);
  EXPECT_EQ(kv.version(), 2);
  done(delete_command("a"));
  EXPECT_EQ(done(put_command("a", "3")).revision(), 5);
  const auto again = *find_key(state, "a").value();
  EXPECT_EQ(again.create_revision(), 5);
  EXPECT_EQ(again.version(), 1);
}

TEST_F(MachineTest, ADeletionOfNothingIsNoChange) {
  done(put_command("a", "1"));
  const auto answer = done(delete_command("b"));
  EXPECT_EQ(answer.revision(), 2);
  EXPECT_EQ(answer.delete_range().deleted(), 0);
}

TEST_F(MachineTest, ThePastIsReadAsItWas) {
  done(put_command("a", "1"));     // 2
  done(put_command("b", "1"));     // 3
  done(put_command("a", "2"));     // 4
  done(delete_command("b"));       // 5
  done(put_command("c", "1"));     // 6
  done(delete_command("a", "b"));  // 7
  EXPECT_EQ(seen_at(2), "a=1");
  EXPECT_EQ(seen_at(3), "a=1 b=1");
  EXPECT_EQ(seen_at(4), "a=2 b=1");
  EXPECT_EQ(seen_at(5), "a=2");
  EXPECT_EQ(seen_at(6), "a=2 c=1");
  EXPECT_EQ(seen(), "c=1");
}

TEST_F(MachineTest, CompactionKeepsTheRevisionItNamesAndEndsWhatWasBefore) {
  for (const char* value : {"1", "2", "3", "4"}) done(put_command("a", value));  // 2..5
  done(compact_command(4));
  EXPECT_EQ(seen_at(4), "a=3");
  EXPECT_EQ(seen_at(5), "a=4");
  const auto meta = *read_meta(state);
  EXPECT_EQ(check_revision(meta, 3), v1::COMPACTED);
  EXPECT_EQ(check_revision(meta, 4), v1::NONE);
  EXPECT_EQ(check_revision(meta, 6), v1::FUTURE_REVISION);
  refused(compact_command(4), v1::COMPACTED);
  refused(compact_command(6), v1::FUTURE_REVISION);
  std::vector<std::int64_t> left;
  ASSERT_TRUE(read_history(state, 0, [&](std::int64_t revision, auto) {
    left.push_back(revision);
    return true;
  }));
  EXPECT_EQ(left, (std::vector<std::int64_t>{4, 5}));
}

TEST_F(MachineTest, ARangeIsLimitedSortedAndFiltered) {
  for (const char* key : {"b", "d", "a", "c"}) done(put_command(key, std::string("of ") + key));  // 2..5
  auto request = all();
  request.set_limit(2);
  auto found = *read_range(state, request);
  EXPECT_EQ(found.count(), 4);
  EXPECT_TRUE(found.more());
  EXPECT_EQ(seen(request), "a=of a b=of b");
  request.set_sort_target(RangeRequest::CREATE);
  request.set_sort_order(RangeRequest::DESCEND);
  EXPECT_EQ(seen(request), "c=of c a=of a");
  request.set_max_create_revision(3);
  EXPECT_EQ(seen(request), "d=of d b=of b");
  request = all();
  request.set_count_only(true);
  found = *read_range(state, request);
  EXPECT_EQ(found.count(), 4);
  EXPECT_EQ(found.kvs_size(), 0);
}

TEST_F(MachineTest, ATransactionIsDoneAsAWholeOnTheStateBeforeIt) {
  done(put_command("a", "1"));
  v1::Command command;
  auto* txn = command.mutable_txn();
  auto* compare = txn->add_compare();
  compare->set_key("a");
  compare->set_target(Compare::VALUE);
  compare->set_value("1");
  for (const char* key : {"a", "b"}) {
    auto* put = txn->add_success()->mutable_request_put();
    put->set_key(key);
    put->set_value("2");
  }
  *txn->add_success()->mutable_request_range() = all();
  txn->add_failure()->mutable_request_range()->set_key("a");
  auto answer = done(command);
  EXPECT_TRUE(answer.txn().succeeded());
  EXPECT_EQ(answer.revision(), 3);
  EXPECT_EQ(answer.txn().responses(2).response_range().kvs_size(), 2);
  EXPECT_EQ(find_key(state, "a").value()->mod_revision(), 3);
  EXPECT_EQ(find_key(state, "b").value()->mod_revision(), 3);
  ASSERT_EQ(effects.events.size(), 2u);
  answer = done(command);
  EXPECT_FALSE(answer.txn().succeeded());
  EXPECT_EQ(answer.revision(), 3);
  EXPECT_EQ(answer.txn().responses(0).response_range().kvs(0).value(), "2");
}

TEST_F(MachineTest, AMissingKeyHasRevisionZeroAndNoValue) {
  const auto succeeds = [&](Compare compare) {
    v1::Command command;
    compare.set_key("missing");
    *command.mutable_txn()->add_compare() = compare;
    return done(command).txn().succeeded();
  };
  Compare created;
  created.set_target(Compare::CREATE);
  EXPECT_TRUE(succeeds(created));
  Compare value;
  value.set_target(Compare::VALUE);
  EXPECT_FALSE(succeeds(value));
}

TEST_F(MachineTest, ATransactionThatCannotBeDoneChangesNothing) {
  v1::Command command;
  auto* put = command.mutable_txn()->add_success()->mutable_request_put();
  put->set_key("a");
  auto* bad = command.mutable_txn()->add_success()->mutable_request_put();
  bad->set_key("b");
  bad->set_lease(77);
  refused(command, v1::LEASE_NOT_FOUND);
  bad->set_lease(0);
  bad->set_key("a");
  refused(command, v1::DUPLICATE_KEY);
  bad->set_key("b");
  command.mutable_txn()->add_success()->mutable_request_delete_range()->set_key("b");
  refused(command, v1::DUPLICATE_KEY);
}

TEST_F(MachineTest, BranchesOfANestedTransactionMayWriteTheSameKey) {
  v1::Command command;
  auto* nested = command.mutable_txn()->add_success()->mutable_request_txn();
  nested->add_success()->mutable_request_put()->set_key("a");
  nested->add_failure()->mutable_request_put()->set_key("a");
  done(command);
  command.mutable_txn()->add_success()->mutable_request_put()->set_key("a");
  refused(command, v1::DUPLICATE_KEY);
}

TEST_F(MachineTest, KeysGoWithTheirLeaseInOneRevision) {
  grant(7);
  done(put_command("a", "1", 7));
  done(put_command("b", "1", 7));
  done(put_command("c", "1", 7));
  done(put_command("c", "2"));  // no longer bound
  const auto answer = done(revoke(7));
  EXPECT_EQ(answer.revision(), 6);
  EXPECT_EQ(seen(), "c=2");
  ASSERT_EQ(effects.events.size(), 2u);
  EXPECT_EQ(effects.events[0]->kv().mod_revision(), effects.events[1]->kv().mod_revision());
  ASSERT_EQ(effects.leases.size(), 1u);
  EXPECT_TRUE(effects.leases[0].gone);
  refused(revoke(7), v1::LEASE_NOT_FOUND);
  refused(put_command("d", "1", 7), v1::LEASE_NOT_FOUND);
}

TEST_F(MachineTest, AnExpiryThatARenewalHasOvertakenDoesNothing) {
  grant(7);
  done(put_command("a", "1", 7));
  done(renew(7));
  done(expire(7, 0));
  EXPECT_EQ(seen(), "a=1");
  done(expire(7, 1));
  EXPECT_EQ(seen(), "");
}

TEST_F(MachineTest, ARepeatedCommandIsAppliedOnceAndAnsweredTheSame) {
  auto command = put_command("a", "1");
  command.set_proposer(1);
  command.set_session(10);
  command.set_sequence(1);
  command.set_done_below(1);
  const auto first = done(command);
  const auto after = state.data;
  const auto second = done(command);
  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
  EXPECT_EQ(state.data, after);
  EXPECT_TRUE(effects.events.empty());
  auto next = put_command("a", "2");
  next.set_proposer(1);
  next.set_session(10);
  next.set_sequence(2);
  next.set_done_below(2);  // the answer to 1 is there
  done(next);
  refused(command, v1::ANSWERED_BEFORE);
}

TEST_F(MachineTest, ALaterLifeOfANodeShutsOutWhatAnEarlierOneLeftOnTheWay) {
  auto late = put_command("a", "late");
  late.set_proposer(1);
  late.set_session(10);
  late.set_sequence(5);
  auto command = put_command("a", "new");
  command.set_proposer(1);
  command.set_session(11);
  command.set_sequence(1);
  done(command);
  refused(late, v1::EARLIER_LIFE);
  EXPECT_EQ(seen(), "a=new");
}

TEST_F(MachineTest, AnswersThatNobodyWillAskForAreNotKept) {
  for (std::uint64_t i = 1; i <= 100; ++i) done(numbered(put_command("a", std::to_string(i)), i, i));
  EXPECT_EQ(kept("p", "q"), 1);
  EXPECT_EQ(kept("o", "p"), 0);
}

TEST_F(MachineTest, LongAnswersAreGivenAgainAndForgottenLikeOthers) {
  const auto long_put = [&](std::uint64_t i, std::uint64_t done_below) {
    auto command = numbered(put_command("a", std::string(1000, static_cast<char>('a' + i % 26))), i, done_below);
    command.mutable_put()->set_prev_kv(true);
    return command;
  };
  std::vector<v1::Answer> first;
  for (std::uint64_t i = 1; i <= 40; ++i) first.push_back(done(long_put(i, 1)));
  EXPECT_EQ(kept("o", "p"), 39);  // the first has nothing before it
  const auto before = state.data;
  for (std::uint64_t i = 1; i <= 40; ++i)
    EXPECT_EQ(done(long_put(i, 1)).SerializeAsString(), first[i - 1].SerializeAsString()) << i;
  EXPECT_EQ(state.data, before);
  done(numbered(put_command("a", "short"), 41, 30));
  EXPECT_EQ(kept("o", "p"), 11);  // 30 to 40
  refused(long_put(29, 1), v1::ANSWERED_BEFORE);
  EXPECT_EQ(done(long_put(30, 1)).SerializeAsString(), first[29].SerializeAsString());
  done(numbered(put_command("a", "short"), 42, 42));
  EXPECT_EQ(kept("o", "p"), 0);
  EXPECT_EQ(kept("p", "q"), 1);
}

TEST_F(MachineTest, AnswersOfManyCommandsUnderWayAreGivenAgainInAnyOrder) {
  std::map<std::uint64_t, v1::Answer> first;
  for (std::uint64_t i = 1; i <= 200; ++i) {
    const std::uint64_t sequence = i * 77 % 200 + 1;  // each once
    first[sequence] = done(numbered(put_command("k" + std::to_string(sequence), "1"), sequence, 1));
  }
  const auto before = state.data;
  for (const auto& [sequence, answer] : first) {
    const auto again = done(numbered(put_command("k" + std::to_string(sequence), "1"), sequence, 1));
    EXPECT_EQ(again.SerializeAsString(), answer.SerializeAsString()) << sequence;
  }
  EXPECT_EQ(state.data, before);
  // The one at the end knows that all others are answered: a gap, after long waiting.
  done(numbered(put_command("last", "1"), 5000, 5000));
  EXPECT_EQ(kept("p", "q"), 1);
}

TEST_F(MachineTest, ALaterLifeBeginsWithoutTheAnswersOfTheEarlier) {
  auto command = put_command("a", std::string(1000, 'x'));
  command.mutable_put()->set_prev_kv(true);
  for (std::uint64_t i = 1; i <= 3; ++i) done(numbered(command, i, 1));
  auto next = numbered(put_command("b", "1"), 1, 1);
  next.set_session(11);
  done(next);
  EXPECT_EQ(kept("o", "p"), 0);
  EXPECT_EQ(kept("p", "q"), 1);
  EXPECT_NE(seen().find("b=1"), std::string::npos);
}

TEST_F(MachineTest, ReservedKeysAreOutOfReach) {
  state.put(key_key("evercert.internal/x"), mvccpb::KeyValue{}.SerializeAsString());
  refused(put_command("evercert.internal/x", "1"), v1::RESERVED_KEY);
  refused(delete_command("evercert.internal/x"), v1::RESERVED_KEY);
  EXPECT_EQ(done(delete_command("a", "z")).delete_range().deleted(), 0);
  EXPECT_EQ(seen(), "");
  RangeRequest request;
  request.set_key("evercert.internal/x");
  EXPECT_EQ(check(request), v1::RESERVED_KEY);
}

TEST_F(MachineTest, WhatAPutLeavesOutMustBeThere) {
  auto command = put_command("a", "");
  command.mutable_put()->set_ignore_value(true);
  refused(command, v1::KEY_NOT_FOUND);
  done(put_command("a", "1"));
  done(command);
  EXPECT_EQ(seen(), "a=1");
  command.mutable_put()->set_value("x");
  refused(command, v1::VALUE_PROVIDED);
}

}  // namespace
}  // namespace evercert::coordination
