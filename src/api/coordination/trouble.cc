// SPDX-License-Identifier: Apache-2.0
#include "api/coordination/trouble.h"

namespace evercert::api {
namespace {

using namespace coordination;

struct Meaning {
  Code code;
  grpc::StatusCode grpc;
  const char* text;
};

Meaning meaning_of(v1::Refusal refusal) {
  using enum grpc::StatusCode;
  switch (refusal) {
    case v1::COMPACTED: return {Code::kExpired, OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted"};
    case v1::FUTURE_REVISION:
      return {Code::kInvalid, OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision"};
    case v1::LEASE_NOT_FOUND: return {Code::kNotFound, NOT_FOUND, "etcdserver: requested lease not found"};
    case v1::LEASE_EXISTS: return {Code::kConflict, FAILED_PRECONDITION, "etcdserver: lease already exists"};
    case v1::LEASE_TTL_TOO_LARGE: return {Code::kInvalid, OUT_OF_RANGE, "etcdserver: too large lease TTL"};
    case v1::KEY_NOT_FOUND: return {Code::kNotFound, INVALID_ARGUMENT, "etcdserver: key not found"};
    case v1::EMPTY_KEY: return {Code::kInvalid, INVALID_ARGUMENT, "etcdserver: key is not provided"};
    case v1::DUPLICATE_KEY: return {Code::kInvalid, INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request"};
    case v1::TOO_MANY_OPERATIONS:
      return {Code::kInvalid, INVALID_ARGUMENT, "etcdserver: too many operations in txn request"};
    case v1::VALUE_PROVIDED: return {Code::kInvalid, INVALID_ARGUMENT, "etcdserver: value is provided"};
    case v1::LEASE_PROVIDED: return {Code::kInvalid, INVALID_ARGUMENT, "etcdserver: lease is provided"};
    case v1::RESERVED_KEY: return {Code::kDenied, PERMISSION_DENIED, "etcdserver: permission denied"};
    case v1::NOT_UNDERSTOOD: return {Code::kInvalid, INVALID_ARGUMENT, "etcdserver: the request is not understood"};
    default: return {Code::kUnknownOutcome, UNAVAILABLE, "etcdserver: request timed out"};
  }
}

}  // namespace

Trouble trouble(v1::Refusal refusal) {
  const Meaning meaning = meaning_of(refusal);
  return {refusal, {meaning.code, meaning.text}};
}

grpc::Status to_grpc(const Trouble& trouble) {
  if (trouble.refusal != v1::NONE) {
    const Meaning meaning = meaning_of(trouble.refusal);
    return {meaning.grpc, meaning.text};
  }
  switch (trouble.error.code) {
    case Code::kInvalid: return {grpc::StatusCode::INVALID_ARGUMENT, trouble.error.message};
    case Code::kDenied: return {grpc::StatusCode::PERMISSION_DENIED, trouble.error.message};
    case Code::kNotFound: return {grpc::StatusCode::NOT_FOUND, trouble.error.message};
    case Code::kUnavailable: return {grpc::StatusCode::UNAVAILABLE, "etcdserver: no leader"};
    case Code::kUnknownOutcome:
    case Code::kExpired: return {grpc::StatusCode::UNAVAILABLE, "etcdserver: request timed out"};
    default: return {grpc::StatusCode::INTERNAL, trouble.error.message};
  }
}

}  // namespace evercert::api
