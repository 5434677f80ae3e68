// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "traffic/dns/geography.h"

namespace evercert::traffic::dns {
namespace {

class NoGeography : public Geography {
 public:
  Place locate(const IpAddress&) const override { return {}; }
};

// A binary trie for each family. A walk ends where the table says no more about longer prefixes: all addresses that
// share the bits up to there have the same place, which is the widest scope that is true.
class Table : public Geography {
 public:
  Place locate(const IpAddress& address) const override {
    const auto& nodes = address.v6 ? six_ : four_;
    std::uint32_t at = 0;
    Place best = nodes[0].place;
    int depth = 0;
    while (depth < address.bits() && (nodes[at].child[0] != 0 || nodes[at].child[1] != 0)) {
      at = nodes[at].child[address.bit(depth) ? 1 : 0];
      ++depth;
      if (at == 0) break;
      if (nodes[at].set) best = nodes[at].place;
    }
    best.scope = depth;
    return best;
  }

  // False: the prefix is there already.
  bool add(const AddressPrefix& prefix, const Place& place) {
    auto& nodes = prefix.address.v6 ? six_ : four_;
    std::uint32_t at = 0;
    for (int depth = 0; depth < prefix.length; ++depth) {
      const int side = prefix.address.bit(depth) ? 1 : 0;
      if (nodes[at].child[side] == 0) {
        nodes[at].child[side] = static_cast<std::uint32_t>(nodes.size());
        nodes.emplace_back();
      }
      at = nodes[at].child[side];
    }
    if (std::exchange(nodes[at].set, true)) return false;
    nodes[at].place = place;
    return true;
  }

 private:
  struct Node {
    std::uint32_t child[2] = {0, 0};
    bool set = false;
    Place place;
  };
  std::vector<Node> four_ = std::vector<Node>(1), six_ = std::vector<Node>(1);
};

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  line = line.substr(0, line.find('#'));
  while (true) {
    const auto begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return words;
    const auto end = std::min(line.find_first_of(" \t\r", begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    line = line.substr(end);
  }
}

struct Known {
  std::string_view region;
  Coordinates at;
};
// Cities that the providers name for their regions.
constexpr std::array kWellKnown{Known{"us-east-1", {38.95, -77.45}},       Known{"us-east-2", {39.96, -83.00}},
                                Known{"us-west-1", {37.35, -121.96}},      Known{"us-west-2", {45.84, -119.70}},
                                Known{"ca-central-1", {45.50, -73.57}},    Known{"sa-east-1", {-23.55, -46.63}},
                                Known{"eu-west-1", {53.35, -6.26}},        Known{"eu-west-2", {51.51, -0.13}},
                                Known{"eu-west-3", {48.86, 2.35}},         Known{"eu-central-1", {50.11, 8.68}},
                                Known{"eu-central-2", {47.38, 8.54}},      Known{"eu-north-1", {59.33, 18.07}},
                                Known{"eu-south-1", {45.46, 9.19}},        Known{"eu-south-2", {41.65, -0.88}},
                                Known{"me-south-1", {26.07, 50.55}},       Known{"me-central-1", {25.20, 55.27}},
                                Known{"af-south-1", {-33.92, 18.42}},      Known{"ap-south-1", {19.08, 72.88}},
                                Known{"ap-south-2", {17.39, 78.49}},       Known{"ap-southeast-1", {1.35, 103.82}},
                                Known{"ap-southeast-2", {-33.87, 151.21}}, Known{"ap-southeast-3", {-6.21, 106.85}},
                                Known{"ap-northeast-1", {35.68, 139.69}},  Known{"ap-northeast-2", {37.57, 126.98}},
                                Known{"ap-northeast-3", {34.69, 135.50}},  Known{"ap-east-1", {22.32, 114.17}}};

}  // namespace

std::optional<Coordinates> parse_coordinates(std::string_view text) {
  const auto comma = text.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  const auto number = [](std::string_view part, double most, double& out) {
    const auto parsed = std::from_chars(part.data(), part.data() + part.size(), out);
    return parsed.ec == std::errc{} && parsed.ptr == part.data() + part.size() && out >= -most && out <= most;
  };
  Coordinates at;
  if (!number(text.substr(0, comma), 90, at.latitude) || !number(text.substr(comma + 1), 180, at.longitude))
    return std::nullopt;
  return at;
}

std::unique_ptr<Geography> no_geography() { return std::make_unique<NoGeography>(); }

Result<std::unique_ptr<Geography>> read_geography_table(const std::string& path, std::string_view text,
                                                        const std::vector<std::string>& regions) {
  auto table = std::make_unique<Table>();
  for (int number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto words = words_of(text.substr(0, end));
    text = text.substr(std::min(end + 1, text.size()));
    if (words.empty()) continue;
    const std::string where = path + ":" + std::to_string(number) + ": ";
    if (words.size() != 2)
      return fail(Code::kInvalid, where + "a line is a prefix and a region, or a prefix and LATITUDE,LONGITUDE");
    const auto prefix = AddressPrefix::parse(words[0]);
    if (!prefix) return fail(Code::kInvalid, where + prefix.error().message);
    Place place;
    const auto region = std::find(regions.begin(), regions.end(), words[1]);
    if (region != regions.end()) {
      place.region = static_cast<std::size_t>(region - regions.begin());
    } else if (place.coordinates = parse_coordinates(words[1]); !place.coordinates) {
      std::string all;
      for (const auto& name : regions) all += (all.empty() ? "" : ", ") + name;
      return fail(Code::kInvalid, where + "'" + std::string(words[1]) + "' is neither a region (" + all +
                                      ") nor LATITUDE,LONGITUDE: mend the name");
    }
    if (!table->add(*prefix, place))
      return fail(Code::kInvalid, where + "'" + std::string(words[0]) + "' is given twice: remove one");
  }
  return std::unique_ptr<Geography>(std::move(table));
}

std::optional<Coordinates> well_known_coordinates(std::string_view region) {
  for (const Known& known : kWellKnown) {
    if (known.region == region) return known.at;
  }
  return std::nullopt;
}

}  // namespace evercert::traffic::dns
