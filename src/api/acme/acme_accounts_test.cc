// SPDX-License-Identifier: Apache-2.0
// Accounts (RFC 8555 section 7.3), in several regions at once.
#include "api/acme/acme_fixture_test.h"

namespace evercert::api {
namespace {

class AcmeAccounts : public AcmeFixture {
 protected:
  // The JWS inside a key change; `change` may spoil header and payload.
  json inner(const ClientKey& old_key, const ClientKey& next, const std::string& kid,
             const std::function<void(json& header, json& payload)>& change = {}) const {
    json head{{"alg", "ES256"}, {"jwk", next.jwk()}, {"url", base + "/key-change"}};
    json payload{{"account", kid}, {"oldKey", old_key.jwk()}};
    if (change) change(head, payload);
    return next.sign(head, payload.dump());
  }
  Reply change_key(const ClientKey& old_key, const ClientKey& next, const std::string& kid, std::size_t region = 1) {
    return post(region, old_key, kid, base + "/key-change", inner(old_key, next, kid));
  }
  Reply find(const ClientKey& with, std::size_t region = 1) {
    return post(region, with, "", base + "/new-account", json{{"onlyReturnExisting", true}});
  }
  Reply make(const ClientKey& with, std::size_t region = 1) {
    return post(region, with, "", base + "/new-account", json::object());
  }
  // Runs once, before the next command of this kind is applied.
  void before_next(store::v1::Command::KindCase kind, std::function<void()> other) {
    cluster.store.before = [this, kind, other = std::move(other)](GroupId, const store::v1::Command& command) {
      if (command.kind_case() != kind) return;
      cluster.store.before = nullptr;
      other();
    };
  }
  ClientKey key, next_key, other_key;
};

TEST_F(AcmeAccounts, OneKeyIsOneAccountInEveryRegion) {
  const std::string kid = new_account(key, 1);
  for (std::size_t region = 1; region <= kRegions; ++region) {
    const Reply again = make(key, region);
    EXPECT_EQ(again.status, 200);
    EXPECT_EQ(again.headers.get("Location"), kid);
    EXPECT_EQ(again.body["status"], "valid");
    EXPECT_EQ(again.body["orders"], kid + "/orders");
  }
}

TEST_F(AcmeAccounts, TheSameKeyInTwoRegionsAtOnceIsOneAccount) {
  Reply second;
  before_next(store::v1::Command::kPutAccount, [&] { second = make(key, 2); });
  const Reply first = make(key, 1);
  EXPECT_EQ(second.status, 201);
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.headers.get("Location"), second.headers.get("Location"));
}

TEST_F(AcmeAccounts, AnAccountThatIsOnlyLookedForIsNotMade) {
  const Reply reply = find(key);
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.type(), "accountDoesNotExist");
  EXPECT_TRUE(cluster.store.applied.empty());
}

TEST_F(AcmeAccounts, ContactsAreMailAddresses) {
  const auto with = [&](const json& contact) {
    return post(1, key, "", base + "/new-account", json{{"contact", contact}}).type();
  };
  EXPECT_EQ(with({"tel:+123"}), "unsupportedContact");
  EXPECT_EQ(with({"mailto:nobody"}), "invalidContact");
  EXPECT_EQ(with({"mailto:a@b.test,c@d.test"}), "invalidContact");
  EXPECT_EQ(with({"mailto:a@b.test?subject=x"}), "invalidContact");
  EXPECT_EQ(with("mailto:a@b.test"), "malformed");
  EXPECT_EQ(with({5}), "unsupportedContact");
  EXPECT_TRUE(cluster.store.applied.empty());
}

TEST_F(AcmeAccounts, ContactsChangeAndNothingElseDoes) {
  const std::string kid = new_account(key);
  const Reply changed =
      post(2, key, kid, kid, json{{"contact", {"mailto:a@b.test"}}, {"status", "valid"}, {"orders", "x"}, {"key", 1}});
  EXPECT_EQ(changed.status, 200);
  EXPECT_EQ(changed.body["contact"], json{"mailto:a@b.test"});
  EXPECT_EQ(post(3, key, kid, kid, "").body, changed.body);
  const auto written = cluster.store.applied.size();
  EXPECT_EQ(post(1, key, kid, kid, json::object()).body, changed.body);
  EXPECT_EQ(cluster.store.applied.size(), written) << "nothing changed, nothing written";
  EXPECT_EQ(post(1, key, kid, kid, json{{"contact", {"x:y"}}}).type(), "unsupportedContact");
  EXPECT_EQ(post(1, key, kid, kid, "[]").type(), "malformed");
}

