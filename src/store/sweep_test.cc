// SPDX-License-Identifier: Apache-2.0
#include "store/sweep.h"

#include <gtest/gtest.h>

#include "store/catalog.h"
#include "store/keys.h"
#include "store/kv/mem_kv.h"

namespace evercert::store {
namespace {

constexpr GroupId kGroup{1};

class SweepTest : public testing::Test {
 protected:
  v1::Outcome apply(v1::Command command, std::int64_t at_ms = 1000) {
    command.set_proposed_at_ms(at_ms);
    Transaction state([this](std::string_view key) { return kv.get(std::string(key)); });
    AppliedChanges changes;
    const auto outcome = apply_command({3}, kGroup, command, state, changes).value();
    EXPECT_TRUE(kv.write(state.take_changes()));
    return outcome;
  }
  void order(const std::string& id, std::int64_t expires_at_ms) {
    v1::Command command;
    auto* made = command.mutable_create_order()->mutable_order();
    made->set_id(id);
    made->set_account_id("account");
    made->set_expires_at_ms(expires_at_ms);
    for (const char* end : {"-1", "-2"}) {
      made->add_authorization_ids(id + end);
      command.mutable_create_order()->add_authorizations()->set_id(id + end);
    }
    apply(std::move(command));
  }
  void claim(const std::string& key, std::int64_t at_ms, const std::string& instead_of = "",
             const std::string& serial = "serial") {
    v1::Command command;
    command.mutable_claim_request_key()->set_request_key(key);
    command.mutable_claim_request_key()->set_serial(serial);
    command.mutable_claim_request_key()->set_instead_of(instead_of);
    apply(std::move(command), at_ms);
  }
  bool there(const std::string& record) { return kv.get(state_key(kGroup, record)).value().has_value(); }
  v1::Outcome sweep(v1::Sweep named) {
    v1::Command command;
    *command.mutable_sweep() = std::move(named);
    return apply(std::move(command));
  }
  v1::Sweep find(std::size_t most = 1000) { return find_swept(kv, kGroup, limits, most, place).value(); }

  MemKv kv;
  SweepLimits limits{5000, 5000};
  SweepPlace place;
};

TEST_F(SweepTest, AnExpiredOrderGoesWithAllThatIsItsOwn) {
  order("aold", 4999);
  order("anew", 5000);
  const auto named = find();
  ASSERT_EQ(named.order_ids_size(), 1);
  const auto outcome = sweep(named);
  EXPECT_EQ(outcome.swept_orders(), 1u);
  for (const char* record : {"o/aold", "z/aold-1", "z/aold-2", "u/account/aold"}) EXPECT_FALSE(there(record)) << record;
  for (const char* record : {"o/anew", "z/anew-1", "z/anew-2", "u/account/anew"}) EXPECT_TRUE(there(record)) << record;
  EXPECT_EQ(sweep(named).swept_orders(), 0u) << "a second time there is nothing to do";
}

TEST_F(SweepTest, KeysAreForgottenByTheTimeOfTheirBinding) {
  claim("old", 4999);
  claim("new", 5000);
  claim("again", 4000, "", "void");
  claim("again", 6000, "void");
  claim("timeless", 0);
  const auto named = find();
  ASSERT_EQ(named.request_keys_size(), 1);
  EXPECT_EQ(sweep(named).swept_request_keys(), 1u);
  EXPECT_FALSE(there("k/old"));
  for (const char* record : {"k/new", "k/again", "k/timeless"}) EXPECT_TRUE(there(record)) << record;
}

TEST_F(SweepTest, AKeyThatACertificateWasStoredUnderInItsHomeIsForgottenToo) {
  v1::Command command;
  auto* certificate = command.mutable_issue()->mutable_certificate();
  certificate->set_serial(std::string("\x01") + "serial-number-a");
  certificate->set_der("der");
  certificate->set_request_key("key");
  apply(std::move(command), 4000);
  EXPECT_EQ(sweep(find()).swept_request_keys(), 1u);
  EXPECT_FALSE(there("k/key"));
  EXPECT_TRUE(there(certificate_record(std::string("\x01") + "serial-number-a"))) << "certificates stay";
}

// Whoever proposed it: what is too young stays.
TEST_F(SweepTest, AReplicaGoesByItsRecordsNotByWhatIsNamed) {
  order("anew", 9000);
  claim("new", 9000);
  v1::Sweep named;
  named.set_orders_expired_before_ms(5000);
  named.set_keys_bound_before_ms(5000);
  for (const char* id : {"anew", "never-there"}) {
    named.add_order_ids(id);
    named.add_request_keys(id);
  }
  named.add_request_keys("new");
  const auto outcome = sweep(named);
  EXPECT_EQ(outcome.swept_orders() + outcome.swept_request_keys(), 0u);
  EXPECT_TRUE(there("o/anew"));
  EXPECT_TRUE(there("k/new"));
}

TEST_F(SweepTest, AWalkInPiecesSeesEverythingOnceAndBeginsAnew) {
  for (int i = 0; i < 7; ++i) {
    order("a" + std::to_string(i), i % 2 == 0 ? 1 : 9000);
    claim("key" + std::to_string(i), i % 2 == 0 ? 1 : 9000);
  }
  for (const std::size_t most : {1u, 3u, 7u, 14u, 15u}) {
    for (int round = 0; round < 2; ++round) {
      std::vector<std::string> seen;
      std::size_t looks = 0;
      do {
        const auto named = find(most);
        seen.insert(seen.end(), named.request_keys().begin(), named.request_keys().end());
        seen.insert(seen.end(), named.order_ids().begin(), named.order_ids().end());
        ASSERT_LT(++looks, 20u);
      } while (!place.key.empty());
      EXPECT_EQ(seen, (std::vector<std::string>{"key0", "key2", "key4", "key6", "a0", "a2", "a4", "a6"})) << most;
    }
  }
}

}  // namespace
}  // namespace evercert::store
