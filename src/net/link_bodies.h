// SPDX-License-Identifier: Apache-2.0
// The bodies that go over one link in pieces, at either end of it: those that come, which wait for whoever reads them,
// and those that leave, as the other side grants it and the connection takes it. A body that nobody reads holds
// kFirstCredit bytes at the most, and holds up no other one. For .cc files of net only. All on the link's thread.
#pragma once

#include <chrono>
#include <coroutine>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/task.h"
#include "net/body.h"
#include "net/link_frames.h"

namespace evercert::net {

class LinkBodies;

// Of a body that comes.
class LinkInbox final : public BodySource, public std::enable_shared_from_this<LinkInbox> {
 public:
  using Time = std::chrono::steady_clock::time_point;

  LinkInbox(std::weak_ptr<LinkBodies> bodies, std::uint64_t id) : bodies_(std::move(bodies)), id_(id) {}
  ~LinkInbox() override;
  Task<Result<std::string>> next(Executor& on) override;
  void give_up() override;

  // Since when somebody has waited for the next piece.
  std::optional<Time> waiting_since() const { return waiting_ ? std::optional(since_) : std::nullopt; }

 private:
  friend class LinkBodies;
  struct Turn;
  bool add(std::string bytes);  // false: more than was granted
  void end(std::optional<Error> why);
  void wake();

  std::weak_ptr<LinkBodies> bodies_;
  const std::uint64_t id_;
  std::deque<std::string> pieces_;
  std::size_t held_ = 0;   // bytes of them
  std::size_t taken_ = 0;  // bytes whose place the other side has not been told of
  bool ended_ = false;
  std::optional<Error> error_;
  std::coroutine_handle<> waiting_;
  Time since_{};
  Executor* on_ = nullptr;
};

class LinkBodies : public std::enable_shared_from_this<LinkBodies> {
 public:
  using Time = LinkInbox::Time;
  // What the connection does for it; lives until closed().
  class Channel {
   public:
    virtual FrameWriter& pieces_out() = 0;    // something is written to it
    virtual bool takes_pieces() const = 0;    // it is connected, and does not hold much that waits to leave
    virtual void left(std::uint64_t id) = 0;  // nobody wants the rest of what comes

   protected:
    ~Channel() = default;
  };
  explicit LinkBodies(Channel& channel) : channel_(&channel) {}

  // Comes, and begins with `first`.
  std::shared_ptr<LinkInbox> begin(std::uint64_t id, std::string first);
  // Leaves; ends when all of it has been given to the connection, or stop() was called. `piece`: what was taken from
  // the source before, and not sent. `left`: how much more the source has, where that is known. `credit`: what is
  // granted now.
  Task<void> send(std::uint64_t id, std::shared_ptr<BodySource> source, std::string piece,
                  std::optional<std::uint64_t> left, std::uint64_t credit, Executor& on);
  // What leaves under this number leaves no more. False: nothing does.
  bool stop(std::uint64_t id);
  // What comes under it ends here.
  void break_off(std::uint64_t id, const std::string& why);

  // Of a frame. kInvalid: the other side does not keep to what was granted.
  Status receive(v1::LinkFrame& frame);
  // The connection has taken all that was written.
  void drained() { wake(); }
  void closed(const std::string& why);

  bool receives() const { return !inboxes_.empty(); }
  // Since when one of those that come has been waited for, the longest; `now` when none is.
  Time waiting_since(Time now) const;
  // Those that have been waited for since before `before` break off.
  void break_silent(Time before);

 private:
  friend class LinkInbox;
  struct Leaving {
    std::uint64_t credit;
    bool stopped = false;
    BodySource* asked = nullptr;  // for its next piece
    std::coroutine_handle<> waiting;
  };
  struct Granted;
  void wake();
  void took(std::uint64_t id, std::size_t bytes);
  void gone(std::uint64_t id, bool ended);

  Channel* channel_;  // null: closed
  std::unordered_map<std::uint64_t, LinkInbox*> inboxes_;
  std::unordered_map<std::uint64_t, Leaving*> leaving_;
};

// Bytes that are at hand, one piece after another.
std::shared_ptr<BodySource> body_of(std::shared_ptr<const std::string> bytes);

}  // namespace evercert::net
