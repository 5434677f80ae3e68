// SPDX-License-Identifier: Apache-2.0
#include "net/outbox.h"

#include <algorithm>

namespace evercert::net {

void Outbox::add(std::string_view bytes) {
  if (bytes.empty()) return;
  if (pieces_.size() == first_ || pieces_.back().block) pieces_.push_back({nullptr, text_.size(), text_.size()});
  text_.append(bytes);
  pieces_.back().to = text_.size();
  size_ += bytes.size();
}

void Outbox::add(std::shared_ptr<const std::string> block, std::size_t from, std::size_t to) {
  if (from == to) return;
  size_ += to - from;
  pieces_.push_back({std::move(block), from, to});
}

std::size_t Outbox::front(std::string_view* pieces, std::size_t most) const {
  const std::size_t count = std::min(most, pieces_.size() - first_);
  for (std::size_t i = 0; i < count; ++i) pieces[i] = view(pieces_[first_ + i]);
  return count;
}

std::string_view Outbox::front() const { return first_ < pieces_.size() ? view(pieces_[first_]) : std::string_view{}; }

void Outbox::sent(std::size_t bytes) {
  size_ -= bytes;
  if (size_ == 0) return clear();
  while (bytes > 0) {
    Piece& piece = pieces_[first_];
    const std::size_t some = std::min(bytes, piece.to - piece.from);
    piece.from += some;
    bytes -= some;
    if (piece.from < piece.to) break;
    piece.block.reset();
    ++first_;
  }
}

void Outbox::clear() {
  text_.clear();
  pieces_.clear();
  first_ = size_ = 0;
}

}  // namespace evercert::net
