// SPDX-License-Identifier: Apache-2.0
// What an edge says about itself: the metrics of its endpoints, and a page in JSON for a person.
#pragma once

#include <string>

#include "traffic/certificate/own_certificate.h"
#include "traffic/edge/backends.h"
#include "traffic/edge/counters.h"
#include "traffic/edge/entrance.h"
#include "traffic/edge/guests.h"
#include "traffic/edge/releases.h"

namespace evercert::traffic {

std::string backend_metrics(const Backends& backends, const Entrance& entrance);
// `certificate`: null where the edge has none of its own.
std::string status_page(const Backends& backends, const Entrance& entrance, const EdgeCounters& counters,
                        const Guests& guests, const Releases& releases, const OwnCertificate* certificate);

}  // namespace evercert::traffic