TEST_F(AcmeAccounts, ChangesInTwoRegionsAtOnceBothHappen) {
  const std::string kid = new_account(key);
  before_next(store::v1::Command::kPutAccount,
              [&] { EXPECT_EQ(change_key(key, next_key, kid, 2).status, 200) << "the key, elsewhere"; });
  EXPECT_EQ(post(1, key, kid, kid, json{{"contact", {"mailto:a@b.test"}}}).status, 403)
      << "the key that signed is no longer the account's";
  before_next(store::v1::Command::kPutAccount, [&] {
    EXPECT_EQ(post(2, next_key, kid, kid, json{{"contact", {"mailto:first@b.test"}}}).status, 200);
  });
  EXPECT_EQ(post(1, next_key, kid, kid, json{{"contact", {"mailto:second@b.test"}}}).status, 200);
  EXPECT_EQ(post(3, next_key, kid, kid, "").body["contact"], json{"mailto:second@b.test"});
}

TEST_F(AcmeAccounts, ADeactivatedAccountIsRefusedEverywhere) {
  const std::string kid = new_account(key);
  const std::string order = new_order(key, kid, {"a.test"}).url;
  const Reply gone = post(2, key, kid, kid, json{{"status", "deactivated"}});
  EXPECT_EQ(gone.status, 200);
  EXPECT_EQ(gone.body["status"], "deactivated");
  for (std::size_t region = 1; region <= kRegions; ++region) {
    EXPECT_EQ(post(region, key, kid, order, "").type(), "unauthorized");
    EXPECT_EQ(post(region, key, kid, base + "/new-order", identifiers({"a.test"})).type(), "unauthorized");
    EXPECT_EQ(make(key, region).type(), "unauthorized") << "nor does its key make another";
  }
}

TEST_F(AcmeAccounts, AccountsOfOthersAreClosed) {
  const std::string kid = new_account(key), other = new_account(other_key);
  EXPECT_EQ(post(1, other_key, other, kid, "").type(), "unauthorized");
  EXPECT_EQ(post(1, other_key, other, kid, json{{"status", "deactivated"}}).type(), "unauthorized");
  EXPECT_EQ(post(1, other_key, other, kid + "/orders", "").type(), "unauthorized");
}

TEST_F(AcmeAccounts, AChangeOfKeysKeepsTheAccountAndItsOrders) {
  const std::string kid = new_account(key);
  const std::string order = new_order(key, kid, {"a.test"}).url;
  const Reply changed = change_key(key, next_key, kid, 2);
  ASSERT_EQ(changed.status, 200) << changed.text;
  EXPECT_EQ(changed.headers.get("Location"), kid);
  for (std::size_t region = 1; region <= kRegions; ++region) {
    EXPECT_EQ(post(region, next_key, kid, order, "").status, 200);
    EXPECT_EQ(post(region, key, kid, order, "").type(), "unauthorized") << "the old key";
    EXPECT_EQ(find(next_key, region).headers.get("Location"), kid) << "found by its new key";
  }
}

TEST_F(AcmeAccounts, AKeyThatWasGivenUpLeadsToNoSecondAccount) {
  const std::string kid = new_account(key);
  ASSERT_EQ(change_key(key, next_key, kid).status, 200);
  EXPECT_EQ(make(key, 3).type(), "unauthorized");
  const std::string other = new_account(other_key);
  EXPECT_EQ(change_key(other_key, key, other).status, 409);
  EXPECT_EQ(change_key(next_key, key, kid).status, 200) << "its own account may take it back";
  EXPECT_EQ(find(key).headers.get("Location"), kid);
  EXPECT_EQ(find(next_key).type(), "unauthorized");
}

TEST_F(AcmeAccounts, AKeyWithAnAccountIsNotTaken) {
  const std::string kid = new_account(key), other = new_account(other_key);
  const Reply taken = change_key(key, other_key, kid);
  EXPECT_EQ(taken.status, 409);
  EXPECT_EQ(taken.headers.get("Location"), other);
  const Reply same = change_key(key, key, kid);
  EXPECT_EQ(same.status, 409);
  EXPECT_EQ(same.headers.get("Location"), kid);
  ASSERT_EQ(change_key(other_key, next_key, other).status, 200);
  EXPECT_EQ(change_key(key, next_key, kid).headers.get("Location"), other) << "nor one that came by a change";
}

