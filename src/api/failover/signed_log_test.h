// SPDX-License-Identifier: Apache-2.0
// A failover log as nodes write it: each entry sealed, and signed by a node's key with its certificate.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/failover/log_check.h"
#include "base/encoding.h"
#include "keys/software_signer.h"
#include "pki/pem.h"
#include "pki/serial.h"
#include "testkit/test_ca.h"

namespace evercert::api {

struct TestNode {
  std::shared_ptr<pki::Signer> key;
  std::string pem, fingerprint;

  TestNode(testkit::TestCa& ca, const std::string& uri) {
    auto& region = ca.region(1);
    key = keys::software_signer(keys::generate_key_pem(pki::KeyKind::kP256).value()).value();
    const auto subject = pki::PublicKey::from_spki(key->spki_der()).value();
    const auto issuer = pki::CertificateFactory::create({region.certificate_der, {}, {}, {}}, region.signer).value();
    const pki::Profile profile{
        "identity", pki::Usage::kBoth, 400ll * 86400, {pki::NameKind::kDns, pki::NameKind::kUri}};
    const std::string serial = pki::make_serial(region.id, os::secure_random());
    auto tbs = issuer->prepare(profile, {serial,
                                         testkit::kTestNow - 60,
                                         testkit::kTestNow + 398ll * 86400,
                                         "node.test",
                                         {{pki::NameKind::kUri, uri}, {pki::NameKind::kDns, "node.test"}},
                                         &subject});
    const std::string der = issuer->sign(std::move(tbs.value())).value();
    fingerprint = to_hex(sha256(der));
    pem = pki::to_pem("CERTIFICATE", der) + pki::to_pem("CERTIFICATE", region.certificate_der);
  }
  recovery::Signature sign(const std::string& text) const { return {fingerprint, to_base64(key->sign(text).value())}; }
};

struct TestLog {
  std::vector<recovery::LogEntry> entries;

  void write(const TestNode& node, const std::string& by, const std::string& text) {
    recovery::LogEntry& entry = entries.emplace_back();
    entry.number = entries.size();
    entry.at_ms = testkit::kTestNow * 1000;
    entry.by = by;
    entry.text = text;
    recovery::seal(entry, entries.size() > 1 ? entries[entries.size() - 2].hash : "");
    entry.signature = node.sign(recovery::signed_text(entry));
  }
};

inline LogTrust test_trust(const testkit::TestCa& ca) {
  return {"test", ca.root_der, [](NodeId node) {
            const auto number = node.value;
            return number == 257 ? "one/1" : number == 513 ? "two/1" : "";
          }};
}

}  // namespace evercert::api
