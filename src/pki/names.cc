// SPDX-License-Identifier: Apache-2.0
#include "pki/names.h"

#include <arpa/inet.h>

#include <algorithm>

namespace evercert::pki {
namespace {

bool is_ldh(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'; }

Status check_label(std::string_view name, std::string_view label) {
  const auto wrong = [&](const char* what) {
    return fail(Code::kInvalid, "the DNS name '" + std::string(name) + "' has a label that " + what);
  };
  if (label.empty()) return wrong("is empty");
  if (label.size() > 63) return wrong("is longer than 63 characters");
  if (!std::all_of(label.begin(), label.end(), is_ldh))
    return wrong(
        "holds something else than letters, digits and hyphens (internationalised names go in their xn-- form)");
  if (label.front() == '-' || label.back() == '-') return wrong("begins or ends with a hyphen");
  return {};
}

bool printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

Status check_dns_name(std::string_view name, bool wildcard_allowed) {
  const std::string quoted = "the DNS name '" + std::string(name.substr(0, 300)) + "'";
  if (name.empty() || name.size() > 253) return fail(Code::kInvalid, quoted + " must have 1 to 253 characters");
  std::string_view rest = name;
  if (rest.starts_with("*.")) {
    if (!wildcard_allowed) return fail(Code::kInvalid, quoted + " may not be a wildcard here");
    rest.remove_prefix(2);
  }
  if (rest.find('.') == std::string_view::npos) return fail(Code::kInvalid, quoted + " needs at least two labels");
  bool numeric = true;
  std::size_t last = 0;
  while (true) {
    const auto dot = rest.find('.', last);
    const auto label = rest.substr(last, dot == std::string_view::npos ? dot : dot - last);
    EC_TRY(check_label(name.substr(0, 300), label));
    if (dot == std::string_view::npos) {
      numeric = std::all_of(label.begin(), label.end(), [](char c) { return c >= '0' && c <= '9'; });
      break;
    }
    last = dot + 1;
  }
  if (numeric) return fail(Code::kInvalid, quoted + " ends in a number: an address goes as an IP name");
  return {};
}

Status check_name(const Name& name) {
  switch (name.kind) {
    case NameKind::kDns: return check_dns_name(name.value, true);
    case NameKind::kIp: {
      unsigned char out[16];
      if (inet_pton(AF_INET, name.value.c_str(), out) == 1 || inet_pton(AF_INET6, name.value.c_str(), out) == 1)
        return {};
      return fail(Code::kInvalid, "'" + name.value + "' is not an IP address");
    }
    case NameKind::kUri: {
      const auto colon = name.value.find(':');
      if (name.value.size() > 2048 || !printable(name.value) || colon == 0 || colon == std::string::npos) {
        return fail(Code::kInvalid, "the URI must be absolute, printable ASCII and at most 2048 characters");
      }
      return {};
    }
    case NameKind::kEmail: {
      const auto at = name.value.find('@');
      if (name.value.size() > 254 || !printable(name.value) || at == 0 || at == std::string::npos ||
          name.value.find('@', at + 1) != std::string::npos) {
        return fail(Code::kInvalid, "'" + name.value.substr(0, 300) + "' is not an e-mail address");
      }
      return check_dns_name(std::string_view(name.value).substr(at + 1), false);
    }
  }
  return fail(Code::kInternal, "unknown kind of name");
}

std::string to_string(NameKind kind) {
  switch (kind) {
    case NameKind::kDns: return "DNS";
    case NameKind::kIp: return "IP";
    case NameKind::kUri: return "URI";
    case NameKind::kEmail: return "e-mail";
  }
  return "?";
}

}  // namespace evercert::pki