TEST_F(AcmeAccounts, ANewAccountAndAChangeOfKeysAtOnceDoNotShareTheKey) {
  const std::string kid = new_account(key);
  Reply made;
  before_next(store::v1::Command::kClaimAccountKey, [&] { made = make(next_key, 2); });
  const Reply late = change_key(key, next_key, kid, 1);
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(late.status, 409);
  EXPECT_EQ(late.headers.get("Location"), made.headers.get("Location"));
  // The other way round: the key is bound while the new account is on its way.
  const ClientKey third;
  before_next(store::v1::Command::kPutAccount, [&] { EXPECT_EQ(change_key(key, third, kid, 1).status, 200); });
  const Reply found = make(third, 3);
  EXPECT_EQ(found.status, 200);
  EXPECT_EQ(found.headers.get("Location"), kid);
}

TEST_F(AcmeAccounts, OfTwoAccountsThatTakeOneKeyAtOnceOneGetsIt) {
  const std::string kid = new_account(key), other = new_account(other_key);
  before_next(store::v1::Command::kPutAccount, [&] {
    const Reply late = change_key(other_key, next_key, other, 2);
    EXPECT_EQ(late.status, 409);
    EXPECT_EQ(late.headers.get("Location"), kid);
  });
  EXPECT_EQ(change_key(key, next_key, kid, 1).status, 200);
  EXPECT_EQ(find(next_key).headers.get("Location"), kid);
  EXPECT_EQ(find(other_key).headers.get("Location"), other);
}

TEST_F(AcmeAccounts, AChangeOfKeysThatStoppedHalfwayCanBeRepeated) {
  const std::string kid = new_account(key);
  cluster.store.next(testkit::MemoryStore::Fate::kDone);  // the key
  cluster.store.next(testkit::MemoryStore::Fate::kRefused);
  EXPECT_EQ(change_key(key, next_key, kid, 1).status, 503);
  EXPECT_EQ(find(key).headers.get("Location"), kid) << "the old key is still good";
  EXPECT_EQ(make(next_key).type(), "unauthorized") << "the new one is spoken for";
  EXPECT_EQ(change_key(key, next_key, kid, 2).status, 200);
  EXPECT_EQ(find(next_key).headers.get("Location"), kid);
}

TEST_F(AcmeAccounts, AChangeOfKeysIsSignedByBoth) {
  const std::string kid = new_account(key), other = new_account(other_key);
  const auto with = [&](const json& body) { return post(1, key, kid, base + "/key-change", body); };
  const auto spoiled = [&](const std::function<void(json&, json&)>& change) {
    return with(inner(key, next_key, kid, change));
  };
  EXPECT_EQ(with({{"account", kid}}).type(), "malformed") << "no JWS inside";
  EXPECT_EQ(spoiled([&](json& h, json&) { h["url"] = base + "/new-order"; }).type(), "malformed");
  EXPECT_EQ(spoiled([&](json& h, json&) { h["nonce"] = nonce(); }).type(), "malformed");
  EXPECT_EQ(spoiled([&](json& h, json&) { h["jwk"] = other_key.jwk(); }).type(), "unauthorized");
  EXPECT_EQ(spoiled([&](json& h, json&) {
              h.erase("jwk");
              h["kid"] = kid;
            }).type(),
            "malformed");
  EXPECT_EQ(spoiled([&](json&, json& p) { p["account"] = other; }).type(), "malformed");
  EXPECT_EQ(spoiled([&](json&, json& p) { p["oldKey"] = other_key.jwk(); }).type(), "malformed");
  EXPECT_EQ(spoiled([&](json&, json& p) { p.erase("oldKey"); }).type(), "malformed");
  EXPECT_EQ(spoiled([&](json&, json& p) { p = json::array(); }).type(), "malformed");
  EXPECT_EQ(post(1, other_key, kid, base + "/key-change", inner(key, next_key, kid)).type(), "unauthorized");
  EXPECT_EQ(find(key).status, 200);
  EXPECT_EQ(find(next_key).type(), "accountDoesNotExist") << "nothing was bound";
}

