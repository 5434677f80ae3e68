// SPDX-License-Identifier: Apache-2.0
#include "store/catalog.h"

#include <gtest/gtest.h>

#include <charconv>

#include "coordination/proto/coordination.pb.h"
#include "store/keys.h"
#include "store/layout.h"

namespace evercert::store {
namespace {

constexpr GroupId kHome{1};
const std::string kSerial = std::string("\x01") + "serial-number-a";
const std::string kOther = std::string("\x01") + "serial-number-b";

v1::Command issue(const std::string& serial, const std::string& key = "", const std::string& order = "") {
  v1::Command command;
  auto* certificate = command.mutable_issue()->mutable_certificate();
  certificate->set_serial(serial);
  certificate->set_der("certificate " + serial);
  certificate->set_issuer_region(1);
  certificate->set_not_after(2'000'000'000);
  certificate->set_request_key(key);
  certificate->set_request_digest("digest");
  command.mutable_issue()->set_order_id(order);
  return command;
}

v1::Command revoke(const std::string& serial, const std::string& request) {
  v1::Command command;
  command.mutable_revoke()->set_serial(serial);
  command.mutable_revoke()->set_reason(1);
  command.mutable_revoke()->set_request_id(request);
  return command;
}

v1::Command create_order(std::vector<std::string> authorizations = {"az1"}, const std::string& status = "pending") {
  v1::Command command;
  auto* order = command.mutable_create_order()->mutable_order();
  order->set_id("ao");
  order->set_status(status);
  for (const auto& id : authorizations) {
    order->add_authorization_ids(id);
    auto* authorization = command.mutable_create_order()->add_authorizations();
    authorization->set_id(id);
    authorization->set_order_id("ao");
    authorization->set_status("pending");
  }
  return command;
}

v1::Command authorization(const std::string& id, const std::string& status, std::uint64_t expected = 1) {
  v1::Command command;
  auto* next = command.mutable_update_authorization();
  next->mutable_authorization()->set_id(id);
  next->mutable_authorization()->set_order_id("ao");
  next->mutable_authorization()->set_status(status);
  next->set_expected_version(expected);
  return command;
}

v1::Command account(const std::string& status, std::uint64_t expected) {
  v1::Command command;
  command.mutable_put_account()->mutable_account()->set_id("aa");
  command.mutable_put_account()->mutable_account()->set_status(status);
  command.mutable_put_account()->set_expected_version(expected);
  return command;
}

v1::Command order(const std::string& status, std::uint64_t expected) {
  v1::Command command;
  command.mutable_update_order()->mutable_order()->set_id("ao");
  command.mutable_update_order()->mutable_order()->set_status(status);
  command.mutable_update_order()->set_expected_version(expected);
  return command;
}

v1::Command crl(std::uint64_t number, const std::string& der) {
  v1::Command command;
  command.mutable_put_crl()->mutable_crl()->set_issuer_region(1);
  command.mutable_put_crl()->mutable_crl()->set_number(number);
  command.mutable_put_crl()->mutable_crl()->set_der(der);
  return command;
}

v1::Command claim(const std::string& serial, const std::string& digest, const std::string& instead_of = "") {
  v1::Command command;
  auto* bound = command.mutable_claim_request_key();
  bound->set_request_key("key");
  bound->set_serial(serial);
  bound->set_request_digest(digest);
  bound->set_instead_of(instead_of);
  return command;
}

v1::Command void_serial(const std::string& serial) {
  v1::Command command;
  command.mutable_void_serial()->set_serial(serial);
  return command;
}

class CatalogTest : public testing::Test {
 protected:
  Result<v1::Outcome> apply(const v1::Command& command, GroupId group = kHome) {
    Transaction transaction([this](std::string_view key) -> Result<std::optional<std::string>> {
      const auto found = state.find(std::string(key));
      if (found == state.end()) return std::optional<std::string>{};
      return std::optional<std::string>{found->second};
    });
    changed.reset();
    v1::Command copy = command;  // what it holds may be moved out of it
    AppliedChanges changes;
    auto outcome = apply_command({3}, group, copy, transaction, changes);
    if (!changes.certificates.empty()) changed = changes.certificates.back();
    const WriteBatch batch = transaction.take_changes();
    for (const auto& change : batch.changes()) {
      if (change.kind == WriteBatch::Change::Kind::kPut) {
        state[change.key] = change.value;
      } else {
        state.erase(change.key);
      }
    }
    return outcome;
  }
  v1::Outcome done(const v1::Command& command) {
    const auto outcome = apply(command);
    EXPECT_TRUE(outcome.has_value());
    EXPECT_EQ(outcome->code(), 0u) << outcome->message();
    return *outcome;
  }
  // Done, done again without a change, and the same told.
  void done_twice(const v1::Command& command) {
    const v1::Outcome first = done(command);
    const auto before = state;
    const v1::Outcome second = done(command);
    EXPECT_EQ(second.serial(), first.serial());
    EXPECT_EQ(second.number(), first.number());
    EXPECT_EQ(state, before);
    EXPECT_FALSE(changed.has_value());
  }
  void refused(const v1::Command& command, Code code, const std::string& message, GroupId group = kHome) {
    const auto before = state;
    const auto outcome = apply(command, group);
    ASSERT_TRUE(outcome.has_value());
    EXPECT_EQ(outcome->code(), 1 + static_cast<std::uint32_t>(code));
    EXPECT_EQ(outcome->message(), message);
    EXPECT_EQ(state, before) << "a refusal leaves the state as it was";
    EXPECT_FALSE(changed.has_value());
  }
  template <class Record>
  Record stored(const std::string& record) {
    Record parsed;
    const auto found = state.find(state_key(kHome, record));
    EXPECT_NE(found, state.end()) << record;
    EXPECT_TRUE(found != state.end() && parsed.ParseFromString(found->second));
    return parsed;
  }
  std::map<std::string, std::string> state;
  std::optional<v1::Certificate> changed;
};

// -------------------------------------------------------------------------------------- a repetition answers the same

TEST_F(CatalogTest, EveryCommandAppliedTwiceAnswersTheSameAndChangesNothing) {
  done_twice(issue(kSerial, "key"));
  done_twice(revoke(kSerial, "request"));
  done_twice(void_serial(kOther));
  done_twice(account("valid", 0));
  done_twice(account("deactivated", 1));
  done_twice(create_order());
  done_twice(authorization("az1", "valid"));
  done_twice(order("processing", 2));
  done_twice(crl(4, "crl"));
  state.clear();
  done_twice(claim(kSerial, "digest"));
  done_twice(claim(kOther, "digest", kSerial));
}

TEST_F(CatalogTest, AnIssuanceThatFinishesAnOrderAnswersTheSameTwice) {
  done(create_order({}, "ready"));
  done_twice(issue(kSerial, "", "ao"));
  EXPECT_EQ(stored<v1::Order>(order_record("ao")).status(), "valid");
  EXPECT_EQ(stored<v1::Order>(order_record("ao")).certificate_serial(), kSerial);
}

TEST_F(CatalogTest, CrlNumbersOnlyGrowAlsoWhenTheAllocationIsRepeated) {
  v1::Command allocate;
  allocate.mutable_allocate_crl_number()->set_issuer_region(1);
  for (std::uint64_t n = 1; n <= 3; ++n) EXPECT_EQ(done(allocate).number(), n);
  allocate.mutable_allocate_crl_number()->set_issuer_region(2);
  EXPECT_EQ(done(allocate).number(), 1u) << "each issuer counts for itself";
}

// --------------------------------------------------------------------------------------------------------- issuing

TEST_F(CatalogTest, AnIssuedCertificateIsStoredCountedAndTold) {
  done(issue(kSerial));
  done(issue(kOther));
  ASSERT_TRUE(changed.has_value());
  EXPECT_EQ(changed->serial(), kOther);
  EXPECT_EQ(stored<v1::Certificate>(certificate_record(kSerial)).der(), "certificate " + kSerial);
  EXPECT_EQ(state.at(state_key(kHome, certificate_count_record())), "2");
}

TEST_F(CatalogTest, ASerialNumberIsStoredInItsHomeGroupAlone) {
  const std::string message = "this group is not the home of the serial number";
  refused(issue(kSerial), Code::kInvalid, message, GroupId{2});
  refused(issue(kSerial), Code::kInvalid, message, kGlobalGroup);
  refused(issue("\x09short"), Code::kInvalid, message);
  refused(issue(std::string("\x04") + "serial-number-a"), Code::kInvalid, message);
}

TEST_F(CatalogTest, ASerialNumberIsUsedOnce) {
  done(issue(kSerial));
  v1::Command again = issue(kSerial);
  again.mutable_issue()->mutable_certificate()->set_der("other bytes");
  again.mutable_issue()->mutable_certificate()->set_request_digest("another");
  refused(again, Code::kConflict, "the serial number is in use");
  again.mutable_issue()->mutable_certificate()->clear_request_digest();
  refused(again, Code::kConflict, "the serial number is in use");
  refused(void_serial(kSerial), Code::kConflict, "the serial number is in use");
}

TEST_F(CatalogTest, TheSameRequestSignedAgainIsAnsweredWithTheFirstCertificate) {
  done(issue(kSerial));
  v1::Command again = issue(kSerial);
  again.mutable_issue()->mutable_certificate()->set_der("signed once more");
  EXPECT_TRUE(done(again).repeated_request());
  EXPECT_EQ(stored<v1::Certificate>(certificate_record(kSerial)).der(), "certificate " + kSerial);
}

TEST_F(CatalogTest, AVoidedSerialNumberIsNeverStored) {
  done(void_serial(kSerial));
  refused(issue(kSerial), Code::kConflict, "the serial number was voided");
  refused(revoke(kSerial, "request"), Code::kNotFound, "no certificate has this serial number");
}

TEST_F(CatalogTest, AnOrderIsFinishedOnceWhateverIsSigned) {
  done(create_order({}, "ready"));
  done(issue(kSerial, "", "ao"));
  const auto repeated = done(issue(kOther, "", "ao"));
  EXPECT_TRUE(repeated.repeated_request());
  EXPECT_EQ(repeated.serial(), kSerial);
  EXPECT_FALSE(state.contains(state_key(kHome, certificate_record(kOther))));
}

TEST_F(CatalogTest, OnlyAnOrderThatIsReadyOrProcessingIsFinished) {
  refused(issue(kSerial, "", "ao"), Code::kNotFound, "the order does not exist");
  done(create_order());
  refused(issue(kSerial, "key", "ao"), Code::kConflict, "the order is pending, not ready");
  done(order("processing", 1));
  done(issue(kSerial, "key", "ao"));
}

// -------------------------------------------------------------------------------------------------------- revoking

TEST_F(CatalogTest, ARevocationIsStoredIndexedForTheCrlAndTold) {
  done(issue(kSerial));
  done(revoke(kSerial, "request"));
  ASSERT_TRUE(changed.has_value());
  EXPECT_TRUE(changed->revoked());
  EXPECT_TRUE(stored<v1::Certificate>(certificate_record(kSerial)).revoked());
  EXPECT_EQ(state.at(state_key(kHome, revoked_index_record(RegionId{1}, kSerial))), "2000000000");
}

TEST_F(CatalogTest, ARevocationOnlyMovesForward) {
  refused(revoke(kSerial, "request"), Code::kNotFound, "no certificate has this serial number");
  done(issue(kSerial));
  done(revoke(kSerial, "request"));
  refused(revoke(kSerial, "another"), Code::kConflict, "the certificate is already revoked");
  refused(revoke(kSerial, ""), Code::kConflict, "the certificate is already revoked");
  done(issue(kSerial));
  EXPECT_TRUE(stored<v1::Certificate>(certificate_record(kSerial)).revoked())
      << "a repeated issuance brings no life back";
}

// ------------------------------------------------------------------------------------------------------------- ACME

TEST_F(CatalogTest, AnAccountIsChangedByWhoKnowsItsVersion) {
  refused(account("valid", 3), Code::kConflict, "the account does not exist");
  EXPECT_EQ(done(account("valid", 0)).number(), 1u);
  refused(account("revoked", 0), Code::kConflict, "the account was changed meanwhile");
  EXPECT_EQ(done(account("deactivated", 1)).number(), 2u);
  refused(account("valid", 1), Code::kConflict, "the account was changed meanwhile");
}

TEST_F(CatalogTest, AnOrderIsChangedByWhoKnowsItsVersion) {
  refused(order("processing", 1), Code::kNotFound, "the order does not exist");
  done(create_order());
  done(order("processing", 1));
  refused(order("invalid", 1), Code::kConflict, "the order was changed meanwhile");
}

TEST_F(CatalogTest, AnAuthorizationIsChangedByWhoKnowsItsVersion) {
  refused(authorization("az1", "valid"), Code::kNotFound, "the authorization does not exist");
  done(create_order());
  done(authorization("az1", "valid"));
  refused(authorization("az1", "invalid"), Code::kConflict, "the authorization was changed meanwhile");
}

TEST_F(CatalogTest, AnOrderIsReadyWhenEveryAuthorizationIsValid) {
  done(create_order({"az1", "az2"}));
  done(authorization("az1", "valid"));
  EXPECT_EQ(stored<v1::Order>(order_record("ao")).status(), "pending");
  done(authorization("az2", "valid"));
  EXPECT_EQ(stored<v1::Order>(order_record("ao")).status(), "ready");
  EXPECT_EQ(stored<v1::Order>(order_record("ao")).version(), 2u);
}

TEST_F(CatalogTest, AnOrderIsInvalidAsSoonAsOneAuthorizationCannotBecomeValid) {
  for (const char* status : {"invalid", "deactivated", "expired", "revoked"}) {
    state.clear();
    done(create_order({"az1", "az2"}));
    done(authorization("az2", status));
    EXPECT_EQ(stored<v1::Order>(order_record("ao")).status(), "invalid") << status;
  }
}

TEST_F(CatalogTest, AFinishedOrderIsNotTouchedByItsAuthorizations) {
  done(create_order({"az1"}));
  done(authorization("az1", "valid"));
  done(issue(kSerial, "", "ao"));
  done(authorization("az1", "deactivated", 2));
  EXPECT_EQ(stored<v1::Order>(order_record("ao")).status(), "valid");
}

// ------------------------------------------------------------------------------------------------------ CRLs and keys

TEST_F(CatalogTest, ACrlIsReplacedByOneWithAHigherNumberAlone) {
  done(crl(4, "four"));
  refused(crl(3, "three"), Code::kConflict, "CRL number 4 is already published");
  refused(crl(4, "another four"), Code::kConflict, "CRL number 4 is already published");
  EXPECT_EQ(done(crl(5, "five")).number(), 5u);
}

TEST_F(CatalogTest, TheFirstClaimOfAKeyWinsAndAnswersEverybodyWhoAsksForTheSame) {
  EXPECT_EQ(done(claim(kSerial, "digest")).serial(), kSerial);
  const auto second = done(claim(kOther, "digest"));
  EXPECT_TRUE(second.repeated_request());
  EXPECT_EQ(second.serial(), kSerial);
}

TEST_F(CatalogTest, AKeyIsForOneRequest) {
  done(claim(kSerial, "digest"));
  refused(claim(kOther, "another"), Code::kConflict, "the idempotency key was used for another request");
}

TEST_F(CatalogTest, AKeyIsReboundOnlyFromTheVoidedSerialThatItIsBoundTo) {
  done(claim(kSerial, "digest"));
  EXPECT_EQ(done(claim(kOther, "digest", "some other serial")).serial(), kSerial);
  EXPECT_EQ(done(claim(kOther, "digest", kSerial)).serial(), kOther);
  EXPECT_EQ(done(claim(kSerial, "digest")).serial(), kOther);
}

// ------------------------------------------------------------------------------------------------ when nothing may
// pass

TEST_F(CatalogTest, ACommandOfANewerVersionStopsTheReplicaInsteadOfPartingItsState) {
  const auto outcome = apply(v1::Command{});
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().code, Code::kUnsupported);
}

TEST_F(CatalogTest, StoredBytesThatDoNotParseStopTheReplica) {
  done(issue(kSerial));
  state[state_key(kHome, certificate_record(kSerial))] = "\xff\xff";
  const auto outcome = apply(revoke(kSerial, "request"));
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().code, Code::kCorrupt);
}

TEST(Transaction, LaterCommandsSeeWhatEarlierOnesDid) {
  int reads = 0;
  Transaction transaction([&](std::string_view) -> Result<std::optional<std::string>> {
    ++reads;
    return std::optional<std::string>{"stored"};
  });
  EXPECT_EQ(transaction.get("a").value(), "stored");
  transaction.put("a", "new");
  EXPECT_EQ(transaction.get("a").value(), "new");
  transaction.remove("a");
  EXPECT_EQ(transaction.get("a").value(), std::nullopt);
  EXPECT_EQ(reads, 1);
  EXPECT_EQ(transaction.take_changes().changes().size(), 1u);
}

TEST(Transaction, AScanSeesWhatIsStoredAndWhatWasChanged) {
  const std::map<std::string, std::string> stored{{"a", "1"}, {"b", "2"}, {"d", "4"}, {"e", "5"}, {"f", "6"}};
  Transaction transaction(
      [&](std::string_view key) -> Result<std::optional<std::string>> {
        const auto found = stored.find(std::string(key));
        return found == stored.end() ? std::nullopt : std::optional(found->second);
      },
      [&](const std::string& from, const std::string& to, const KvVisitor& visit) -> Status {
        for (auto it = stored.lower_bound(from); it != stored.end() && it->first < to; ++it) {
          if (!visit(it->first, it->second)) break;
        }
        return {};
      });
  transaction.put("b", "20");
  transaction.put("c", "30");
  transaction.remove("d");
  transaction.put("e1", "51");
  transaction.remove_range("e", "f");
  transaction.put("e2", "52");
  const auto seen = [&](const std::string& from, const std::string& to) {
    std::string all;
    EXPECT_TRUE(transaction.scan(from, to, [&](std::string_view key, std::string_view value) {
      all.append(key).append("=").append(value).append(" ");
      return true;
    }));
    return all;
  };
  EXPECT_EQ(seen("a", "z"), "a=1 b=20 c=30 e2=52 f=6 ");
  EXPECT_EQ(seen("b", "e2"), "b=20 c=30 ");
  EXPECT_EQ(transaction.get("e").value(), std::nullopt);
  EXPECT_EQ(transaction.get("f").value(), "6");
}

// As a transaction of the key space that compares with the lock would be refused.
TEST_F(CatalogTest, WhoWasReplacedChangesNoMembership) {
  const auto in_key_space = [&](const coordination::v1::Command& wanted) {
    v1::Command command;
    command.set_coordination(wanted.SerializeAsString());
    const auto outcome = apply(command, kGlobalGroup);
    coordination::v1::Answer answer;
    EXPECT_TRUE(outcome && answer.ParseFromString(outcome->coordination()));
    return answer.revision();
  };
  coordination::v1::Command put, remove;
  put.mutable_put()->set_key("lock/1");
  remove.mutable_delete_range()->set_key("lock/1");
  v1::Command drain;
  auto& change = *drain.mutable_change_membership();
  change.set_expected_epoch(1);
  change.set_region(2);
  change.set_state(v1::DRAINING);
  change.set_lock("lock/1");
  const auto message = [](std::int64_t token) {
    return "who asks for it has been replaced: token " + std::to_string(token) + " is not that of the lock any more";
  };
  change.set_token(2);
  refused(drain, Code::kConflict, message(2), kGlobalGroup);
  const std::int64_t first = in_key_space(put);
  in_key_space(remove);
  const std::int64_t second = in_key_space(put);
  ASSERT_GT(second, first);
  change.set_token(first);
  refused(drain, Code::kConflict, message(first), kGlobalGroup);
  in_key_space(put);  // whoever writes the key anew does not take the lock
  change.set_token(second);
  const auto drained = apply(drain, kGlobalGroup);
  ASSERT_TRUE(drained);
  EXPECT_EQ(drained->code(), 0u) << drained->message();
  in_key_space(remove);
  change.set_state(v1::SERVING);
  change.set_expected_epoch(2);
  refused(drain, Code::kConflict, message(second), kGlobalGroup);

  // So it is with who votes.
  v1::Command add;
  auto& nodes = *add.mutable_change_replicas();
  nodes.set_expected_epoch(2);
  for (const std::uint64_t node : {257, 258, 513, 769}) nodes.add_nodes()->set_node(node);
  nodes.set_lock("lock/1");
  nodes.set_token(second);
  refused(add, Code::kConflict, message(second), kGlobalGroup);
  const std::int64_t third = in_key_space(put);
  nodes.set_token(third);
  const auto added = apply(add, kGlobalGroup);
  ASSERT_TRUE(added);
  EXPECT_EQ(added->code(), 0u) << added->message();
}

TEST(Transaction, ARecordIsReadOnceAndSeenAsItWasChangedSince) {
  int reads = 0;
  Transaction transaction([&](std::string_view key) -> Result<std::optional<std::string>> {
    ++reads;
    return std::optional(std::string(key) + " as it was");
  });
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(transaction.get("a").value(), "a as it was");
    EXPECT_EQ(transaction.get("b").value(), "b as it was");
  }
  EXPECT_EQ(reads, 2);
  transaction.put("a", "changed");
  transaction.remove_range("b", "c");
  EXPECT_EQ(transaction.get("a").value(), "changed");
  EXPECT_EQ(transaction.get("b").value(), std::nullopt);
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(transaction.get("c" + std::to_string(i)).value(), "c" + std::to_string(i) + " as it was");
  (void)transaction.take_changes();
  EXPECT_EQ(transaction.get("a").value(), "a as it was") << "what was changed is written, and read anew";
  EXPECT_EQ(reads, 2 + 20 + 1);
}

}  // namespace
}  // namespace evercert::store
