// SPDX-License-Identifier: Apache-2.0
// For the handlers of test servers: reading a request's body as it comes.
#pragma once

#include "net/body.h"
#include "net/http.h"

namespace evercert::net {

// `each` gets the pieces of a body that comes in pieces. The error with which it breaks off.
template <class Each>
Task<Status> read_pieces(HttpRequest& request, Each each) {
  while (request.source) {
    auto asking = request.source->next(*request.executor);
    auto piece = co_await std::move(asking);
    if (!piece) co_return fail(piece.error());
    if (piece->empty()) break;
    each(*piece);
  }
  co_return Status{};
}

}  // namespace evercert::net
