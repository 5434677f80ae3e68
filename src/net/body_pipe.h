// SPDX-License-Identifier: Apache-2.0
// A body between who has it as it comes from a socket and who asks for its pieces, both on one thread. How much may
// wait in it is the writer's to say: it is told what was taken. For .cc files of net only.
#pragma once

#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/body.h"

namespace evercert::net {

class BodyPipe final : public BodySource, public std::enable_shared_from_this<BodyPipe> {
 public:
  // `taken`: so many bytes were, or none and nobody reads any more. From next(), give_up() and the destructor: it may
  // not call back into this.
  BodyPipe(Executor& on, std::function<void(std::size_t)> taken) : on_(on), taken_(std::move(taken)) {}
  ~BodyPipe() override { tell(0); }

  // The reader's end.
  Task<Result<std::string>> next(Executor& on) override;
  void give_up() override;

  // The writer's. Whoever waits goes on later, not within these.
  void add(std::string_view bytes);
  void end();
  void break_off(Error why);
  std::size_t waiting() const { return bytes_.size(); }
  bool wanted() const { return !given_up_ && !ended_; }
  // The writer is gone.
  void leave() { taken_ = nullptr; }

 private:
  struct Turn;
  void wake();
  void tell(std::size_t bytes) {
    if (taken_) taken_(bytes);
  }

  Executor& on_;
  std::function<void(std::size_t)> taken_;
  std::string bytes_;
  bool ended_ = false, given_up_ = false, woken_ = false;
  std::optional<Error> error_;
  std::coroutine_handle<> waiting_;
};

}  // namespace evercert::net
