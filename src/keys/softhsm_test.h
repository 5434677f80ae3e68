// SPDX-License-Identifier: Apache-2.0
// A folder of SoftHSM2 tokens for this process's tests: SoftHSM2 reads its configuration once per process.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/os/system.h"

namespace evercert::keys {

inline constexpr const char* kModule = "/usr/lib/softhsm/libsofthsm2.so";

inline void use_softhsm_of_tests() {
  struct Folder {
    Folder() {
      std::filesystem::create_directories(dir / "tokens");
      std::ofstream(dir / "softhsm2.conf")
          << "directories.tokendir = " << (dir / "tokens").string() << "\nlog.level = ERROR\n";
      setenv("SOFTHSM2_CONF", (dir / "softhsm2.conf").c_str(), 1);
    }
    ~Folder() {
      std::error_code ignored;  // what is left lies in the folder for temporary files
      std::filesystem::remove_all(dir, ignored);
    }
    const std::filesystem::path dir =
        std::filesystem::temp_directory_path() / ("hsm" + std::to_string(os::secure_random().next()));
  };
  static const Folder folder;
}

}  // namespace evercert::keys
