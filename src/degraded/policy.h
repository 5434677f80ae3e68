// SPDX-License-Identifier: Apache-2.0
// What becomes of work for which there is no majority, by kind.
#pragma once

#include "base/time.h"
#include "degraded/proto/queue.pb.h"

namespace evercert::degraded {

struct Policy {
  struct OfKind {
    bool queue = false;  // else refused
    Duration keep{};     // what is queued is given up after so long
  };
  // A revocation is an order that must not be lost. Who asks for a certificate repeats the request and gets it in the
  // answer; made later, it would most often be fetched by nobody.
  OfKind revocation{true, 7 * 24h}, renewal{false, 24h}, issuance{false, 1h};

  const OfKind& of(v1::Kind kind) const {
    return kind == v1::REVOCATION ? revocation : kind == v1::RENEWAL ? renewal : issuance;
  }
};

}  // namespace evercert::degraded
