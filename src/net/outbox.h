// SPDX-License-Identifier: Apache-2.0
// Bytes that wait to be sent, in order: small ones in one block, large ones where they are. Not thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace evercert::net {

class Outbox {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  // Copied.
  void add(std::string_view bytes);
  // Bytes [from, to) of `block`, which is kept and not copied.
  void add(std::shared_ptr<const std::string> block, std::size_t from, std::size_t to);
  void add(std::shared_ptr<const std::string> block) {
    const std::size_t all = block->size();
    add(std::move(block), 0, all);
  }
  // The first bytes to be sent: fills at most `most` pieces and returns their number. They stay until the next change.
  std::size_t front(std::string_view* pieces, std::size_t most) const;
  std::string_view front() const;
  void sent(std::size_t bytes);
  void clear();

 private:
  struct Piece {
    std::shared_ptr<const std::string> block;  // null: in text_
    std::size_t from, to;
  };
  std::string_view view(const Piece& piece) const {
    return std::string_view(piece.block ? *piece.block : text_).substr(piece.from, piece.to - piece.from);
  }
  std::string text_;
  std::vector<Piece> pieces_;
  std::size_t first_ = 0, size_ = 0;
};

}  // namespace evercert::net
