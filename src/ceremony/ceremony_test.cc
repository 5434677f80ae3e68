// SPDX-License-Identifier: Apache-2.0
#include "ceremony/ceremony.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/encoding.h"
#include "base/os/system.h"
#include "config/config.h"
#include "config/paths.h"
#include "keys/pkcs11.h"
#include "keys/shares.h"
#include "keys/software_signer.h"
#include "keys/standby.h"
#include "pki/certificate.h"
#include "pki/pem.h"

namespace evercert::ceremony {
namespace {

namespace fs = std::filesystem;

class CeremonyTest : public testing::Test {
 protected:
  CeremonyTest() {
    std::string pattern = (fs::temp_directory_path() / "evercert-ceremony-XXXXXX").string();
    options.dir = std::string(mkdtemp(pattern.data())) + "/cluster";
    options.name = "test";
    options.regions = {"north", "south"};
    options.zones = 2;
    options.hsm = false;
  }
  ~CeremonyTest() override { fs::remove_all(fs::path(options.dir).parent_path()); }

  Status make() {
    return run(options, [this](const std::string& line) { steps.push_back(line); });
  }
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(options.dir)) {
      if (entry.is_regular_file())
        all[fs::relative(entry.path(), options.dir)] = read_file(os::disk(), entry.path()).value();
    }
    return all;
  }
  std::string der(const std::string& path) const {
    return pki::from_pem("CERTIFICATE", read_file(os::disk(), path).value()).value().front();
  }

  CeremonyOptions options;
  std::vector<std::string> steps;
};

TEST_F(CeremonyTest, WhatItWritesIsAConfigurationThatPassesItsCheck) {
  options.wan = true;
  options.resolver = "127.0.0.1:5353";
  const auto made = make();
  ASSERT_TRUE(made.has_value()) << made.error().message;
  EXPECT_FALSE(steps.empty());
  const auto config = config::load_cluster(options.dir + "/cluster.yaml");
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->name, "test");
  ASSERT_EQ(config->regions.size(), 2u);
  EXPECT_EQ(config->regions[1].name, "south");
  EXPECT_EQ(config->regions[1].nodes.size(), 2u);
  EXPECT_EQ(config->resolver, "127.0.0.1:5353");
  const auto document = config::load(options.dir + "/cluster.yaml");
  ASSERT_TRUE(document.has_value());
  EXPECT_NE(config::describe(*document).find("north"), std::string::npos);
}

TEST_F(CeremonyTest, ThreeRegionsWithAnEmulatedNetworkPassTooAndSoDoesOne) {
  for (const auto& regions : {std::vector<std::string>{"a", "b", "c"}, std::vector<std::string>{"alone"}}) {
    options.regions = regions;
    options.wan = true;
    options.loopback_timing = regions.size() == 1;
    ASSERT_TRUE(make().has_value());
    const auto config = config::load_cluster(options.dir + "/cluster.yaml");
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->links.size(), regions.size() == 3 ? 3u : 0u);
    fs::remove_all(options.dir);
  }
}

TEST_F(CeremonyTest, AWitnessIsGivenNoKeyOfTheCaAndNoShareOfOne) {
  options.regions = {"north", "watch", "south"};
  options.witnesses = {"watch"};
  options.zones = 1;
  ASSERT_TRUE(make());
  const auto cluster = config::load_cluster(options.dir + "/cluster.yaml");
  ASSERT_TRUE(cluster.has_value()) << cluster.error().message;
  EXPECT_TRUE(cluster->region("watch")->witness);
  std::vector<std::string> held;
  for (const auto& [path, text] : files()) {
    if (path.starts_with("regions/watch/")) held.push_back(path.substr(14));
  }
  EXPECT_EQ(held, (std::vector<std::string>{"node-1.founding", "node-1.key", "node-1.pem"}));
  EXPECT_FALSE(files().contains("public/watch.pem"));
  EXPECT_TRUE(files().contains("regions/north/standby-south.share"));
  EXPECT_FALSE(files().contains("regions/north/ocsp-watch.pem"));
}

