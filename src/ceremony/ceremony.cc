// SPDX-License-Identifier: Apache-2.0
#include "ceremony/ceremony.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/encoding.h"
#include "base/os/system.h"
#include "ceremony/identity.h"
#include "config/paths.h"
#include "keys/pkcs11.h"
#include "keys/shares.h"
#include "keys/software_signer.h"
#include "keys/standby.h"
#include "pki/certificate.h"
#include "pki/pem.h"
#include "pki/serial.h"

namespace evercert::ceremony {
namespace {

using pki::CertificateFactory;

constexpr std::int64_t kDay = 86400;

class Ceremony {
 public:
  Ceremony(const CeremonyOptions& options, const std::function<void(const std::string&)>& progress)
      : options_(options),
        progress_(progress),
        storing_(storing(options)),
        paths_(options.dir),
        now_(os::wall_clock().now().seconds()) {}

  Status run() {
    if (os::disk().exists(options_.dir + "/cluster.yaml") || os::disk().exists(options_.dir + "/public")) {
      return fail(Code::kConflict,
                  options_.dir + " holds a cluster already: nothing was changed; choose another folder");
    }
    EC_TRY(check_witnesses());
    if (options_.regions.empty() || options_.regions.size() > 25 || options_.zones < 1 || options_.zones > 9) {
      return fail(Code::kInvalid, "1 to 25 regions of 1 to 9 zones");
    }
    for (const char* folder : {"/public", "/root", "/operator"}) EC_TRY(os::disk().make_dirs(options_.dir + folder));
    for (const auto& region : options_.regions) EC_TRY(os::disk().make_dirs(paths_.region_dir(region)));
    EC_TRY(make_root());
    for (const auto& region : storing_) EC_TRY(make_issuer(region));
    for (const auto& region : storing_) EC_TRY(make_responders(region));
    EC_TRY(make_identities());
    const std::string nonce_key = to_hex(os::secure_random().bytes(32));
    for (const auto& region : storing_) EC_TRY(write(paths_.nonce_key(region), nonce_key + "\n", 0600));
    for (const auto& region : storing_) EC_TRY(make_ticket_secret(region));
    EC_ASSIGN(const auto edge_account, keys::generate_key_pem(pki::KeyKind::kP256));
    for (const auto& region : storing_) EC_TRY(write(paths_.edge_account(region), edge_account, 0600));
    EC_TRY(write(options_.dir + "/cluster.yaml", cluster_yaml(), 0644));
    progress_("cluster file: " + options_.dir + "/cluster.yaml");
    return {};
  }

  // `options_` is of the cluster as it will be, the new region the last one.
  Result<std::string> add(const NewRegion& wanted) {
    const std::string& region = wanted.name;
    if (wanted.cluster.region(region) != nullptr || os::disk().exists(paths_.issuer(region)))
      return fail(Code::kConflict, options_.dir + ": region '" + region + "' is there already: nothing was changed");
    if (options_.regions.size() > 25 || wanted.nodes.empty() || wanted.nodes.size() > 9)
      return fail(Code::kInvalid, "1 to 25 regions of 1 to 9 zones");
    EC_TRY(open_all(wanted.cluster));
    EC_TRY(os::disk().make_dirs(paths_.region_dir(region)));
    EC_ASSIGN(const auto nonce_key, read_file(os::disk(), paths_.nonce_key(storing_.front())));
    EC_TRY(write(paths_.nonce_key(region), nonce_key, 0600));
    EC_TRY(make_ticket_secret(region));
    EC_TRY(share_edge_account(region));
    EC_TRY(make_issuer(region));
    for (const auto& other : storing_) {
      if (other != region) EC_TRY(spread_standby_anew(other));
    }
    EC_TRY(make_responders(region));
    for (const auto& other : storing_) {
      if (other != region && !options_.removed.contains(other))
        EC_TRY(make_responder(other, options_.regions.size() - 1));
    }
    const std::size_t number = options_.regions.size();
    for (std::size_t z = 0; z < wanted.nodes.size(); ++z) {
      const NodeId node = node_id(RegionId{static_cast<std::uint8_t>(number)}, static_cast<std::uint8_t>(z + 1));
      EC_TRY(make_identity(
          node_identity(paths_.node(region, static_cast<int>(z + 1)), options_.name, node, wanted.nodes[z]), region));
    }
    EC_TRY(make_edge_identity(region, wanted.edge));
    EC_TRY(write(paths_.bundle(), bundle_, 0644));
    const auto& like =
        *std::ranges::find_if(wanted.cluster.regions, [](const auto& one) { return !one.removed && !one.witness; });
    std::string out = "  - name: " + region + "\n    edges:\n      - {address: " + wanted.edge +
                      ", https_port: " + std::to_string(like.edges.front().https_port) +
                      ", http_port: " + std::to_string(like.edges.front().http_port) + "}\n    nodes:\n";
    for (std::size_t z = 0; z < wanted.nodes.size(); ++z) {
      const config::NodeConfig& ports = like.nodes.front();
      out += "      - {zone: " + std::to_string(z + 1) + ", address: " + wanted.nodes[z] +
             ", link_port: " + std::to_string(ports.link_port) + ", api_port: " + std::to_string(ports.api_port) +
             ", status_port: " + std::to_string(ports.status_port) + ", peer_port: " + std::to_string(ports.peer_port) +
             "}\n";
    }
    if (options_.hsm) out += "    hsm: {module: " + options_.hsm_module + ", token: " + token_label(region) + "}\n";
    return out;
  }

