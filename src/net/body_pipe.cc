// SPDX-License-Identifier: Apache-2.0
#include "net/body_pipe.h"

#include <utility>

namespace evercert::net {

struct BodyPipe::Turn {
  BodyPipe& pipe;
  ~Turn() { pipe.waiting_ = {}; }
  bool await_ready() const { return !pipe.bytes_.empty() || pipe.ended_ || pipe.given_up_; }
  void await_suspend(std::coroutine_handle<> handle) { pipe.waiting_ = handle; }
  void await_resume() const {}
};

Task<Result<std::string>> BodyPipe::next(Executor&) {
  {
    Turn turn{*this};
    co_await turn;
  }
  if (given_up_) co_return fail(Code::kUnavailable, "nobody wants the rest");
  if (error_) co_return fail(*error_);  // what came before it is of no use
  std::string piece;
  if (bytes_.size() <= kMostOfAPiece) {
    piece.swap(bytes_);
  } else {
    piece = bytes_.substr(0, kMostOfAPiece);
    bytes_.erase(0, kMostOfAPiece);
  }
  if (!piece.empty()) tell(piece.size());
  co_return piece;
}

void BodyPipe::give_up() {
  if (std::exchange(given_up_, true)) return;
  bytes_ = std::string();
  tell(0);
  wake();
}

void BodyPipe::add(std::string_view bytes) {
  if (given_up_ || ended_ || bytes.empty()) return;
  bytes_.append(bytes);
  wake();
}

void BodyPipe::end() {
  ended_ = true;
  wake();
}

void BodyPipe::break_off(Error why) {
  if (std::exchange(ended_, true)) return;
  error_ = std::move(why);
  wake();
}

void BodyPipe::wake() {
  if (!waiting_ || std::exchange(woken_, true)) return;
  on_.post([self = weak_from_this()] {
    const auto pipe = self.lock();
    if (!pipe) return;
    pipe->woken_ = false;
    if (pipe->waiting_) std::exchange(pipe->waiting_, {}).resume();
  });
}

}  // namespace evercert::net
