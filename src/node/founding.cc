// SPDX-License-Identifier: Apache-2.0
#include "node/founding.h"

#include "base/log.h"

namespace evercert::node {

Result<bool> take_founding(Disk& disk, const std::string& laid, const std::string& data_dir) {
  const std::string taken = data_dir + "/founding";
  if (disk.exists(laid)) {
    EC_ASSIGN(const auto text, read_file(disk, laid));
    EC_TRY(write_file_durably(disk, taken, text));
    if (const Status removed = disk.remove(laid); !removed) {
      log_warning(laid + " cannot be removed (" + removed.error().message +
                  "): remove it by hand, or this node might begin a second cluster after its disk was lost");
    }
  }
  return disk.exists(taken);
}

}  // namespace evercert::node
