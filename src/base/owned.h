// SPDX-License-Identifier: Apache-2.0
// Owners of what a C library has made: each knows by its type how that is given back.
#pragma once

#include <memory>

namespace evercert {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
template <class T, auto Free>
using Owned = std::unique_ptr<T, Freer<Free>>;

}  // namespace evercert
