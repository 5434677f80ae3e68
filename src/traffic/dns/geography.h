// SPDX-License-Identifier: Apache-2.0
// Where a client is, by its address.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "traffic/dns/view.h"

namespace evercert::traffic::dns {

// Immutable and thread-safe.
class Geography {
 public:
  virtual ~Geography() = default;
  // Place::scope is true of the answer whether or not anything was found.
  virtual Place locate(const IpAddress& address) const = 0;
};

// Nothing is known of anybody.
std::unique_ptr<Geography> no_geography();

// A table, one prefix a line: "PREFIX REGION" or "PREFIX LATITUDE,LONGITUDE"; '#' begins a comment; the longest prefix
// counts. kInvalid: "path:line: what is wrong: how to mend it", also for a prefix that is given twice.
Result<std::unique_ptr<Geography>> read_geography_table(const std::string& path, std::string_view text,
                                                        const std::vector<std::string>& regions);

// A MaxMind DB file (GeoLite2-City and what has its shape): location.latitude and location.longitude; in files without
// them, as those of countries, the middle of the continent, which is enough to tell regions apart that lie on different
// ones. kNotFound, kInvalid.
Result<std::unique_ptr<Geography>> open_geography_database(const std::string& path);

// "LATITUDE,LONGITUDE" in degrees; nothing when it is not that.
std::optional<Coordinates> parse_coordinates(std::string_view text);

// Of a cloud region by its usual name ("us-east-1"), where the provider has said it.
std::optional<Coordinates> well_known_coordinates(std::string_view region);

}  // namespace evercert::traffic::dns