  Status split_anew() {
    for (const auto& region : storing_) EC_TRY(spread_standby_anew(region));
    return {};
  }

 private:
  // As the cluster file is checked (config.cc).
  Status check_witnesses() const {
    for (const auto& name : options_.witnesses) {
      if (std::ranges::find(options_.regions, name) == options_.regions.end())
        return fail(Code::kInvalid, "witness '" + name + "' is none of the regions: name it among --regions too");
    }
    if (options_.witnesses.empty()) return {};
    if (storing_.size() < 2) return fail(Code::kInvalid, "a witness needs two regions at least that keep records");
    if (2 * options_.witnesses.size() > options_.regions.size())
      return fail(Code::kInvalid, "witnesses would be a majority by themselves, and they keep no records");
    return {};
  }

  bool is_witness(const std::string& region) const {
    return std::ranges::find(options_.witnesses, region) != options_.witnesses.end();
  }

  static std::vector<std::string> storing(const CeremonyOptions& options) {
    std::vector<std::string> names = options.regions;
    std::erase_if(
        names, [&](const auto& name) { return std::ranges::find(options.witnesses, name) != options.witnesses.end(); });
    return names;
  }

  // What an earlier ceremony made.
  Status open_all(const config::ClusterConfig& cluster) {
    if (!os::disk().exists(paths_.root_key()))
      return fail(Code::kNotFound,
                  paths_.root_key() +
                      " is not here: a new region is certified by the root. Bring its folder back, and "
                      "take it away afterwards");
    EC_ASSIGN(const auto root_pem, read_file(os::disk(), paths_.root_key()));
    EC_ASSIGN(root_signer_, keys::software_signer(root_pem));
    EC_ASSIGN(root_der_, certificate(paths_.root_certificate()));
    EC_ASSIGN(bundle_, read_file(os::disk(), paths_.bundle()));
    EC_ASSIGN(root_, CertificateFactory::create({root_der_, {}, {}, {}}, root_signer_));
    for (const auto& region : cluster.regions) {
      if (region.witness) continue;
      std::shared_ptr<pki::Signer> signer;
      if (options_.hsm) {
        if (tokens_.empty()) setenv("SOFTHSM2_CONF", paths_.softhsm_conf(region.name).c_str(), 0);
        EC_ASSIGN(auto pin, read_file(os::disk(), paths_.pin(region.name)));
        while (!pin.empty() && pin.back() == '\n') pin.pop_back();
        EC_ASSIGN(tokens_[region.name], keys::open_token(region.hsm_module, region.hsm_token, pin));
        EC_ASSIGN(signer, tokens_[region.name]->signer("issuing"));
      } else {
        EC_ASSIGN(const auto pem, read_file(os::disk(), paths_.key(region.name, "issuing")));
        EC_ASSIGN(signer, keys::software_signer(pem));
      }
      EC_ASSIGN(const auto der, certificate(paths_.issuer(region.name)));
      EC_ASSIGN(issuers_[region.name], CertificateFactory::create({der, {}, {}, {}}, std::move(signer)));
    }
    return {};
  }

