// SPDX-License-Identifier: Apache-2.0
//! All bridges in one library: two would bring Rust's runtime twice.

extern crate evercert_acme_bridge;
extern crate evercert_pki_bridge;
extern crate evercert_raft_bridge;
