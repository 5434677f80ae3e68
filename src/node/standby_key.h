// SPDX-License-Identifier: Apache-2.0
// The standby of another region's issuing key, opened when that region is fenced and this one stands in for it: with
// the shares of a majority of regions, which each of them gives by its own view of the membership.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ca/crl_key.h"
#include "config/config.h"
#include "config/paths.h"
#include "keys/pkcs11.h"
#include "keys/shares.h"
#include "net/http_client.h"

namespace evercert::node {

struct StandbyKeyOptions {
  std::string own, issuer;             // names of regions
  std::string issuer_certificate_der;  // the standby must be its key
  config::Paths paths;
  std::shared_ptr<keys::Pkcs11Token> token;  // of this region; nullptr: keys lie in files
  struct Place {
    std::string region;
    std::vector<net::HttpTarget> nodes;
  };
  std::vector<Place> others;  // that have shares
};

class StandbyKey : public ca::CrlKey {
 public:
  StandbyKey(StandbyKeyOptions options, net::HttpClient& client) : options_(std::move(options)), client_(client) {}

  // kUnavailable: too few regions give their share now; kDenied: what they give does not open it; kNotFound: no standby
  // lies here.
  Task<Opened> open(Executor& on, store::Activation activation) override;
  void put_away() override { opened_.reset(); }

 private:
  struct Key {
    std::string wrapping_key;
    std::string by;  // whose shares it is made of
  };
  Task<Result<Key>> collect(Executor& on);
  Task<Result<keys::MarkedShare>> ask(Executor& on, const StandbyKeyOptions::Place& place);

  StandbyKeyOptions options_;
  net::HttpClient& client_;
  std::shared_ptr<const pki::CrlSigner> opened_;
};

}  // namespace evercert::node
