// SPDX-License-Identifier: Apache-2.0
// When certificates should be renewed (RFC 9773, ARI): the window that is suggested.
#pragma once

#include "api/acme/certificate_id.h"
#include "base/time.h"
#include "store/proto/records.pb.h"

namespace evercert::api {

// Whether it is the name of this one.
bool names(const CertificateId& id, const store::v1::Certificate& certificate);

struct SuggestedWindow {
  WallTime start, end;
};
// Between two thirds and three quarters of its life; of a revoked one, an hour that has passed.
SuggestedWindow suggested_window(const store::v1::Certificate& certificate);

}  // namespace evercert::api
