// SPDX-License-Identifier: Apache-2.0
#include "net/body.h"

#include <utility>

namespace evercert::net {

Task<Result<std::string>> collect(Executor& on, BodySource& source, std::size_t most) {
  std::string all;
  for (;;) {
    auto asking = source.next(on);
    auto piece = co_await std::move(asking);
    if (!piece) co_return fail(std::move(piece).error());
    if (piece->empty()) co_return all;
    if (piece->size() > most - all.size())
      co_return fail(Code::kInvalid, "the body is larger than " + std::to_string(most) + " bytes");
    all += *piece;
  }
}

}  // namespace evercert::net
