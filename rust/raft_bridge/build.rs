// SPDX-License-Identifier: Apache-2.0
fn main() {
    let src = std::env::var("EVERCERT_SRC").expect("EVERCERT_SRC names the C++ source folder");
    cxx_build::bridge("src/lib.rs").include(&src).std("c++20").flag_if_supported("-O2").compile("evercert_raft_bridge_cxx");
    println!("cargo:rerun-if-changed=src/lib.rs");
    println!("cargo:rerun-if-changed={src}/store/raft/bridge_storage.h");
    println!("cargo:rerun-if-env-changed=EVERCERT_SRC");
}
