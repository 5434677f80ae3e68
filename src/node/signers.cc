// SPDX-License-Identifier: Apache-2.0
#include "node/signers.h"

#include <stdlib.h>

#include <map>

#include "base/os/system.h"
#include "keys/pkcs11.h"
#include "keys/software_signer.h"

namespace evercert::node {

Result<std::string> read_text_file(const std::string& path) {
  auto text = read_file(os::disk(), path);
  if (!text) return fail(text.error().code, text.error().message + " (made by 'evercert init')");
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return text;
}

Result<std::shared_ptr<keys::Pkcs11Token>> open_token_of(const config::RegionConfig& region,
                                                         const config::Paths& paths) {
  if (region.hsm_module.empty()) return std::shared_ptr<keys::Pkcs11Token>{};
  // SoftHSM2 finds its tokens by this; other modules do not look at it.
  if (os::disk().exists(paths.softhsm_conf(region.name)))
    setenv("SOFTHSM2_CONF", paths.softhsm_conf(region.name).c_str(), 0);
  EC_ASSIGN(const auto pin, read_text_file(paths.pin(region.name)));
  // One token object per process and region: sessions are pooled in it.
  static std::map<std::string, std::shared_ptr<keys::Pkcs11Token>> tokens;
  auto& token = tokens[region.hsm_token];
  if (!token) {
    EC_ASSIGN(token, keys::open_token(region.hsm_module, region.hsm_token, pin));
  }
  return token;
}

Result<std::shared_ptr<pki::Signer>> open_signer(const config::RegionConfig& region, const config::Paths& paths,
                                                 const std::string& label) {
  EC_ASSIGN(const auto token, open_token_of(region, paths));
  if (token) return token->signer(label);
  EC_ASSIGN(const auto pem, read_text_file(paths.key(region.name, label)));
  return keys::software_signer(pem + "\n");
}

}  // namespace evercert::node