TEST_F(CeremonyTest, WhatAWitnessNeedsIsSaid) {
  options.witnesses = {"south"};
  EXPECT_NE(make().error().message.find("two regions"), std::string::npos);
  options.witnesses = {"elsewhere"};
  EXPECT_NE(make().error().message.find("none of the regions"), std::string::npos);
  EXPECT_TRUE(!fs::exists(options.dir) || files().empty());
}

TEST_F(CeremonyTest, NothingIsEverOverwritten) {
  ASSERT_TRUE(make().has_value());
  const auto before = files();
  options.name = "another";
  EXPECT_EQ(make().error().code, Code::kConflict);
  EXPECT_EQ(files(), before);
  fs::remove(options.dir + "/cluster.yaml");
  EXPECT_EQ(make().error().code, Code::kConflict) << "keys are there, and somebody may need them";
}

TEST_F(CeremonyTest, WhatCannotBeMadeIsRefusedBeforeAnythingIsWritten) {
  const auto refused = [&](std::vector<std::string> regions, int zones) {
    options.regions = std::move(regions);
    options.zones = zones;
    const auto made = make();
    return !made && made.error().code == Code::kInvalid && !fs::exists(options.dir);
  };
  EXPECT_TRUE(refused({}, 1));
  EXPECT_TRUE(refused(std::vector<std::string>(26, "r"), 1));
  EXPECT_TRUE(refused({"r"}, 0));
  EXPECT_TRUE(refused({"r"}, 10));
}

TEST_F(CeremonyTest, SecretsAreForTheirOwnerAlone) {
  ASSERT_TRUE(make().has_value());
  int secrets = 0;
  for (const auto& [name, text] : files()) {
    const bool secret = text.find("PRIVATE KEY") != std::string::npos || name == "operator/token" ||
                        name.ends_with("nonce.key") || name.ends_with("/pin") ||
                        name.find("/standby-") != std::string::npos;
    if (!secret) continue;
    ++secrets;
    const auto mode = fs::status(options.dir + "/" + name).permissions();
    EXPECT_EQ(mode & (fs::perms::group_all | fs::perms::others_all), fs::perms::none) << name;
  }
  // root; per region: issuing key, two responders, nonces, two nodes, one edge, the edges' account, the other's
  // standby, its share, and what opens its own one, with the root; operator's key and token.
  EXPECT_EQ(secrets, 1 + 2 * (1 + 2 + 1 + 2 + 1 + 1 + 2 + 1) + 2);
}

TEST_F(CeremonyTest, ARegionsFolderHoldsItsOwnSecretsAlone) {
  ASSERT_TRUE(make().has_value());
  const config::Paths paths(options.dir);
  const auto all = files();
  for (const auto& [name, text] : all) {
    if (text.find("PRIVATE KEY") == std::string::npos || name.ends_with("/edge-account.key")) continue;
    int copies = 0;
    for (const auto& [other, other_text] : all) copies += other_text == text;
    EXPECT_EQ(copies, 1) << name << " is somewhere else too";
  }
  EXPECT_EQ(all.at("regions/north/nonce.key"), all.at("regions/south/nonce.key")) << "each takes the others' nonces";
  EXPECT_EQ(all.at("regions/north/edge-account.key"), all.at("regions/south/edge-account.key"))
      << "each answers the others' challenges";
}

