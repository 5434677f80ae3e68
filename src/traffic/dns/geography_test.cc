// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/geography.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <fstream>

namespace evercert::traffic::dns {
namespace {

const std::vector<std::string> kRegions{"us-east-1", "eu-central-1"};

IpAddress at(const char* text) { return *parse_address(text); }

TEST(GeographyTable, TheLongestPrefixCountsAndTheScopeIsAsWideAsTrue) {
  const auto table = read_geography_table("t",
                                          "# comment\n10.0.0.0/8 us-east-1\n"
                                          "10.1.0.0/16 eu-central-1  # and another\n\n"
                                          "2001:db8::/32 50.1,8.7\r\n",
                                          kRegions);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ((*table)->locate(at("10.1.2.3")).region, 1u);
  EXPECT_EQ((*table)->locate(at("10.1.2.3")).scope, 16);
  const Place east = (*table)->locate(at("10.2.0.1"));
  EXPECT_EQ(east.region, 0u);
  EXPECT_EQ(east.scope, 15) << "10.1.0.0/16 differs from it in the 15th bit first (10.0/15 is elsewhere)";
  EXPECT_EQ((*table)->locate(at("10.128.0.1")).scope, 9);
  const Place six = (*table)->locate(at("2001:db8:1::"));
  ASSERT_TRUE(six.coordinates);
  EXPECT_DOUBLE_EQ(six.coordinates->latitude, 50.1);
  EXPECT_EQ(six.scope, 32);
  const Place nowhere = (*table)->locate(at("192.0.2.1"));
  EXPECT_FALSE(nowhere.region || nowhere.coordinates);
  EXPECT_EQ(nowhere.scope, 1);
}

TEST(GeographyTable, WithinAScopeEveryAddressHasTheSamePlace) {
  const auto table = read_geography_table(
      "t", "10.0.0.0/8 us-east-1\n10.64.0.0/10 eu-central-1\n10.64.128.0/24 1,2\n0.0.0.0/0 3,4\n", kRegions);
  ASSERT_TRUE(table);
  for (std::uint32_t step = 0; step < 4096; ++step) {
    IpAddress address = at("10.0.0.0");
    address.bytes[1] = static_cast<std::uint8_t>(step >> 4);
    address.bytes[2] = static_cast<std::uint8_t>(step * 16);
    const Place place = (*table)->locate(address);
    for (int bit = place.scope; bit < 32; bit += 3) {
      IpAddress other = address;
      other.bytes[static_cast<std::size_t>(bit) / 8] ^= static_cast<std::uint8_t>(0x80 >> bit % 8);
      const Place same = (*table)->locate(other);
      ASSERT_EQ(same.region, place.region) << to_string(address) << " " << to_string(other);
      ASSERT_EQ(same.coordinates.has_value(), place.coordinates.has_value());
    }
  }
}

TEST(GeographyTable, MistakesAreNamedByTheirLine) {
  const auto message = [](const char* text) {
    const auto table = read_geography_table("t.txt", text, kRegions);
    return table ? std::string() : table.error().message;
  };
  EXPECT_NE(message("\n10.0.0.0/8 mars\n").find("t.txt:2: 'mars'"), std::string::npos);
  EXPECT_NE(message("10.0.0.1/8 us-east-1\n").find("t.txt:1: "), std::string::npos);
  EXPECT_NE(message("10.0.0.0/8\n").find("t.txt:1: "), std::string::npos);
  EXPECT_NE(message("10.0.0.0/8 91,0\n").find("t.txt:1: "), std::string::npos);
  EXPECT_NE(message("10.0.0.0/8 1,2\n10.0.0.0/8 us-east-1\n").find("t.txt:2: "), std::string::npos);
}

// A MaxMind DB of format 2.0 for IPv4 with 24-bit records: a search tree, a data section, metadata.
class DatabaseFile {
 public:
  explicit DatabaseFile(int version = 4) : version_(version) {}
  static std::string text(const std::string& s) { return std::string(1, static_cast<char>(2 << 5 | s.size())) + s; }
  static std::string map(std::size_t size) { return std::string(1, static_cast<char>(7 << 5 | size)); }
  static std::string real(double value) {
    std::string out(1, static_cast<char>(3 << 5 | 8));
    const auto bits = std::bit_cast<std::uint64_t>(value);
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(bits >> shift & 0xff);
    return out;
  }
  static std::string number(int type, std::uint64_t value) {  // types 5, 6: uint16, uint32; extended 9: uint64
    std::string bytes;
    for (; value > 0; value >>= 8) bytes.insert(bytes.begin(), static_cast<char>(value & 0xff));
    if (type > 7) return std::string{static_cast<char>(bytes.size()), static_cast<char>(type - 7)} + bytes;
    return std::string(1, static_cast<char>(static_cast<std::size_t>(type) << 5 | bytes.size())) + bytes;
  }

