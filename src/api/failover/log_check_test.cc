// SPDX-License-Identifier: Apache-2.0
// What somebody could do to the log who may write the key space and has no node's key, and that it is found.
#include <gtest/gtest.h>

#include "api/failover/signed_log_test.h"

namespace evercert::api {
namespace {

class LogCheckTest : public testing::Test {
 protected:
  LogCheckTest() {
    log.write(one, "one/1", "a");
    log.write(one, "one/1", "b");
    log.write(two, "two/1", "c");
    log.write(one, "one/1", "d");
    signers = {{one.fingerprint, one.pem}, {two.fingerprint, two.pem}};
  }
  // Empty: nothing is wrong.
  std::string trouble(const std::vector<recovery::LogEntry>& entries) {
    const Status whole = check_log(entries, anchor, signers, test_trust(ca));
    return whole ? "" : whole.error().message;
  }
  // The chain is sound again, as whoever changes an entry would leave it.
  void reseal() {
    std::string before;
    for (auto& entry : log.entries) {
      recovery::seal(entry, before);
      before = entry.hash;
    }
  }
  void anchor_at(std::size_t removed, const TestNode& node, const std::string& by) {
    anchor = recovery::LogAnchor{log.entries[removed - 1], by, testkit::kTestNow * 1000, {}};
    anchor->signature = node.sign(recovery::signed_text(*anchor));
  }

  testkit::TestCa ca{1};
  TestNode one{ca, "evercert://test/node/257"}, two{ca, "evercert://test/node/513"};
  TestLog log;
  std::map<std::string, std::string> signers;
  std::optional<recovery::LogAnchor> anchor;
};

TEST_F(LogCheckTest, WhatNodesWroteIsWhole) {
  EXPECT_EQ(trouble(log.entries), "");
  EXPECT_EQ(trouble({log.entries.begin() + 2, log.entries.end()}), "") << "the end of it alone";
}

TEST_F(LogCheckTest, AChainThatWasMadeAnewIsNotSigned) {
  log.entries[1].text = "nothing happened";
  reseal();
  EXPECT_NE(trouble(log.entries).find("entry 2 of the failover log: its signature is not that of one/1"),
            std::string::npos)
      << trouble(log.entries);
  log.entries[1].signature = {};
  EXPECT_NE(trouble(log.entries).find("not signed"), std::string::npos);
}

TEST_F(LogCheckTest, WhoSignsIsANodeOfThisClusterAndTheOneThatIsNamed) {
  const auto signed_by = [&](const TestNode& node) {
    signers[node.fingerprint] = node.pem;
    log.entries.back().signature = node.sign(recovery::signed_text(log.entries.back()));
    return trouble(log.entries);
  };
  EXPECT_NE(signed_by(two).find("it says that it is by one/1, and two/1 has signed it"), std::string::npos);
  EXPECT_NE(signed_by({ca, "evercert://test/edge/one/1"}).find("of no node"), std::string::npos);
  EXPECT_NE(signed_by({ca, "evercert://test/node/999"}).find("of no node"), std::string::npos);
  EXPECT_NE(signed_by({ca, "evercert://other/node/257"}).find("of no node"), std::string::npos);
  testkit::TestCa others{1};
  EXPECT_NE(signed_by({others, "evercert://test/node/257"}).find("does not verify"), std::string::npos);
  EXPECT_EQ(signed_by({ca, "evercert://test/node/257"}), "") << "its certificate was renewed";
}

TEST_F(LogCheckTest, ACertificateCountsForItsOwnSignaturesAndItsOwnTime) {
  signers[two.fingerprint] = one.pem;
  EXPECT_NE(trouble(log.entries).find("another"), std::string::npos);
  signers.erase(two.fingerprint);
  EXPECT_NE(trouble(log.entries).find("missing"), std::string::npos);
  TestLog old;
  old.write(one, "one/1", "before it had one");
  old.entries[0].at_ms -= 3'600'000;
  recovery::seal(old.entries[0], "");
  old.entries[0].signature = one.sign(recovery::signed_text(old.entries[0]));
  EXPECT_NE(trouble(old.entries).find("not valid then"), std::string::npos);
}

TEST_F(LogCheckTest, WhatWasRemovedByPolicyLeavesAnAnchorThatIsSignedAsSuch) {
  const std::vector<recovery::LogEntry> rest(log.entries.begin() + 2, log.entries.end());
  anchor_at(2, two, "two/1");
  EXPECT_EQ(trouble(rest), "");
  anchor->signature = anchor->last.signature;
  anchor->by = anchor->last.by;
  EXPECT_NE(trouble(rest).find("the anchor"), std::string::npos) << "an entry's own signature makes it no anchor";
  anchor_at(1, two, "two/1");
  EXPECT_EQ(trouble(log.entries), "") << "entries that are being removed may still be seen";
  EXPECT_EQ(trouble(rest), "") << "a part behind the anchor";
  const std::string hash = anchor->last.hash;
  anchor->last.text = "another";
  EXPECT_NE(trouble(rest).find("is the anchor"), std::string::npos);
}

}  // namespace
}  // namespace evercert::api
