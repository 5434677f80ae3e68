// SPDX-License-Identifier: Apache-2.0
// Where the files of a cluster lie, below the folder of its cluster.yaml. A region's folder holds its own secrets only.
#pragma once

#include <string>

#include "config/config.h"

namespace evercert::config {

struct Paths {
  explicit Paths(std::string d) : dir(std::move(d)) {}
  std::string dir;

  std::string root_certificate() const { return dir + "/public/root.pem"; }
  std::string bundle() const { return dir + "/public/bundle.pem"; }  // root and issuing CAs
  std::string issuer(const std::string& region) const { return dir + "/public/" + region + ".pem"; }
  std::string root_key() const { return dir + "/root/root.key"; }
  std::string operator_token() const { return dir + "/operator/token"; }
  std::string operator_certificate() const { return dir + "/operator/operator.pem"; }
  std::string operator_key() const { return dir + "/operator/operator.key"; }
  std::string region_dir(const std::string& region) const { return dir + "/regions/" + region; }
  // Authenticates ACME nonces: the same in all regions, so that each accepts the others'.
  std::string nonce_key(const std::string& region) const { return region_dir(region) + "/nonce.key"; }
  std::string pin(const std::string& region) const { return region_dir(region) + "/pin"; }
  std::string softhsm_conf(const std::string& region) const { return region_dir(region) + "/softhsm2.conf"; }
  std::string key(const std::string& region, const std::string& label) const {
    return region_dir(region) + "/" + label + ".key";
  }
  std::string responder(const std::string& region, const std::string& issuer) const {
    return region_dir(region) + "/ocsp-" + issuer + ".pem";
  }
  // The standby of another region's issuing key, and this region's share of what opens it (keys/standby.h). The whole
  // of that lies with the root's key; a copy of it in a region's folder opens the standby there without the others.
  std::string standby(const std::string& region, const std::string& issuer) const {
    return region_dir(region) + "/standby-" + issuer + ".wrapped";
  }
  std::string standby_share(const std::string& region, const std::string& issuer) const {
    return region_dir(region) + "/standby-" + issuer + ".share";
  }
  std::string standby_wrapping_key(const std::string& issuer) const { return dir + "/root/standby-" + issuer + ".key"; }
  std::string standby_wrapping_key_at(const std::string& region, const std::string& issuer) const {
    return region_dir(region) + "/standby-" + issuer + ".key";
  }
  std::string node(const std::string& region, int zone) const {
    return region_dir(region) + "/node-" + std::to_string(zone);
  }
  // That the node was made for a new cluster (node/founding.h).
  std::string founding(const std::string& region, int zone) const { return node(region, zone) + ".founding"; }
  // What the session tickets of the region's edges are made from (net/ticket_keys.h).
  std::string ticket_secret(const std::string& region) const { return region_dir(region) + "/tickets.key"; }
  // Of the ACME account of the edges, the same in all regions: any of them answers the challenges of any other.
  std::string edge_account(const std::string& region) const { return region_dir(region) + "/edge-account.key"; }
  std::string edge_acme_certificate(const std::string& region, int number) const {
    return edge(region, number) + "-acme.pem";
  }
  // What has become of the edge's canary (traffic/edge/canary_file.h).
  std::string edge_canary(const std::string& region, int number) const { return edge(region, number) + "-canary.json"; }
  std::string edge(const std::string& region, int number) const {
    return region_dir(region) + "/edge-" + std::to_string(number);
  }
};

}  // namespace evercert::config
