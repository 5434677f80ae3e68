// SPDX-License-Identifier: Apache-2.0
// Why a request of the key space was not done: the state machine's refusal in etcd's words, which its clients compare,
// or an error on the way.
#pragma once

#include <grpcpp/support/status.h>

#include <expected>

#include "base/result.h"
#include "coordination/proto/coordination.pb.h"

namespace evercert::api {

struct Trouble {
  coordination::v1::Refusal refusal = coordination::v1::NONE;
  Error error;
};
template <class T>
using Answered = std::expected<T, Trouble>;

Trouble trouble(coordination::v1::Refusal refusal);
inline Trouble trouble(Error error) { return {coordination::v1::NONE, std::move(error)}; }
grpc::Status to_grpc(const Trouble& trouble);

}  // namespace evercert::api