  Result<std::string> certificate(const std::string& path) const {
    EC_ASSIGN(const auto pem, read_file(os::disk(), path));
    EC_ASSIGN(const auto ders, pki::from_pem("CERTIFICATE", pem));
    return ders.front();
  }

  Status write(const std::string& path, const std::string& text, mode_t mode) {
    EC_TRY(write_file_durably(os::disk(), path, text));
    if (chmod(path.c_str(), mode) != 0) return fail(Code::kIo, path + ": permissions cannot be set");
    return {};
  }

  std::string serial(std::size_t region) {
    return pki::make_serial(RegionId{static_cast<std::uint8_t>(region + 1)}, os::secure_random());
  }

  // A key under `label` of the region: in its token, or in a file.
  Result<std::shared_ptr<pki::Signer>> make_key(const std::string& region, const std::string& label) {
    if (!options_.hsm) {
      EC_ASSIGN(const auto pem, keys::generate_key_pem(pki::KeyKind::kP256));
      EC_TRY(write(paths_.key(region, label), pem, 0600));
      return keys::software_signer(pem);
    }
    EC_TRY(tokens_.at(region)->generate(label, pki::KeyKind::kP256));
    return tokens_.at(region)->signer(label);
  }

  // Who gets a share of what opens the standby of a region's key: a witness keeps nothing of anybody's.
  std::vector<std::string> sharers(const std::string& issuer) const {
    std::vector<std::string> others;
    for (const auto& other : storing_) {
      if (other != issuer && !options_.removed.contains(other)) others.push_back(other);
    }
    return others;
  }
  // Of them, a majority of all regions: as many as may fence the issuer. With two regions the other alone.
  std::uint8_t shares_needed(const std::string& issuer) const {
    const auto regions = static_cast<std::size_t>(
        std::ranges::count_if(storing_, [&](const auto& name) { return !options_.removed.contains(name); }));
    return static_cast<std::uint8_t>(std::min(regions / 2 + 1, sharers(issuer).size()));
  }

  // An issuing key, and its standby in every other region.
  Result<std::shared_ptr<pki::Signer>> make_issuing_key(const std::string& region) {
    const std::string label = "issuing";
    const std::size_t others = storing_.size() - 1;
    if (others == 0) return make_key(region, label);
    const std::string wrapping_key = os::secure_random().bytes(keys::kWrappingKeyBytes);
    std::string wrapped;
    std::shared_ptr<pki::Signer> signer;
    if (options_.hsm) {
      EC_ASSIGN(wrapped, tokens_.at(region)->generate_with_standby(label, pki::KeyKind::kP256, wrapping_key));
      EC_ASSIGN(signer, tokens_.at(region)->signer(label));
    } else {
      EC_ASSIGN(const auto pem, keys::generate_key_pem(pki::KeyKind::kP256));
      EC_TRY(write(paths_.key(region, label), pem, 0600));
      EC_ASSIGN(wrapped, keys::wrap_key(pem, wrapping_key));
      EC_ASSIGN(signer, keys::software_signer(pem));
    }
    EC_TRY(write(paths_.standby_wrapping_key(region), to_hex(wrapping_key) + "\n", 0600));
    EC_TRY(spread_standby(region, to_hex(wrapped) + "\n", wrapping_key));
    return signer;
  }

  // To every other region the standby of the key, and a share of what opens it.
  Status spread_standby(const std::string& region, const std::string& wrapped_hex, const std::string& wrapping_key) {
    const auto others = sharers(region);
    const std::uint8_t needed = shares_needed(region);
    EC_ASSIGN(const auto shares, keys::split(wrapping_key, needed, static_cast<std::uint8_t>(others.size())));
    auto share = shares.begin();
    for (const auto& other : others) {
      EC_TRY(write(paths_.standby(other, region), wrapped_hex, 0600));
      EC_TRY(write(paths_.standby_share(other, region), keys::to_text({needed, *share++}), 0600));
    }
    return {};
  }