// Of five regions any three of the four others open a region's standby, or what lies with the root; two do not.
TEST_F(CeremonyTest, AMajorityOfTheRegionsOpensAStandbyAndNoRegionAlone) {
  options.regions = {"a", "b", "c", "d", "e"};
  options.zones = 1;
  ASSERT_TRUE(make().has_value());
  const config::Paths paths(options.dir);
  const auto text = [](const std::string& path) {
    std::string all = read_file(os::disk(), path).value();
    all.pop_back();
    return all;
  };
  EXPECT_FALSE(fs::exists(paths.standby("a", "a"))) << "its own key is enough";
  std::vector<keys::Share> shares;
  const std::string issuer = der(paths.issuer("a"));
  for (const std::string other : {"b", "c", "d", "e"}) {
    const auto share = keys::parse_share(text(paths.standby_share(other, "a"))).value();
    EXPECT_EQ(share.threshold, 3);
    shares.push_back(share.share);
    const auto wrapped = from_hex(text(paths.standby(other, "a"))).value();
    const auto standby = keys::open_standby(wrapped, keys::combine(shares).value());
    ASSERT_EQ(standby.has_value(), shares.size() >= 3) << shares.size();
    if (!standby) continue;
    EXPECT_EQ((*standby)->spki_der(), pki::read_certificate(issuer)->spki_der);
  }
  const auto whole = from_hex(text(paths.standby_wrapping_key("a"))).value();
  EXPECT_TRUE(keys::open_standby(from_hex(text(paths.standby("b", "a"))).value(), whole).has_value());
  EXPECT_FALSE(keys::open_standby(from_hex(text(paths.standby("a", "b"))).value(), whole).has_value())
      << "each region's standby has its own";
}

TEST_F(CeremonyTest, OfOneRegionThereIsNoStandby) {
  options.regions = {"alone"};
  ASSERT_TRUE(make().has_value());
  for (const auto& [name, text] : files()) EXPECT_EQ(name.find("standby"), std::string::npos) << name;
}

TEST_F(CeremonyTest, CertificatesChainToTheRootAndFitTheirKeys) {
  ASSERT_TRUE(make().has_value());
  const config::Paths paths(options.dir);
  const std::int64_t now = os::wall_clock().now().seconds();
  const std::string root = der(paths.root_certificate());
  const auto fits = [&](const std::string& base) {
    const auto signer = keys::software_signer(read_file(os::disk(), base + ".key").value()).value();
    return pki::read_certificate(der(base + ".pem"))->spki_der == signer->spki_der();
  };
  for (const std::string region : {"north", "south"}) {
    const std::string issuer = der(paths.issuer(region));
    EXPECT_TRUE(pki::verify_chain(issuer, {}, root, now)) << region;
    for (const auto& base : {paths.node(region, 1), paths.node(region, 2), paths.edge(region, 1)}) {
      EXPECT_TRUE(pki::verify_chain(der(base + ".pem"), {issuer}, root, now)) << base;
      EXPECT_TRUE(fits(base)) << base;
    }
    for (const std::string other : {"north", "south"}) {
      const std::string responder = der(paths.responder(region, other));
      EXPECT_TRUE(pki::verify_chain(responder, {der(paths.issuer(other))}, root, now)) << region << " for " << other;
    }
  }
  EXPECT_TRUE(pki::verify_chain(der(paths.operator_certificate()), {der(paths.issuer("north"))}, root, now));
}

