// SPDX-License-Identifier: Apache-2.0
// CAA records as a foreign name server gives them: whatever they say, one decision, and never "yes" without our name.
#include "api/acme/caa.h"
#include "base/check.h"
#include "fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evercert;
  const std::string_view input = fuzz::text(data, size);
  std::vector<std::string> records(1);
  bool relevant = false;
  for (const char c : input) {
    if (c == '\n') {
      records.emplace_back();
    } else {
      records.back() += c;
    }
  }
  for (const auto& record : records) relevant = relevant || record.starts_with("0 issue ");
  for (const bool wildcard : {false, true}) {
    const api::CaaQuestion question{"a.test", wildcard, "a0123456789", "dns-01"};
    const bool allowed = api::caa_allows(records, "ca.example", question);
    EC_CHECK(!api::caa_allows(records, "", question) || allowed, "without a name nothing more is allowed");
    if (relevant && !wildcard && allowed) {
      std::string lower(input);
      for (char& each : lower) each = each >= 'A' && each <= 'Z' ? static_cast<char>(each | 0x20) : each;
      EC_CHECK(lower.find("ca.example") != std::string::npos, "a permission names this CA");
    }
  }
  return 0;
}
