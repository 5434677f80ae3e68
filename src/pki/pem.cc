// SPDX-License-Identifier: Apache-2.0
#include "pki/pem.h"

#include <openssl/pem.h>

#include "pki/openssl.h"

namespace evercert::pki {

std::string to_pem(std::string_view label, std::string_view der) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio(out.get(), std::string(label).c_str(), "", bytes(der), static_cast<long>(der.size()));
  char* text = nullptr;
  const long length = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(length)};
}

Result<std::vector<std::string>> from_pem(std::string_view label, std::string_view text) {
  const BioPtr in(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  std::vector<std::string> blocks;
  for (;;) {
    char* name = nullptr;
    char* header = nullptr;
    unsigned char* data = nullptr;
    long length = 0;
    if (PEM_read_bio(in.get(), &name, &header, &data, &length) != 1) break;
    // Old tools write NEW CERTIFICATE REQUEST.
    if (label == name || (label == "CERTIFICATE REQUEST" && std::string_view(name) == "NEW CERTIFICATE REQUEST")) {
      blocks.emplace_back(reinterpret_cast<char*>(data), static_cast<std::size_t>(length));
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
  }
  const int reason = ERR_GET_REASON(ERR_peek_last_error());
  ERR_clear_error();
  if (reason != PEM_R_NO_START_LINE) return fail(Code::kInvalid, "the PEM text is damaged");
  if (blocks.empty()) return fail(Code::kInvalid, "there is no PEM block '" + std::string(label) + "'");
  return blocks;
}

}  // namespace evercert::pki