TEST_F(AcmeAccounts, OrdersAreListedByPagesWithoutTheInvalid) {
  const std::string kid = new_account(key);
  std::set<std::string> made;
  for (std::size_t n = 0; n < 10; ++n)
    made.insert(new_order(key, kid, {"n" + std::to_string(n) + ".test"}, n % kRegions + 1).url);
  validator.answer = AcmeError{403, "incorrectResponse", "no"};
  const Order failed = new_order(key, kid, {"bad.test"});
  EXPECT_EQ(prove(key, kid, failed.document["authorizations"][0]).body["status"], "invalid");
  std::set<std::string> listed;
  int pages = 0;
  for (std::string url = kid + "/orders"; !url.empty(); ++pages) {
    const Reply page = post(2, key, kid, url, "");
    ASSERT_EQ(page.status, 200) << page.text;
    for (const auto& order : page.body["orders"]) EXPECT_TRUE(listed.insert(order).second);
    url.clear();
    for (const auto& [name, value] : page.headers.all()) {
      if (name == "Link" && value.ends_with(";rel=\"next\"")) url = value.substr(1, value.find('>') - 1);
    }
  }
  EXPECT_EQ(listed, made);
  EXPECT_EQ(pages, 3);
  cluster.wall.advance(8 * 86400);
  EXPECT_EQ(post(1, key, kid, kid + "/orders", "").body["orders"], json::array()) << "expired ones neither";
}

TEST_F(AcmeAccounts, TermsThatMustBeAgreedToAreNamedAndTheAgreementIsKept) {
  EXPECT_FALSE(send(1, "GET", "/acme/directory", "").body["meta"].contains("termsOfService"));
  restart({"https://ca.test/terms/1", "1"});
  EXPECT_EQ(send(1, "GET", "/acme/directory", "").body["meta"]["termsOfService"], "https://ca.test/terms/1");
  const Reply refused = make(key);
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.type(), "userActionRequired");
  EXPECT_EQ(refused.body["instance"], "https://ca.test/terms/1");
  bool linked = false;
  for (const auto& [name, value] : refused.headers.all())
    linked = linked || (name == "Link" && value == "<https://ca.test/terms/1>;rel=\"terms-of-service\"");
  EXPECT_TRUE(linked);
  EXPECT_TRUE(cluster.store.applied.empty());
  const std::string kid = new_account(key);
  const auto stored = cluster.store.account(kid.substr(kid.rfind('/') + 1)).value();
  EXPECT_TRUE(stored->terms_agreed());
  EXPECT_EQ(stored->terms_version(), "1");
  EXPECT_GT(stored->terms_agreed_at_ms(), 0);
  new_order(key, kid, {"a.test"});
}

TEST_F(AcmeAccounts, OtherTermsAreAgreedToAnewBeforeTheNextOrder) {
  restart({"https://ca.test/terms/1", "1"});
  const std::string kid = new_account(key);
  const Order begun = ready_order(key, kid, {"a.test"});
  restart({"https://ca.test/terms/2", "2"});
  const Reply refused = post(2, key, kid, base + "/new-order", identifiers({"b.test"}));
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.type(), "userActionRequired");
  EXPECT_EQ(refused.body["instance"], "https://ca.test/terms/2");
  EXPECT_EQ(finalize(key, kid, begun, next_key.csr({"a.test"})).status, 200) << "what was begun is finished";
  EXPECT_EQ(post(1, key, kid, kid, json{{"contact", {"mailto:a@b.test"}}}).status, 200);
  EXPECT_EQ(find(key).status, 200) << "looking for the account agrees to nothing";
  EXPECT_EQ(post(2, key, kid, base + "/new-order", identifiers({"b.test"})).status, 403);
  const Reply agreed = post(3, key, "", base + "/new-account", json{{"termsOfServiceAgreed", true}});
  EXPECT_EQ(agreed.status, 200);
  EXPECT_EQ(agreed.headers.get("Location"), kid);
  EXPECT_EQ(agreed.body["contact"], json{"mailto:a@b.test"});
  EXPECT_EQ(cluster.store.account(kid.substr(kid.rfind('/') + 1)).value()->terms_version(), "2");
  EXPECT_EQ(post(2, key, kid, base + "/new-order", identifiers({"b.test"})).status, 201);
  const auto written = cluster.store.applied.size();
  EXPECT_EQ(post(3, key, "", base + "/new-account", json{{"termsOfServiceAgreed", true}}).status, 200);
  EXPECT_EQ(cluster.store.applied.size(), written) << "agreed already";
}

}  // namespace
}  // namespace evercert::api