  // Among one region more than before, or fewer. A region that was alone has no standby of its key.
  Status spread_standby_anew(const std::string& region) {
    const auto others = sharers(region);
    const auto holder = std::ranges::find_if(
        others, [&](const std::string& other) { return os::disk().exists(paths_.standby(other, region)); });
    if (holder == others.end()) {
      progress_("no standby of the key of " + region + ": it was made when there was no other region");
      return {};
    }
    progress_("standby of " + region + ", its shares split anew among " + std::to_string(others.size()) + " regions");
    EC_ASSIGN(auto hex, read_file(os::disk(), paths_.standby_wrapping_key(region)));
    while (!hex.empty() && hex.back() == '\n') hex.pop_back();
    EC_ASSIGN(const auto wrapping_key, from_hex(hex));
    EC_ASSIGN(const auto wrapped_hex, read_file(os::disk(), paths_.standby(*holder, region)));
    return spread_standby(region, wrapped_hex, wrapping_key);
  }

  Status make_root() {
    progress_("root key and certificate");
    EC_ASSIGN(const auto pem, keys::generate_key_pem(pki::KeyKind::kP256));
    EC_TRY(write(paths_.root_key(), pem, 0600));
    EC_ASSIGN(root_signer_, keys::software_signer(pem));
    EC_ASSIGN(root_der_, pki::make_root("Evercert Root " + options_.name, serial(0), now_, *root_signer_));
    bundle_ = pki::to_pem("CERTIFICATE", root_der_);
    EC_TRY(write(paths_.root_certificate(), bundle_, 0644));
    EC_ASSIGN(root_, CertificateFactory::create({root_der_, {}, {}, {}}, root_signer_));
    return {};
  }

  Status make_token(const std::string& region) {
    // SoftHSM2 reads its configuration once per process, so one ceremony puts the tokens side by side in one folder. On
    // machines of their own each region takes its token folder along.
    const std::string conf = paths_.softhsm_conf(region);
    EC_TRY(write(conf,
                 "directories.tokendir = " + options_.dir + "/tokens\nobjectstore.backend = file\nlog.level = ERROR\n",
                 0644));
    if (tokens_.empty()) {
      EC_TRY(os::disk().make_dirs(options_.dir + "/tokens"));
      setenv("SOFTHSM2_CONF", conf.c_str(), 1);
    }
    const std::string pin = to_hex(os::secure_random().bytes(8));
    EC_TRY(write(paths_.pin(region), pin + "\n", 0600));
    EC_TRY(keys::create_token(options_.hsm_module, token_label(region), pin));
    EC_ASSIGN(tokens_[region], keys::open_token(options_.hsm_module, token_label(region), pin));
    return {};
  }

  std::string token_label(const std::string& region) const { return ("evercert-" + region).substr(0, 32); }

  // Of the region alone: its edges go on with each other's TLS sessions.
  // Clusters of before have none, and get none by the way.
  Status share_edge_account(const std::string& region) {
    const std::string theirs = paths_.edge_account(storing_.front());
    if (!os::disk().exists(theirs)) return {};
    EC_ASSIGN(const auto key, read_file(os::disk(), theirs));
    return write(paths_.edge_account(region), key, 0600);
  }

  Status make_ticket_secret(const std::string& region) {
    return write(paths_.ticket_secret(region), to_hex(os::secure_random().bytes(32)) + "\n", 0600);
  }

  Status make_issuer(const std::string& region) {
    progress_("issuing CA of " + region + (options_.hsm ? " in its own token" : "") +
              (storing_.size() > 1 ? ", its standby in the others" : ""));
    if (options_.hsm) EC_TRY(make_token(region));
    EC_ASSIGN(auto signer, make_issuing_key(region));
    EC_ASSIGN(const auto key, pki::PublicKey::from_spki(signer->spki_der()));
    const pki::Profile profile{"issuing", pki::Usage::kIssuingCa, 3650 * kDay, {}};
    EC_ASSIGN(
        auto tbs,
        root_->prepare(profile, {serial(0), now_ - 60, now_ + 3600 * kDay, "Evercert Issuing CA " + region, {}, &key}));
    EC_ASSIGN(const auto der, root_->sign(std::move(tbs)));
    const std::string pem = pki::to_pem("CERTIFICATE", der);
    bundle_ += pem;
    EC_TRY(write(paths_.issuer(region), pem, 0644));
    EC_ASSIGN(issuers_[region], CertificateFactory::create({der, {}, {}, {}}, std::move(signer)));
    return {};
  }