  void add(const AddressPrefix& prefix, const std::string& data) {
    std::size_t node = 0;
    // IPv4 lies below 96 zero bits in a file for both families.
    const int zeros = version_ == 6 && !prefix.address.v6 ? 96 : 0, length = prefix.length + zeros;
    for (int bit = 0; bit < length; ++bit) {
      std::int64_t& next = nodes_[node][bit >= zeros && prefix.address.bit(bit - zeros) ? 1 : 0];
      if (bit + 1 == length) {
        next = -2 - static_cast<std::int64_t>(data_.size());
        data_ += data;
        return;
      }
      if (next < 0) {
        next = static_cast<std::int64_t>(nodes_.size());
        node = nodes_.size();
        nodes_.push_back({-1, -1});
      } else {
        node = static_cast<std::size_t>(next);
      }
    }
  }

  std::string bytes() const {
    std::string out;
    for (const auto& node : nodes_) {
      for (const std::int64_t next : node) {
        const auto count = static_cast<std::int64_t>(nodes_.size());
        const auto value = static_cast<std::uint64_t>(next >= 0 ? next : next == -1 ? count : count + 16 + (-2 - next));
        for (int shift = 16; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
      }
    }
    out += std::string(16, '\0') + data_ + "\xab\xcd\xefMaxMind.com";
    out += map(9) + text("binary_format_major_version") + number(5, 2) + text("binary_format_minor_version") +
           number(5, 0) + text("build_epoch") + number(9, 1700000000) + text("database_type") + text("Test") +
           text("description") + map(0) + text("ip_version") + number(5, static_cast<std::uint64_t>(version_)) +
           text("languages") + std::string{0, 4} + text("node_count") + number(6, nodes_.size()) + text("record_size") +
           number(5, 24);
    return out;
  }

 private:
  std::vector<std::array<std::int64_t, 2>> nodes_{{-1, -1}};
  std::string data_;
  int version_;
};

class GeographyDatabase : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "geoXXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern + "/test.mmdb";
  }
  void write(const std::string& bytes) { std::ofstream(path_, std::ios::binary) << bytes; }
  std::string path_;
};

TEST_F(GeographyDatabase, CitiesAndContinentsAreFoundWithTheScopeOfTheirNetwork) {
  using F = DatabaseFile;
  F file;
  file.add(*AddressPrefix::parse("10.1.0.0/16"), F::map(1) + F::text("location") + F::map(2) + F::text("latitude") +
                                                     F::real(50.11) + F::text("longitude") + F::real(8.68));
  file.add(*AddressPrefix::parse("192.0.2.0/24"),
           F::map(1) + F::text("continent") + F::map(1) + F::text("code") + F::text("NA"));
  write(file.bytes());
  const auto database = open_geography_database(path_);
  ASSERT_TRUE(database) << database.error().message;
  const Place city = (*database)->locate(at("10.1.200.3"));
  ASSERT_TRUE(city.coordinates);
  EXPECT_DOUBLE_EQ(city.coordinates->latitude, 50.11);
  EXPECT_EQ(city.scope, 16);
  const Place country = (*database)->locate(at("192.0.2.77"));
  ASSERT_TRUE(country.coordinates);
  EXPECT_LT(country.coordinates->longitude, -60);
  EXPECT_EQ(country.scope, 24);
  EXPECT_FALSE((*database)->locate(at("172.16.0.1")).coordinates);
  EXPECT_FALSE((*database)->locate(at("2001:db8::1")).coordinates) << "the file is of IPv4 alone";
}

TEST_F(GeographyDatabase, InAFileOfBothFamiliesEachHasItsOwnScope) {
  using F = DatabaseFile;
  F file(6);
  const std::string africa = F::map(1) + F::text("continent") + F::map(1) + F::text("code") + F::text("AF");
  file.add(*AddressPrefix::parse("10.1.0.0/16"), africa);
  file.add(*AddressPrefix::parse("2001:db8::/32"), africa);
  write(file.bytes());
  const auto database = open_geography_database(path_);
  ASSERT_TRUE(database) << database.error().message;
  EXPECT_EQ((*database)->locate(at("10.1.2.3")).scope, 16);
  EXPECT_TRUE((*database)->locate(at("10.1.2.3")).coordinates);
  EXPECT_EQ((*database)->locate(at("2001:db8:7::1")).scope, 32);
  EXPECT_TRUE((*database)->locate(at("2001:db8:7::1")).coordinates);
  EXPECT_FALSE((*database)->locate(at("10.2.2.3")).coordinates);
}

TEST_F(GeographyDatabase, AFileThatIsNoneIsRefusedWithTheWayOut) {
  const auto missing = open_geography_database(path_);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  write("this is no database");
  const auto damaged = open_geography_database(path_);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, Code::kInvalid);
  EXPECT_NE(damaged.error().message.find("--geo-table"), std::string::npos);
}

TEST(Geography, RegionsOfCloudsAreWhereTheirProviderSays) {
  ASSERT_TRUE(well_known_coordinates("us-east-1"));
  EXPECT_FALSE(well_known_coordinates("basement"));
  const double apart = kilometres(*well_known_coordinates("us-east-1"), *well_known_coordinates("eu-central-1"));
  EXPECT_NEAR(apart, 6550, 100);
}

}  // namespace
}  // namespace evercert::traffic::dns
