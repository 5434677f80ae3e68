// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <maxminddb.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

#include "traffic/dns/geography.h"

namespace evercert::traffic::dns {
namespace {

struct Continent {
  std::string_view code;
  Coordinates middle;
};
constexpr std::array kContinents{Continent{"AF", {2, 21}},   Continent{"AS", {30, 100}},  Continent{"EU", {50, 10}},
                                 Continent{"NA", {40, -95}}, Continent{"OC", {-28, 140}}, Continent{"SA", {-15, -58}},
                                 Continent{"AN", {-80, 0}}};

class Database : public Geography {
 public:
  ~Database() override {
    if (open_) MMDB_close(&db_);
  }

  Status open(const std::string& path) {
    const int status = MMDB_open(path.c_str(), MMDB_MODE_MMAP, &db_);
    if (status == MMDB_FILE_OPEN_ERROR) return fail(Code::kNotFound, path + ": no such file, or it cannot be read");
    if (status != MMDB_SUCCESS)
      return fail(Code::kInvalid, path + ": no MaxMind DB file: " + MMDB_strerror(status) +
                                      ": download it again, or use --geo-table for a table");
    open_ = true;
    return {};
  }

  Place locate(const IpAddress& address) const override {
    Place place;
    if (address.v6 && db_.metadata.ip_version == 4) return place;
    sockaddr_storage storage{};
    if (address.v6) {
      auto* six = reinterpret_cast<sockaddr_in6*>(&storage);
      six->sin6_family = AF_INET6;
      std::memcpy(&six->sin6_addr, address.bytes.data(), 16);
    } else {
      auto* four = reinterpret_cast<sockaddr_in*>(&storage);
      four->sin_family = AF_INET;
      std::memcpy(&four->sin_addr, address.bytes.data(), 4);
    }
    int status = MMDB_SUCCESS;
    MMDB_lookup_result_s found = MMDB_lookup_sockaddr(&db_, reinterpret_cast<sockaddr*>(&storage), &status);
    // A damaged file says nothing of this client: it is answered as one of whom nothing is known.
    if (status != MMDB_SUCCESS) return place;
    // IPv4 lies 96 bits deep in a file for both families.
    const int offset = !address.v6 && db_.metadata.ip_version == 6 ? 96 : 0;
    place.scope = std::max(0, static_cast<int>(found.netmask) - offset);
    if (found.found_entry) place.coordinates = coordinates_of(found.entry);
    return place;
  }

 private:
  static std::optional<double> number(MMDB_entry_s& entry, const char* name) {
    MMDB_entry_data_s data{};
    if (MMDB_get_value(&entry, &data, "location", name, nullptr) != MMDB_SUCCESS || !data.has_data) return std::nullopt;
    if (data.type == MMDB_DATA_TYPE_DOUBLE) return data.double_value;
    if (data.type == MMDB_DATA_TYPE_FLOAT) return data.float_value;
    return std::nullopt;
  }

  static std::optional<Coordinates> coordinates_of(MMDB_entry_s& entry) {
    const auto latitude = number(entry, "latitude"), longitude = number(entry, "longitude");
    if (latitude && longitude) return Coordinates{*latitude, *longitude};
    MMDB_entry_data_s data{};
    if (MMDB_get_value(&entry, &data, "continent", "code", nullptr) != MMDB_SUCCESS || !data.has_data ||
        data.type != MMDB_DATA_TYPE_UTF8_STRING)
      return std::nullopt;
    const std::string_view code(data.utf8_string, data.data_size);
    for (const Continent& continent : kContinents) {
      if (continent.code == code) return continent.middle;
    }
    return std::nullopt;
  }

  mutable MMDB_s db_{};  // looked up through pointers to non-const; never changed
  bool open_ = false;
};

}  // namespace

Result<std::unique_ptr<Geography>> open_geography_database(const std::string& path) {
  auto database = std::make_unique<Database>();
  EC_TRY(database->open(path));
  return std::unique_ptr<Geography>(std::move(database));
}

}  // namespace evercert::traffic::dns
