// SPDX-License-Identifier: Apache-2.0
#include "pki/names_openssl.h"

#include <arpa/inet.h>

#include <algorithm>

#include "pki/asn1_views.h"
#include "pki/der.h"

namespace evercert::pki {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

}  // namespace

Name name_from_text(std::string_view text) {
  unsigned char out[16];
  const std::string copy(text);
  if (inet_pton(AF_INET, copy.c_str(), out) == 1 || inet_pton(AF_INET6, copy.c_str(), out) == 1) {
    return {NameKind::kIp, copy};
  }
  return {NameKind::kDns, lower(text)};
}

Result<Name> name_from_octets(int tag, std::string_view content) {
  if (tag != GEN_DNS && tag != GEN_IPADD && tag != GEN_URI && tag != GEN_EMAIL) {
    return fail(Code::kInvalid,
                "a subject alternative name is of a kind that is not issued: use DNS, IP, URI or e-mail");
  }
  if (tag == GEN_IPADD) {
    char address[INET6_ADDRSTRLEN];
    if (content.size() != 4 && content.size() != 16) return fail(Code::kInvalid, "an IP name must have 4 or 16 bytes");
    inet_ntop(content.size() == 4 ? AF_INET : AF_INET6, content.data(), address, sizeof address);
    return Name{NameKind::kIp, address};
  }
  if (content.find('\0') != std::string_view::npos) return fail(Code::kInvalid, "a name holds a NUL character");
  const NameKind kind = tag == GEN_DNS ? NameKind::kDns : tag == GEN_URI ? NameKind::kUri : NameKind::kEmail;
  return Name{kind, kind == NameKind::kDns ? lower(content) : std::string(content)};
}

Result<std::vector<Name>> from_general_names(const GENERAL_NAMES* names) {
  std::vector<Name> out;
  if (sk_GENERAL_NAME_num(names) > static_cast<int>(kMaxNames)) return fail(Code::kInvalid, "more than 100 names");
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    int type = 0;
    const auto* value =
        static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type));
    // Of another kind it is no string.
    const bool text = type == GEN_DNS || type == GEN_IPADD || type == GEN_URI || type == GEN_EMAIL;
    EC_ASSIGN(auto name, name_from_octets(type, text ? contents(value) : std::string_view{}));
    out.push_back(std::move(name));
  }
  return out;
}

Result<std::string> general_name_der(const Name& name) {
  constexpr auto tag = [](int n) { return static_cast<std::uint8_t>(0x80 | n); };  // primitive, implicit
  switch (name.kind) {
    case NameKind::kEmail: return der::wrap(tag(GEN_EMAIL), name.value);
    case NameKind::kDns: return der::wrap(tag(GEN_DNS), name.value);
    case NameKind::kUri: return der::wrap(tag(GEN_URI), name.value);
    case NameKind::kIp: {
      char address[16];
      if (inet_pton(AF_INET, name.value.c_str(), address) == 1) return der::wrap(tag(GEN_IPADD), {address, 4});
      if (inet_pton(AF_INET6, name.value.c_str(), address) == 1) return der::wrap(tag(GEN_IPADD), {address, 16});
      return fail(Code::kInvalid, "'" + name.value + "' is not an IP address");
    }
  }
  return fail(Code::kInternal, "unknown kind of name");
}

GeneralNamesPtr to_general_names(const std::vector<Name>& names) {
  GeneralNamesPtr out(GENERAL_NAMES_new());
  for (const Name& name : names) {
    GENERAL_NAME* entry = GENERAL_NAME_new();
    if (name.kind == NameKind::kIp) {
      GENERAL_NAME_set0_value(entry, GEN_IPADD, a2i_IPADDRESS(name.value.c_str()));
    } else {
      ASN1_IA5STRING* text = ASN1_IA5STRING_new();
      ASN1_STRING_set(text, name.value.data(), static_cast<int>(name.value.size()));
      const int type = name.kind == NameKind::kDns ? GEN_DNS : name.kind == NameKind::kUri ? GEN_URI : GEN_EMAIL;
      GENERAL_NAME_set0_value(entry, type, text);
    }
    sk_GENERAL_NAME_push(out.get(), entry);
  }
  return out;
}

}  // namespace evercert::pki
