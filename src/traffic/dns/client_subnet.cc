// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/client_subnet.h"

#include <algorithm>

namespace evercert::traffic::dns {

std::optional<ClientSubnet> read_client_subnet(std::span<const std::uint8_t> data) {
  if (data.size() < 4 || data[0] != 0 || (data[1] != 1 && data[1] != 2)) return std::nullopt;
  IpAddress address;
  address.v6 = data[1] == 2;
  const int length = data[2];
  // The scope is the answer's to say. Exactly the bytes that the length needs are there.
  if (length > address.bits() || data[3] != 0 || data.size() != 4u + static_cast<std::size_t>(length + 7) / 8)
    return std::nullopt;
  std::copy(data.begin() + 4, data.end(), address.bytes.begin());
  const AddressPrefix prefix = prefix_of(address, length);
  if (prefix.address != address) return std::nullopt;
  return ClientSubnet{prefix};
}

std::string write_client_subnet(const ClientSubnet& asked, int scope) {
  const IpAddress& address = asked.prefix.address;
  const int length = asked.prefix.length;
  std::string data{0, static_cast<char>(address.v6 ? 2 : 1), static_cast<char>(length),
                   static_cast<char>(length == 0 ? 0 : scope)};
  data.append(reinterpret_cast<const char*>(address.bytes.data()), static_cast<std::size_t>(length + 7) / 8);
  return data;
}

}  // namespace evercert::traffic::dns
