// SPDX-License-Identifier: Apache-2.0
// What the queue promises, before any disk or thread is in play.
#include "degraded/queue.h"

#include <gtest/gtest.h>

namespace evercert::degraded {
namespace {

class QueueTest : public testing::Test {
 protected:
  Moment now{WallTime{1'000'000'000}, Instant{1'000'000}};
  QueueLimits limits;
  std::map<std::string, std::string> disk;
  Queue queue = Queue::restore(limits, {}).value();

  static v1::Operation make(const std::string& id, v1::Kind kind, const std::string& key = "") {
    v1::Operation operation;
    operation.set_id(id);
    operation.set_kind(kind);
    operation.set_caller("alice");
    operation.set_key(key);
    operation.set_digest("digest of " + (key.empty() ? id : key));
    operation.set_repeat("repeat " + id);
    operation.set_deadline_ms(1'000'000'000 + 60'000);
    if (kind == v1::REVOCATION) {
      operation.set_serial("serial of " + id);
    } else {
      operation.set_csr_pem("csr of " + id);
    }
    return operation;
  }
  Result<Queue::Accepted> offer(const std::string& id, v1::Kind kind, const std::string& key = "") {
    return queue.offer(make(id, kind, key), "two regions are gone", now);
  }
  void pass(Duration time) {
    now.wall.ms += time.count() / 1000;
    now.mono = now.mono + time;
  }
  void write() {
    for (const auto& change : queue.take_changes()) {
      if (change.value) {
        disk[change.key] = *change.value;
      } else {
        disk.erase(change.key);
      }
    }
  }
  void restart() {
    write();
    queue = Queue::restore(limits, disk).value();
  }
  std::vector<std::string> begin() {
    std::vector<std::string> ids;
    for (const auto& operation : queue.begin(now)) ids.push_back(operation.id());
    return ids;
  }
  v1::State state(const std::string& id) { return queue.find(id)->state(); }
};
using Ids = std::vector<std::string>;

TEST_F(QueueTest, RevocationsGoFirstThenRenewalsThenNewIssuances) {
  ASSERT_TRUE(offer("i1", v1::ISSUANCE));
  ASSERT_TRUE(offer("n1", v1::RENEWAL));
  ASSERT_TRUE(offer("r1", v1::REVOCATION));
  ASSERT_TRUE(offer("i2", v1::ISSUANCE));
  ASSERT_TRUE(offer("r2", v1::REVOCATION));
  EXPECT_EQ(begin(), (Ids{"r1", "r2"}));
  EXPECT_EQ(begin(), Ids{}) << "nothing else begins while they are under way";
  queue.attempted("r1", std::string("serial"), now);
  EXPECT_EQ(begin(), Ids{});
  ASSERT_TRUE(offer("r3", v1::REVOCATION));
  EXPECT_EQ(begin(), Ids{"r3"}) << "one that comes meanwhile goes before what has waited longer";
  queue.attempted("r2", std::string("serial"), now);
  queue.attempted("r3", std::string("serial"), now);
  EXPECT_EQ(begin(), Ids{"n1"});
  queue.attempted("n1", std::string("serial"), now);
  EXPECT_EQ(begin(), (Ids{"i1", "i2"}));
}

TEST_F(QueueTest, WhatCannotBeDoneNowDoesNotHoldUpTheRest) {
  ASSERT_TRUE(offer("r1", v1::REVOCATION));
  ASSERT_TRUE(offer("i1", v1::ISSUANCE));
  EXPECT_EQ(begin(), Ids{"r1"});
  queue.attempted("r1", fail(Code::kUnavailable, "its group has no leader"), now);
  EXPECT_EQ(begin(), Ids{"i1"}) << "the revocation pauses";
  pass(limits.first_pause);
  EXPECT_EQ(begin(), Ids{"r1"}) << "and is tried again";
}

TEST_F(QueueTest, NoMoreThanSoManyAreUnderWay) {
  limits.in_flight = 3;
  queue = Queue::restore(limits, {}).value();
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(offer("r" + std::to_string(i), v1::REVOCATION));
  EXPECT_EQ(begin(), (Ids{"r0", "r1", "r2"}));
  queue.attempted("r1", std::string("serial"), now);
  EXPECT_EQ(begin(), Ids{"r3"});
}

TEST_F(QueueTest, OneKeyIsOneOperation) {
  ASSERT_TRUE(offer("a", v1::REVOCATION, "key"));
  const auto again = offer("b", v1::REVOCATION, "key");
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->repeated);
  EXPECT_EQ(again->operation.id(), "a");
  v1::Operation other = make("c", v1::REVOCATION, "key");
  other.set_digest("another request");
  const auto refused = queue.offer(other, "", now);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kConflict);
  other.set_caller("bob");
  EXPECT_FALSE(queue.offer(other, "", now)->repeated) << "keys are each caller's own";
  restart();
  EXPECT_TRUE(offer("d", v1::REVOCATION, "key")->repeated) << "also after a restart";
  begin();
  queue.attempted("a", std::string("serial"), now);
  const auto ended = offer("e", v1::REVOCATION, "key");
  EXPECT_TRUE(ended->repeated && ended->operation.state() == v1::DONE) << "what is done is not queued again";
}

TEST_F(QueueTest, WhatWasGivenUpCanBeAskedForAgain) {
  ASSERT_TRUE(offer("a", v1::REVOCATION, "key"));
  ASSERT_TRUE(queue.drop("a", "bob", now));
  const auto again = offer("b", v1::REVOCATION, "key");
  EXPECT_FALSE(again->repeated);
  restart();
  EXPECT_EQ(state("b"), v1::QUEUED);
}

TEST_F(QueueTest, EachOutcomeIsToldAsWhatItIs) {
  for (const char* id : {"done", "refused", "conflict", "unknown", "nothing"}) ASSERT_TRUE(offer(id, v1::REVOCATION));
  begin();
  EXPECT_TRUE(queue.find("done")->doubtful()) << "from the beginning of the attempt";
  queue.attempted("done", std::string("serial"), now);
  queue.attempted("refused", fail(Code::kNotFound, "no such certificate"), now);
  queue.attempted("conflict", fail(Code::kConflict, "already revoked"), now);
  queue.attempted("unknown", fail(Code::kUnknownOutcome, "no answer"), now);
  queue.attempted("nothing", fail(Code::kUnavailable, "no leader"), now);
  EXPECT_EQ(state("done"), v1::DONE);
  EXPECT_EQ(state("refused"), v1::REFUSED);
  EXPECT_EQ(queue.find("refused")->detail(), "no such certificate");
  EXPECT_EQ(state("conflict"), v1::REFUSED);
  EXPECT_EQ(state("unknown"), v1::QUEUED);
  EXPECT_TRUE(queue.find("unknown")->doubtful());
  EXPECT_EQ(state("nothing"), v1::QUEUED);
  EXPECT_FALSE(queue.find("nothing")->doubtful()) << "it surely did nothing";
  pass(limits.first_pause);
  EXPECT_EQ(begin(), (Ids{"unknown", "nothing"}));
  queue.attempted("unknown", fail(Code::kUnavailable, "no leader"), now);
  EXPECT_TRUE(queue.find("unknown")->doubtful()) << "that the second attempt did nothing says nothing of the first";
}

TEST_F(QueueTest, PausesGrow) {
  ASSERT_TRUE(offer("a", v1::REVOCATION));
  Duration pause = limits.first_pause;
  for (int attempt = 0; attempt < 8; ++attempt) {
    ASSERT_EQ(begin(), Ids{"a"});
    queue.attempted("a", fail(Code::kUnavailable, ""), now);
    pass(pause - 1ms);
    EXPECT_EQ(begin(), Ids{}) << attempt;
    pass(1ms);
    pause = std::min(2 * pause, limits.longest_pause);
  }
}

TEST_F(QueueTest, WhatWaitsTooLongIsToldSoAndWhetherItMayHaveHappened) {
  ASSERT_TRUE(offer("a", v1::REVOCATION));
  ASSERT_TRUE(offer("b", v1::ISSUANCE));
  ASSERT_EQ(begin(), Ids{"a"});
  pass(61s);
  queue.expire(now);
  EXPECT_EQ(state("a"), v1::QUEUED) << "not while it is under way";
  EXPECT_EQ(state("b"), v1::EXPIRED);
  EXPECT_FALSE(queue.find("b")->doubtful());
  EXPECT_TRUE(queue.find("b")->csr_pem().empty()) << "no room for what nobody will use";
  queue.attempted("a", fail(Code::kUnknownOutcome, "no answer"), now);
  queue.expire(now);
  EXPECT_EQ(state("a"), v1::EXPIRED);
  EXPECT_TRUE(queue.find("a")->doubtful());
  EXPECT_NE(queue.find("a")->detail().find("outcome is not known"), std::string::npos);
  EXPECT_EQ(begin(), Ids{});
}

TEST_F(QueueTest, AFullQueueSaysSoAndKeepsRoomForRevocations) {
  limits.most = 8;
  queue = Queue::restore(limits, {}).value();
  int issuances = 0;
  while (offer("i" + std::to_string(issuances), v1::ISSUANCE)) ++issuances;
  EXPECT_EQ(issuances, 6);
  const auto refused = offer("more", v1::RENEWAL);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_NE(refused.error().message.find("full"), std::string::npos);
  EXPECT_TRUE(offer("r1", v1::REVOCATION) && offer("r2", v1::REVOCATION));
  EXPECT_FALSE(offer("r3", v1::REVOCATION));
  EXPECT_EQ(queue.summary().waiting, 8u);
  queue.drop("i0", "bob", now).value();
  EXPECT_TRUE(offer("r3", v1::REVOCATION));
}

TEST_F(QueueTest, BytesAreBoundedToo) {
  limits.bytes = 4'000;
  queue = Queue::restore(limits, {}).value();
  v1::Operation big = make("big", v1::ISSUANCE);
  big.set_csr_pem(std::string(2'500, 'x'));
  ASSERT_TRUE(queue.offer(big, "", now));
  big.set_id("big2");
  EXPECT_EQ(queue.offer(big, "", now).error().code, Code::kUnavailable);
  EXPECT_TRUE(offer("r", v1::REVOCATION));
  restart();
  EXPECT_EQ(queue.offer(big, "", now).error().code, Code::kUnavailable) << "after a restart as well";
  queue.drop("big", "bob", now).value();
  EXPECT_TRUE(queue.offer(big, "", now));
}

TEST_F(QueueTest, ARestartForgetsNothingAndRepeatsWhatWasUnderWay) {
  ASSERT_TRUE(offer("r1", v1::REVOCATION));
  ASSERT_TRUE(offer("i1", v1::ISSUANCE));
  ASSERT_TRUE(offer("r2", v1::REVOCATION));
  ASSERT_EQ(begin(), (Ids{"r1", "r2"}));
  queue.attempted("r2", std::string("serial of r2"), now);
  restart();
  EXPECT_EQ(state("r2"), v1::DONE);
  EXPECT_EQ(queue.find("r2")->serial(), "serial of r2");
  EXPECT_TRUE(queue.find("r1")->doubtful());
  const auto again = queue.begin(now);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].repeat(), "repeat r1") << "the CA can tell that it is a repetition";
  ASSERT_TRUE(offer("r3", v1::REVOCATION));
  EXPECT_GT(queue.find("r3")->sequence(), queue.find("i1")->sequence());
}

TEST_F(QueueTest, AReconciliationSaysWhatWasDone) {
  ASSERT_TRUE(offer("r1", v1::REVOCATION));
  pass(10s);
  ASSERT_TRUE(offer("r2", v1::REVOCATION));
  ASSERT_TRUE(offer("i1", v1::ISSUANCE));
  ASSERT_TRUE(offer("i2", v1::ISSUANCE));
  EXPECT_TRUE(queue.take_reports().empty());
  pass(20s);
  begin();
  queue.attempted("r1", std::string("serial"), now);
  restart();
  begin();
  queue.attempted("r2", fail(Code::kConflict, "already revoked"), now);
  begin();
  queue.attempted("i1", std::string("serial"), now);
  queue.attempted("i2", fail(Code::kUnavailable, ""), now);
  EXPECT_TRUE(queue.take_reports().empty()) << "something is left";
  pass(60s);
  queue.expire(now);
  const auto reports = queue.take_reports();
  ASSERT_EQ(reports.size(), 1u);
  const auto& report = reports[0];
  EXPECT_EQ(report.why(), "two regions are gone");
  EXPECT_EQ(report.began_at_ms() - report.first_queued_at_ms(), 30'000);
  EXPECT_EQ(report.ended_at_ms() - report.first_queued_at_ms(), 90'000);
  EXPECT_EQ(report.longest_wait_ms(), 80'000);
  EXPECT_EQ(describe(report), "revocation: 2 queued, 1 done, 1 refused; issuance: 2 queued, 1 done, 1 expired");
  ASSERT_TRUE(offer("r3", v1::REVOCATION));
  restart();
  ASSERT_EQ(queue.reports().size(), 2u) << "the next trouble is another reconciliation";
  EXPECT_EQ(queue.reports()[0].number(), 2u);
}

TEST_F(QueueTest, OnlyWhatIsNotUnderWayCanBeDropped) {
  ASSERT_TRUE(offer("a", v1::REVOCATION));
  ASSERT_TRUE(offer("b", v1::ISSUANCE));
  begin();
  EXPECT_EQ(queue.drop("a", "bob", now).error().code, Code::kConflict);
  EXPECT_EQ(queue.drop("c", "bob", now).error().code, Code::kNotFound);
  EXPECT_EQ(queue.drop("b", "bob", now)->detail(), "dropped by bob");
  EXPECT_EQ(queue.drop("b", "bob", now).error().code, Code::kConflict);
}

TEST_F(QueueTest, ResultsAreForgottenInTheEnd) {
  limits.most_ended = 2;
  queue = Queue::restore(limits, {}).value();
  for (const char* id : {"a", "b", "c"}) {
    ASSERT_TRUE(offer(id, v1::REVOCATION, id));
    begin();
    queue.attempted(id, std::string("serial"), now);
    pass(1s);
  }
  queue.expire(now);
  EXPECT_FALSE(queue.find("a"));
  EXPECT_TRUE(queue.find("b") && queue.find("c"));
  pass(limits.keep_ended);
  queue.expire(now);
  EXPECT_FALSE(queue.find("c"));
  write();
  for (const auto& [key, value] : disk) EXPECT_TRUE(key.starts_with("reconciliation/")) << key;
  restart();
  EXPECT_FALSE(offer("d", v1::REVOCATION, "a")->repeated);
}

TEST_F(QueueTest, RecordsWithoutSenseAreDamage) {
  v1::Operation operation = make("a", v1::REVOCATION);
  for (const auto& [key, value] : std::map<std::string, std::string>{{"operation/a", "\xff"},
                                                                     {"operation/b", operation.SerializeAsString()},
                                                                     {"reconciliation/x", ""},
                                                                     {"something", ""}}) {
    const auto restored = Queue::restore(limits, {{key, value}});
    ASSERT_FALSE(restored) << key;
    EXPECT_EQ(restored.error().code, Code::kCorrupt);
  }
}

}  // namespace
}  // namespace evercert::degraded
