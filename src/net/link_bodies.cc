// SPDX-License-Identifier: Apache-2.0
#include "net/link_bodies.h"

#include <algorithm>
#include <utility>

namespace evercert::net {
namespace {

// Half of what is granted at first: while one is on its way, the place of the other is told of.
class Whole final : public BodySource {
 public:
  explicit Whole(std::shared_ptr<const std::string> bytes) : bytes_(std::move(bytes)) {}
  Task<Result<std::string>> next(Executor&) override {
    std::string piece = bytes_->substr(at_, kPieceBytes);
    at_ += piece.size();
    co_return piece;
  }
  void give_up() override {}

 private:
  std::shared_ptr<const std::string> bytes_;
  std::size_t at_ = 0;
};

}  // namespace

std::shared_ptr<BodySource> body_of(std::shared_ptr<const std::string> bytes) {
  return std::make_shared<Whole>(std::move(bytes));
}

// Until a piece, the end or an error is there.
struct LinkInbox::Turn {
  LinkInbox& inbox;
  ~Turn() { inbox.waiting_ = {}; }
  bool await_ready() const { return !inbox.pieces_.empty() || inbox.ended_; }
  void await_suspend(std::coroutine_handle<> handle) {
    inbox.waiting_ = handle;
    inbox.since_ = std::chrono::steady_clock::now();
  }
  void await_resume() const {}
};

LinkInbox::~LinkInbox() {
  if (const auto bodies = bodies_.lock()) bodies->gone(id_, ended_);
}

Task<Result<std::string>> LinkInbox::next(Executor& on) {
  on_ = &on;
  {
    Turn turn{*this};
    co_await turn;
  }
  if (pieces_.empty()) {
    if (error_) co_return fail(*error_);
    co_return std::string();
  }
  std::string piece = std::move(pieces_.front());
  pieces_.pop_front();
  held_ -= piece.size();
  taken_ += piece.size();
  // That of the piece before: it is on its way when the next one is asked for.
  const auto bodies = ended_ ? nullptr : bodies_.lock();
  if (bodies && taken_ >= kPieceBytes / 2) bodies->took(id_, std::exchange(taken_, 0));
  co_return piece;
}

void LinkInbox::give_up() {
  if (std::exchange(ended_, true)) return;
  error_ = Error{Code::kUnavailable, "nobody wants the rest"};
  pieces_.clear();
  held_ = 0;
  if (const auto bodies = bodies_.lock()) bodies->gone(id_, false);
  if (waiting_ && on_ != nullptr) {
    on_->post([self = weak_from_this()] {
      if (const auto inbox = self.lock()) inbox->wake();
    });
  }
}

void LinkInbox::wake() {
  const auto keep = shared_from_this();
  if (waiting_) std::exchange(waiting_, {}).resume();
}

bool LinkInbox::add(std::string bytes) {
  if (ended_) return true;
  if (bytes.size() > kFirstCredit - std::min(held_ + taken_, kFirstCredit)) return false;
  if (bytes.empty()) return true;
  held_ += bytes.size();
  pieces_.push_back(std::move(bytes));
  return true;
}

void LinkInbox::end(std::optional<Error> why) {
  ended_ = true;
  error_ = std::move(why);
}

struct LinkBodies::Granted {
  LinkBodies& bodies;
  Leaving& one;
  ~Granted() { one.waiting = {}; }
  bool await_ready() const {
    return one.stopped || (one.credit > 0 && bodies.channel_ != nullptr && bodies.channel_->takes_pieces());
  }
  void await_suspend(std::coroutine_handle<> handle) { one.waiting = handle; }
  void await_resume() const {}
};

std::shared_ptr<LinkInbox> LinkBodies::begin(std::uint64_t id, std::string first) {
  auto made = std::make_shared<LinkInbox>(weak_from_this(), id);
  if (channel_ == nullptr || inboxes_.contains(id)) {
    made->end(Error{Code::kUnknownOutcome, "the connection is gone"});
    return made;
  }
  made->add(std::move(first));
  inboxes_.emplace(id, made.get());
  return made;
}

Task<void> LinkBodies::send(std::uint64_t id, std::shared_ptr<BodySource> source, std::string piece,
                            std::optional<std::uint64_t> left, std::uint64_t credit, Executor& on) {
  const auto keep = shared_from_this();
  Leaving one{credit, channel_ == nullptr, nullptr, {}};
  if (!leaving_.emplace(id, &one).second) co_return;
  struct Listed {
    LinkBodies& bodies;
    std::uint64_t number;
    ~Listed() { bodies.leaving_.erase(number); }
  } listed{*this, id};
  for (bool last = false; !last;) {
    if (piece.empty()) {
      Granted granted{*this, one};
      do {
        co_await granted;
      } while (!granted.await_ready());
      if (one.stopped) co_return;
      one.asked = source.get();
      auto asking = source->next(on);
      auto next = co_await std::move(asking);
      one.asked = nullptr;
      if (one.stopped) co_return;
      const bool broken = !next || (next->empty() && left.value_or(0) > 0) || (left && next->size() > *left);
      if (broken || next->empty()) {
        channel_->pieces_out().piece(id, {}, !broken, broken);
        co_return;
      }
      if (left) *left -= next->size();
      piece = std::move(*next);
    }
    Granted granted{*this, one};
    do {
      co_await granted;
    } while (!granted.await_ready());
    if (one.stopped) co_return;
    const std::size_t some = std::min<std::uint64_t>({piece.size(), kPieceBytes, one.credit});
    last = some == piece.size() && left == 0;
    one.credit -= some;
    std::string rest = piece.substr(some);
    piece.resize(some);
    channel_->pieces_out().piece(id, std::exchange(piece, std::move(rest)), last, false);
  }
}

bool LinkBodies::stop(std::uint64_t id) {
  const auto found = leaving_.find(id);
  if (found == leaving_.end() || std::exchange(found->second->stopped, true)) return false;
  Leaving& one = *found->second;
  if (one.asked != nullptr) one.asked->give_up();
  if (one.waiting) std::exchange(one.waiting, {}).resume();
  return true;
}

void LinkBodies::break_off(std::uint64_t id, const std::string& why) {
  const auto found = inboxes_.find(id);
  if (found == inboxes_.end()) return;
  LinkInbox& inbox = *found->second;
  inboxes_.erase(found);
  inbox.end(Error{Code::kUnknownOutcome, why});
  inbox.wake();
}

Status LinkBodies::receive(v1::LinkFrame& frame) {
  for (auto& piece : *frame.mutable_pieces()) {
    const auto found = inboxes_.find(piece.id());
    if (found == inboxes_.end()) continue;  // nobody wants it any more
    LinkInbox& inbox = *found->second;
    if (!inbox.add(std::move(*piece.mutable_body())))
      return fail(Code::kInvalid, "more of a body came than was granted");
    if (piece.last() || piece.broken()) {
      inboxes_.erase(found);
      inbox.end(piece.broken() ? std::optional(Error{Code::kUnknownOutcome, "it breaks off where it comes from"})
                               : std::nullopt);
    }
    inbox.wake();
    if (channel_ == nullptr) return {};
  }
  for (const auto& credit : frame.credits()) {
    const auto found = leaving_.find(credit.id());
    if (found == leaving_.end()) continue;
    Leaving& one = *found->second;
    one.credit =
        std::min<std::uint64_t>(one.credit + std::min<std::uint64_t>(credit.bytes(), kFirstCredit), kFirstCredit);
    if (one.waiting) std::exchange(one.waiting, {}).resume();
    if (channel_ == nullptr) return {};
  }
  return {};
}

// Each may end, and end others, while it goes on.
void LinkBodies::wake() {
  if (leaving_.empty()) return;
  std::vector<std::uint64_t> all;
  for (const auto& [id, one] : leaving_) all.push_back(id);
  for (const std::uint64_t id : all) {
    const auto found = leaving_.find(id);
    if (found == leaving_.end() || !found->second->waiting) continue;
    if (channel_ != nullptr && !channel_->takes_pieces()) return;
    std::exchange(found->second->waiting, {}).resume();
  }
}

void LinkBodies::closed(const std::string& why) {
  channel_ = nullptr;
  std::vector<std::uint64_t> ids;
  for (const auto& [id, inbox] : inboxes_) ids.push_back(id);
  for (const std::uint64_t id : ids) break_off(id, why);
  ids.clear();
  for (const auto& [id, one] : leaving_) ids.push_back(id);
  for (const std::uint64_t id : ids) stop(id);
}

LinkBodies::Time LinkBodies::waiting_since(Time now) const {
  Time oldest = now;
  for (const auto& [id, inbox] : inboxes_) {
    if (const auto since = inbox->waiting_since()) oldest = std::min(oldest, *since);
  }
  return oldest;
}

void LinkBodies::break_silent(Time before) {
  std::vector<std::uint64_t> late;
  for (const auto& [id, inbox] : inboxes_) {
    const auto since = inbox->waiting_since();
    if (since && *since < before) late.push_back(id);
  }
  for (const std::uint64_t id : late) {
    if (channel_ != nullptr) channel_->left(id);
    break_off(id, "no more of it in time");
  }
}

void LinkBodies::took(std::uint64_t id, std::size_t bytes) {
  if (channel_ != nullptr && inboxes_.contains(id)) channel_->pieces_out().credit(id, bytes);
}

void LinkBodies::gone(std::uint64_t id, bool ended) {
  if (inboxes_.erase(id) > 0 && !ended && channel_ != nullptr) channel_->left(id);
}

}  // namespace evercert::net
