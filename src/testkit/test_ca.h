// SPDX-License-Identifier: Apache-2.0
// A root and one issuing CA per region over a MemoryStore, with keys in memory: what a cluster's nodes are made of.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/fake_disk.h"
#include "base/os/system.h"
#include "ca/ca.h"
#include "testkit/fakes.h"
#include "testkit/memory_store.h"

namespace evercert::testkit {

// Seconds. Today: OpenSSL's verifiers look at the machine's clock.
inline const std::int64_t kTestNow = os::wall_clock().now().seconds();

struct TestRegion {
  RegionId id;
  std::shared_ptr<pki::Signer> signer;
  std::string certificate_der;
  FakeDisk disk;  // of its one node
  // Of the node's present life.
  std::unique_ptr<MortalExecutor> executor;
  std::unique_ptr<ca::Intents> intents;
  std::unique_ptr<ca::CertificateAuthority> ca;
};

class TestCa {
 public:
  explicit TestCa(std::size_t regions);

  TestRegion& region(std::size_t number) { return *regions_.at(number - 1); }  // from 1
  // The node ends and starts again on the disk as it is.
  Status restart(TestRegion& region);
  // A request for DNS names, by a new P-256 key.
  static std::string csr_pem(const std::vector<std::string>& names);
  static pki::Csr csr(const std::vector<std::string>& names);
  // A delegated responder of `issuer` with its signer.
  std::pair<std::string, std::shared_ptr<pki::Signer>> responder(TestRegion& issuer);

  FakeWallClock wall{kTestNow};
  FakeMonotonicClock clock;
  ManualExecutor executor;
  MemoryStore store;
  std::string root_der;
  bool must_staple = false;  // of the profile of nodes that start from now on

 private:
  std::shared_ptr<pki::CertificateFactory> factory(const TestRegion& region) const;

  std::vector<std::unique_ptr<TestRegion>> regions_;
};

}  // namespace evercert::testkit
