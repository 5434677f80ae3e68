// SPDX-License-Identifier: Apache-2.0
// Owners of what ldns allocates. For .cc files, and headers that they alone include.
#pragma once

#include <ldns/ldns.h>
// Made for C before 1999, its header makes macros of these.
#undef bool
#undef true
#undef false

#include <string>

#include "base/owned.h"

namespace evercert::traffic::dns {

using evercert::Owned;
using PacketPtr = Owned<ldns_pkt, ldns_pkt_free>;
using NamePtr = Owned<ldns_rdf, ldns_rdf_deep_free>;
using RecordPtr = Owned<ldns_rr, ldns_rr_free>;
using RecordsPtr = Owned<ldns_rr_list, ldns_rr_list_deep_free>;
using BufferPtr = Owned<ldns_buffer, ldns_buffer_free>;

inline std::string wire_of(const ldns_rdf* name) {
  return {reinterpret_cast<const char*>(ldns_rdf_data(name)), ldns_rdf_size(name)};
}
// A name's bytes in lower case: names are equal when these are. A label's length is below 'A', so bytes can be folded
// without looking for the labels.
inline std::string folded(std::string name) {
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return name;
}

}  // namespace evercert::traffic::dns
