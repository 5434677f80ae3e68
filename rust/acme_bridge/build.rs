// SPDX-License-Identifier: Apache-2.0
fn main() {
    cxx_build::bridge("src/lib.rs").std("c++20").flag_if_supported("-O2").compile("evercert_acme_bridge_cxx");
    println!("cargo:rerun-if-changed=src/lib.rs");
}
