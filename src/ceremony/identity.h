// SPDX-License-Identifier: Apache-2.0
// The certificates by which the processes of a cluster know each other, signed by a region's issuing CA.
#pragma once

#include <functional>
#include <string>

#include "config/config.h"
#include "pki/certificate.h"
#include "pki/signer.h"

namespace evercert::ceremony {

struct Identity {
  std::string base;          // path: base.key and base.pem are written
  std::string uri;           // evercert://<cluster>/node/<id>
  std::string dns, address;  // may be empty
  std::string serial;        // 16 bytes
  std::string chain_pem;     // of the issuer
};
// Overwrites. kIo, kInvalid.
Status write_identity(const Identity& identity, pki::CertificateFactory& issuer, std::int64_t now_seconds);
// The identity of a node.
Identity node_identity(const std::string& base, const std::string& cluster, NodeId node, const std::string& address);

struct Enrollment {
  config::ClusterConfig cluster;
  std::string region;
  int zone = 0;
  std::string address;  // an IP address
};
// Whose issuing key certifies the region's nodes: its own, or of a witness, which has none, that of the first region
// that keeps records.
const config::RegionConfig& certifier(const config::ClusterConfig& cluster, const config::RegionConfig& region);
// Makes the identity of a node that joins a cluster which exists, with its certifier's key. kConflict: it has one.
// kNotFound: no such region.
Status enroll(const Enrollment& enrollment, std::shared_ptr<pki::Signer> issuing_key,
              const std::function<void(const std::string&)>& progress);

}  // namespace evercert::ceremony