  // RFC 6960 section 4.2.2.2: a delegate is named by the issuer whose certificates it answers for, so every region
  // holds one per issuer.
  Status make_responders(const std::string& region) {
    progress_("OCSP responders of " + region);
    for (std::size_t i = 0; i < options_.regions.size(); ++i) {
      if (!is_witness(options_.regions[i])) EC_TRY(make_responder(region, i));
    }
    return {};
  }

  Status make_responder(const std::string& region, std::size_t i) {
    const std::string& issuer = options_.regions[i];
    EC_ASSIGN(const auto signer, make_key(region, "ocsp-" + issuer));
    EC_ASSIGN(const auto key, pki::PublicKey::from_spki(signer->spki_der()));
    const pki::Profile profile{"ocsp", pki::Usage::kOcspResponder, 400 * kDay, {}};
    EC_ASSIGN(auto tbs,
              issuers_.at(issuer)->prepare(
                  profile, {serial(i), now_ - 60, now_ + 398 * kDay, "OCSP " + issuer + " at " + region, {}, &key}));
    EC_ASSIGN(const auto der, issuers_.at(issuer)->sign(std::move(tbs)));
    return write(paths_.responder(region, issuer), pki::to_pem("CERTIFICATE", der), 0644);
  }

  Status make_identity(Identity identity, const std::string& issuer) {
    identity.serial = serial(0);
    EC_ASSIGN(identity.chain_pem, read_file(os::disk(), paths_.issuer(issuer)));
    return write_identity(identity, *issuers_.at(issuer), now_);
  }

  Status make_edge_identity(const std::string& region, const std::string& address) {
    return make_identity({paths_.edge(region, 1),
                          "evercert://" + options_.name + "/edge/" + region + "/1",
                          "edge." + region + ".evercert.test",
                          address,
                          {},
                          {}},
                         region);
  }

  Status make_identities() {
    progress_("identities of nodes, edges and the operator");
    const std::string prefix = "evercert://" + options_.name + "/";
    for (std::size_t r = 0; r < options_.regions.size(); ++r) {
      const std::string& region = options_.regions[r];
      for (int zone = 1; zone <= options_.zones; ++zone) {
        const NodeId node = node_id(RegionId{static_cast<std::uint8_t>(r + 1)}, static_cast<std::uint8_t>(zone));
        EC_TRY(make_identity(node_identity(paths_.node(region, zone), options_.name, node, node_address(r, zone)),
                             is_witness(region) ? storing_.front() : region));
        EC_TRY(write(paths_.founding(region, zone), "made for the new cluster " + options_.name + "\n", 0600));
      }
      if (!is_witness(region)) EC_TRY(make_edge_identity(region, edge_address(r)));
    }
    EC_TRY(make_identity({options_.dir + "/operator/operator", prefix + "operator/admin", {}, {}, {}, {}},
                         storing_.front()));
    token_ = to_base64url(os::secure_random().bytes(24));
    EC_TRY(write(paths_.operator_token(), token_ + "\n", 0600));
    return write(paths_.bundle(), bundle_, 0644);
  }

  static std::string edge_address(std::size_t region) { return "127." + std::to_string(region + 1) + ".0.1"; }
  static std::string node_address(std::size_t region, int zone) {
    return "127." + std::to_string(region + 1) + ".0." + std::to_string(10 + zone);
  }

