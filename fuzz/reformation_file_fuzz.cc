// SPDX-License-Identifier: Apache-2.0
// What a person carries from a node that goes on to one that joins: whatever is read can be written and read again.
#include <cstdlib>

#include "fuzz/input.h"
#include "node/reformation_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto read = evercert::node::read_reformation("file", text);
  if (!read) return 0;
  const auto again = evercert::node::read_reformation("file", evercert::node::write_reformation(*read));
  if (!again || again->reformation.SerializeAsString() != read->reformation.SerializeAsString()) std::abort();
  return 0;
}
