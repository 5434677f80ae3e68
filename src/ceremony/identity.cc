// SPDX-License-Identifier: Apache-2.0
#include "ceremony/identity.h"

#include <sys/stat.h>

#include <algorithm>
#include <memory>

#include "base/os/system.h"
#include "config/paths.h"
#include "keys/software_signer.h"
#include "pki/pem.h"
#include "pki/serial.h"

namespace evercert::ceremony {
namespace {

// Of its use; the profile's limit is a little longer, for clocks that are behind.
constexpr std::int64_t kIdentityUse = 398 * 86400, kIdentityLifetime = 400 * 86400;

Status write(const std::string& path, const std::string& text, mode_t mode) {
  EC_TRY(write_file_durably(os::disk(), path, text));
  if (chmod(path.c_str(), mode) != 0) return fail(Code::kIo, path + ": permissions cannot be set");
  return {};
}

}  // namespace

Status write_identity(const Identity& identity, pki::CertificateFactory& issuer, std::int64_t now) {
  EC_ASSIGN(const auto key_pem, keys::generate_key_pem(pki::KeyKind::kP256));
  EC_TRY(write(identity.base + ".key", key_pem, 0600));
  EC_ASSIGN(const auto signer, keys::software_signer(key_pem));
  EC_ASSIGN(const auto key, pki::PublicKey::from_spki(signer->spki_der()));
  const pki::Profile profile{
      "identity", pki::Usage::kBoth, kIdentityLifetime, {pki::NameKind::kDns, pki::NameKind::kIp, pki::NameKind::kUri}};
  std::vector<pki::Name> names{{pki::NameKind::kUri, identity.uri}};
  if (!identity.dns.empty()) names.push_back({pki::NameKind::kDns, identity.dns});
  if (!identity.address.empty()) names.push_back({pki::NameKind::kIp, identity.address});
  EC_ASSIGN(auto tbs,
            issuer.prepare(profile, {identity.serial, now - 60, now + kIdentityUse, identity.dns, names, &key}));
  EC_ASSIGN(const auto der, issuer.sign(std::move(tbs)));
  return write(identity.base + ".pem", pki::to_pem("CERTIFICATE", der) + identity.chain_pem, 0644);
}

Identity node_identity(const std::string& base, const std::string& cluster, NodeId node, const std::string& address) {
  const std::string id = std::to_string(node.value);
  return {base, "evercert://" + cluster + "/node/" + id, "node-" + id + "." + cluster + ".internal", address, {}, {}};
}

const config::RegionConfig& certifier(const config::ClusterConfig& cluster, const config::RegionConfig& region) {
  if (!region.witness) return region;
  return *std::ranges::find_if(cluster.regions, [](const auto& one) { return !one.witness && !one.removed; });
}

Status enroll(const Enrollment& enrollment, std::shared_ptr<pki::Signer> issuing_key,
              const std::function<void(const std::string&)>& progress) {
  const config::RegionConfig* region = enrollment.cluster.region(enrollment.region);
  if (region == nullptr)
    return fail(Code::kNotFound, enrollment.cluster.path + ": there is no region '" + enrollment.region + "'");
  const config::Paths paths(enrollment.cluster.dir);
  const std::string base = paths.node(region->name, enrollment.zone);
  if (os::disk().exists(base + ".pem"))
    return fail(Code::kConflict,
                base + ".pem is there already: nothing was changed; choose another zone, or move it away");
  const config::RegionConfig& by = certifier(enrollment.cluster, *region);
  EC_ASSIGN(const auto issuer_pem, read_file(os::disk(), paths.issuer(by.name)));
  EC_TRY(os::disk().make_dirs(paths.region_dir(region->name)));
  EC_ASSIGN(const auto issuer_der, pki::from_pem("CERTIFICATE", issuer_pem));
  EC_ASSIGN(auto issuer, pki::CertificateFactory::create({issuer_der.front(), {}, {}, {}}, std::move(issuing_key)));
  Identity identity =
      node_identity(base, enrollment.cluster.name, node_id(region->id, static_cast<std::uint8_t>(enrollment.zone)),
                    enrollment.address);
  identity.serial = pki::make_serial(by.id, os::secure_random());
  identity.chain_pem = issuer_pem;
  progress("identity of node " + region->name + "/" + std::to_string(enrollment.zone) + ": " + base + ".pem");
  return write_identity(identity, *issuer, os::wall_clock().now().seconds());
}

}  // namespace evercert::ceremony