  std::string cluster_yaml() const {
    std::string out =
        "# All processes of this cluster share this file. evercert config check cluster.yaml explains it.\nevercert: "
        "1\ncluster:\n  name: " +
        options_.name + "\n  id: " + to_hex(os::secure_random().bytes(16)) + "\nregions:\n";
    for (std::size_t r = 0; r < options_.regions.size(); ++r) {
      const bool witness = is_witness(options_.regions[r]);
      out += "  - name: " + options_.regions[r] + "\n";
      if (witness) {
        out += "    witness: true  # votes and keeps no records\n    nodes:\n";
        for (int zone = 1; zone <= options_.zones; ++zone)
          out += "      - {zone: " + std::to_string(zone) + ", address: " + node_address(r, zone) +
                 ", status_port: 9080, peer_port: 9444}\n";
        continue;
      }
      out += "    edges:\n      - {address: " + edge_address(r) + ", https_port: 8443, http_port: 8080}\n    nodes:\n";
      for (int zone = 1; zone <= options_.zones; ++zone) {
        out += "      - {zone: " + std::to_string(zone) + ", address: " + node_address(r, zone) +
               ", link_port: 9445, api_port: 9443, status_port: 9080, peer_port: 9444}\n";
      }
      if (options_.hsm)
        out += "    hsm: {module: " + options_.hsm_module + ", token: " + token_label(options_.regions[r]) + "}\n";
    }
    out += std::string("timing: {profile: ") + (options_.loopback_timing ? "loopback" : "wan") + "}\n";
    out += std::string("emulated_wan:\n  enabled: ") + (options_.wan ? "true" : "false") + "\n" + links();
    out += "acme: {http01_port: " + std::to_string(options_.http01_port) +
           (options_.resolver.empty() ? "" : ", resolver: \"" + options_.resolver + "\"") + "}\n";
    out += "tokens:\n  - {name: operator, sha256: " + to_hex(sha256(token_)) + ", role: operator}\n";
    out +=
        "global_load_balancer:\n  health_checks: {interval: 5, timeout: 2, unhealthy_threshold: 2, healthy_threshold: "
        "3}\n";
    return out;
  }

  // Round trips between three regions of a large cloud, median and 90 %.
  std::string links() const {
    if (options_.regions.size() != 3) return {};
    const auto& r = options_.regions;
    const auto link = [](const std::string& a, const std::string& b, const char* p50, const char* p90) {
      return "    - {between: " + a + ", and: " + b + ", rtt_p50_ms: " + p50 + ", rtt_p90_ms: " + p90 + "}\n";
    };
    return "  links:\n" + link(r[0], r[1], "64", "69") + link(r[0], r[2], "93", "99") + link(r[1], r[2], "143", "146");
  }

  const CeremonyOptions& options_;
  const std::function<void(const std::string&)>& progress_;
  const std::vector<std::string> storing_;  // the regions without the witnesses: a witness has no key and no share
  config::Paths paths_;
  std::int64_t now_;
  std::shared_ptr<pki::Signer> root_signer_;
  std::string root_der_, bundle_, token_;
  std::unique_ptr<CertificateFactory> root_;
  std::map<std::string, std::unique_ptr<CertificateFactory>> issuers_;
  std::map<std::string, std::shared_ptr<keys::Pkcs11Token>> tokens_;
};

}  // namespace

namespace {

CeremonyOptions options_of(const config::ClusterConfig& cluster) {
  CeremonyOptions options;
  options.dir = cluster.dir;
  options.name = cluster.name;
  options.regions.clear();
  for (const auto& known : cluster.regions) {
    options.regions.push_back(known.name);
    if (known.removed) options.removed.insert(known.name);
    if (known.witness) options.witnesses.push_back(known.name);
    if (!known.hsm_module.empty()) options.hsm_module = known.hsm_module;
  }
  options.hsm = std::ranges::any_of(cluster.regions, [](const auto& known) { return !known.hsm_module.empty(); });
  return options;
}

}  // namespace

Result<std::string> add_region(const NewRegion& region, const std::function<void(const std::string&)>& progress) {
  CeremonyOptions options = options_of(region.cluster);
  options.regions.push_back(region.name);
  return Ceremony(options, progress).add(region);
}

Status split_standbys(const config::ClusterConfig& cluster, const std::function<void(const std::string&)>& progress) {
  const CeremonyOptions options = options_of(cluster);
  return Ceremony(options, progress).split_anew();
}

Status run(const CeremonyOptions& options, const std::function<void(const std::string&)>& progress) {
  return Ceremony(options, progress).run();
}

}  // namespace evercert::ceremony
