// SPDX-License-Identifier: Apache-2.0
#include "base/env.h"

namespace evercert {

Result<std::string> read_file(Disk& disk, const std::string& path) {
  EC_ASSIGN(auto file, disk.open_read(path));
  EC_ASSIGN(auto size, file->size());
  std::string out(size, '\0');
  EC_ASSIGN(auto got, file->read_at(0, out));
  out.resize(got);
  return out;
}

Status write_file_durably(Disk& disk, const std::string& path, std::string_view contents) {
  const std::string temporary = path + ".tmp";
  if (disk.exists(temporary)) EC_TRY(disk.remove(temporary));
  EC_ASSIGN(auto file, disk.open_append(temporary));
  EC_TRY(file->append(contents));
  EC_TRY(file->sync());
  file.reset();
  EC_TRY(disk.rename(temporary, path));
  const auto slash = path.rfind('/');
  return disk.sync_dir(slash == std::string::npos ? "." : path.substr(0, slash));
}

}  // namespace evercert