TEST_F(CeremonyTest, AFurtherRegionHasAllThatOneOfTheBeginningHas) {
  options.regions = {"a", "b", "c"};
  options.zones = 1;
  ASSERT_TRUE(make().has_value());
  const auto before = files();
  auto cluster = config::load_cluster(options.dir + "/cluster.yaml");
  ASSERT_TRUE(cluster.has_value());
  const auto lines = add_region({*cluster, "d", {"127.4.0.11"}, "127.4.0.1"}, [](const std::string&) {});
  ASSERT_TRUE(lines.has_value()) << lines.error().message;
  std::string text = before.at("cluster.yaml");
  text.insert(text.find("timing:"), *lines);
  ASSERT_TRUE(write_file_durably(os::disk(), options.dir + "/cluster.yaml", text));
  cluster = config::load_cluster(options.dir + "/cluster.yaml");
  ASSERT_TRUE(cluster.has_value()) << cluster.error().message;
  EXPECT_EQ(cluster->region("d")->id, RegionId{4});
  const config::Paths paths(options.dir);
  const std::int64_t now = os::wall_clock().now().seconds();
  const std::string root = der(paths.root_certificate());
  EXPECT_TRUE(pki::verify_chain(der(paths.node("d", 1) + ".pem"), {der(paths.issuer("d"))}, root, now));
  EXPECT_TRUE(pki::verify_chain(der(paths.edge("d", 1) + ".pem"), {der(paths.issuer("d"))}, root, now));
  const auto line = [](std::string read) {
    while (!read.empty() && read.back() == '\n') read.pop_back();
    return read;
  };
  for (const std::string issuer : {"a", "b", "c", "d"}) {
    std::vector<keys::Share> shares;
    for (const std::string holder : {"a", "b", "c", "d"}) {
      EXPECT_TRUE(pki::verify_chain(der(paths.responder(holder, issuer)), {der(paths.issuer(issuer))}, root, now))
          << holder << " for " << issuer;
      if (holder == issuer) continue;
      shares.push_back(
          keys::parse_share(line(files().at("regions/" + holder + "/standby-" + issuer + ".share"))).value().share);
      const auto wrapped = from_hex(line(files().at("regions/" + holder + "/standby-" + issuer + ".wrapped"))).value();
      const auto standby = keys::open_standby(wrapped, keys::combine(shares).value());
      EXPECT_EQ(standby.has_value(), shares.size() >= 3) << "a majority of four regions, the new one among them";
    }
  }
  for (const std::string kept : {"root/root.key", "regions/a/issuing.key", "public/a.pem", "regions/a/node-1.pem"})
    EXPECT_EQ(files().at(kept), before.at(kept)) << kept;
  const auto again = add_region({*cluster, "d", {"127.4.0.11"}, "127.4.0.1"}, [](const std::string&) {});
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, Code::kConflict);
}

TEST_F(CeremonyTest, AfterARemovalTheRegionsThatAreLeftOpenEachStandbyWithoutTheOneThatWent) {
  options.regions = {"a", "b", "c", "d"};
  ASSERT_TRUE(make().has_value());
  auto cluster = config::load_cluster(options.dir + "/cluster.yaml");
  ASSERT_TRUE(cluster.has_value());
  cluster->regions[1].removed = true;
  const auto before = files();
  ASSERT_TRUE(split_standbys(*cluster, [](const std::string&) {}));
  const auto after = files();
  const auto line = [](std::string read) {
    while (!read.empty() && read.back() == '\n') read.pop_back();
    return read;
  };
  for (const std::string issuer : {"a", "b", "c", "d"}) {
    std::vector<keys::Share> shares;
    for (const std::string holder : {"a", "c", "d"}) {
      if (holder == issuer) continue;
      const std::string path = "regions/" + holder + "/standby-" + issuer;
      shares.push_back(keys::parse_share(line(after.at(path + ".share"))).value().share);
      const auto wrapped = from_hex(line(after.at(path + ".wrapped"))).value();
      const auto standby = keys::open_standby(wrapped, keys::combine(shares).value());
      EXPECT_EQ(standby.has_value(), shares.size() >= 2) << issuer << ": a majority of three regions";
    }
    if (issuer == "b") continue;
    const auto path = "regions/b/standby-" + issuer + ".share";
    EXPECT_EQ(after.at(path), before.at(path)) << "nothing is made for the region that went";
    const auto old = keys::parse_share(line(before.at(path))).value().share;
    const auto wrapped = from_hex(line(after.at("regions/b/standby-" + issuer + ".wrapped"))).value();
    shares.resize(1);
    shares.push_back(old);
    const auto combined = keys::combine(shares);
    EXPECT_FALSE(combined && keys::open_standby(wrapped, *combined)) << "what it took along opens nothing";
  }
}

TEST_F(CeremonyTest, WithoutTheRootThereIsNoFurtherRegion) {
  ASSERT_TRUE(make().has_value());
  const auto cluster = config::load_cluster(options.dir + "/cluster.yaml");
  fs::remove_all(options.dir + "/root");
  const auto before = files();
  const auto refused = add_region({*cluster, "d", {"127.4.0.11"}, "127.4.0.1"}, [](const std::string&) {});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kNotFound);
  EXPECT_EQ(files(), before);
}

}  // namespace
}  // namespace evercert::ceremony
