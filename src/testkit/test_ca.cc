// SPDX-License-Identifier: Apache-2.0
#include "testkit/test_ca.h"

#include "base/os/system.h"
#include "keys/software_signer.h"
#include "pki/pem.h"
#include "pki/serial.h"

namespace evercert::testkit {
namespace {

std::shared_ptr<pki::Signer> new_signer() {
  return keys::software_signer(keys::generate_key_pem(pki::KeyKind::kP256).value()).value();
}

std::string certified(const pki::CertificateFactory& issuer, pki::Usage usage, RegionId region,
                      const pki::Signer& subject, const std::string& name) {
  const auto key = pki::PublicKey::from_spki(subject.spki_der()).value();
  const pki::Profile profile{name, usage, 3650ll * 86400, {}};
  const std::string serial = pki::make_serial(region, os::secure_random());
  return issuer
      .sign(issuer.prepare(profile, {serial, kTestNow - 60, kTestNow + 3600ll * 86400, name, {}, &key}).value())
      .value();
}

}  // namespace

TestCa::TestCa(std::size_t regions) : store(regions) {
  auto root_signer = new_signer();
  root_der =
      pki::make_root("Test Root", pki::make_serial(RegionId{1}, os::secure_random()), kTestNow, *root_signer).value();
  const auto root = pki::CertificateFactory::create({root_der, {}, {}, {}}, root_signer).value();
  for (std::size_t r = 1; r <= regions; ++r) {
    auto region = std::make_unique<TestRegion>();
    region->id = RegionId{static_cast<std::uint8_t>(r)};
    region->signer = new_signer();
    region->certificate_der =
        certified(*root, pki::Usage::kIssuingCa, RegionId{1}, *region->signer, "Test CA " + std::to_string(r));
    EC_CHECK(region->disk.make_dirs("/node").has_value(), "a fresh disk takes a folder");
    regions_.push_back(std::move(region));
  }
  for (auto& region : regions_) EC_CHECK(restart(*region).has_value(), "a node starts on an empty disk");
}

std::shared_ptr<pki::CertificateFactory> TestCa::factory(const TestRegion& region) const {
  return pki::CertificateFactory::create({region.certificate_der, {}, {}, {}}, region.signer).value();
}

Status TestCa::restart(TestRegion& region) {
  region.executor = std::make_unique<MortalExecutor>(executor);
  region.ca.reset();
  region.intents.reset();
  EC_ASSIGN(region.intents, ca::Intents::open(region.disk, "/node/intents", *region.executor));
  ca::CaOptions options;
  options.region = region.id;
  options.regions = regions_.size();
  options.profiles["server"] = {
      "server", pki::Usage::kServer, 90 * 86400, {pki::NameKind::kDns, pki::NameKind::kIp}, must_staple};
  for (const auto& each : regions_) {
    options.issuers[each->id.value] = {"region-" + std::to_string(each->id.value),
                                       pki::to_pem("CERTIFICATE", each->certificate_der)};
  }
  region.ca = std::make_unique<ca::CertificateAuthority>(std::move(options), store, factory(region), *region.intents,
                                                         wall, os::secure_random());
  return {};
}

std::string TestCa::csr_pem(const std::vector<std::string>& names) {
  std::vector<pki::Name> wanted;
  for (const auto& name : names) wanted.push_back({pki::NameKind::kDns, name});
  return keys::make_csr_pem(keys::generate_key_pem(pki::KeyKind::kP256).value(), wanted).value();
}

pki::Csr TestCa::csr(const std::vector<std::string>& names) { return pki::parse_csr_pem(csr_pem(names)).value(); }

std::pair<std::string, std::shared_ptr<pki::Signer>> TestCa::responder(TestRegion& issuer) {
  auto signer = new_signer();
  auto der = certified(*factory(issuer), pki::Usage::kOcspResponder, issuer.id, *signer, "responder");
  return {std::move(der), std::move(signer)};
}

}  // namespace evercert::testkit
