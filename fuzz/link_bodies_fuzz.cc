// SPDX-License-Identifier: Apache-2.0
// Bodies in pieces at one end of a link whose peer sends what it likes, while those who read and those whose bodies
// leave do what they like, too. The input is a list of steps.
#include <algorithm>
#include <map>
#include <memory>

#include "base/check.h"
#include "base/task_scope.h"
#include "fuzz/input.h"
#include "fuzz/later.h"
#include "net/link_bodies.h"

namespace evercert {
namespace {

constexpr std::uint64_t kNumbers = 4;  // of bodies, either way

// Where a body comes from that leaves: a piece, an end or an error, at once or later.
class Spring final : public net::BodySource {
 public:
  Task<Result<std::string>> next(Executor&) override {
    EC_CHECK(!over_, "nothing is asked for after the end");
    struct Turn {
      Spring& spring;
      ~Turn() { spring.waiting_ = {}; }
      bool await_ready() const { return spring.ready_ || spring.over_; }
      void await_suspend(std::coroutine_handle<> handle) { spring.waiting_ = handle; }
      void await_resume() const {}
    } turn{*this};
    co_await turn;
    ready_ = false;
    if (given_up_ || size_ < 0) {
      over_ = true;
      co_return fail(Code::kUnavailable, "it breaks off");
    }
    over_ = size_ == 0;
    co_return std::string(static_cast<std::size_t>(size_), 'x');
  }
  void give_up() override {
    given_up_ = over_ = true;
    late_ = true;
  }
  void flow(int size) {
    if (over_) return;
    size_ = size;
    ready_ = true;
    resume();
  }
  // What give_up() has announced.
  void settle() {
    if (std::exchange(late_, false)) resume();
  }

 private:
  void resume() {
    if (waiting_) std::exchange(waiting_, {}).resume();
  }
  int size_ = 0;
  bool ready_ = false, over_ = false, given_up_ = false, late_ = false;
  std::coroutine_handle<> waiting_;
};

class Play final : public net::LinkBodies::Channel {
 public:
  net::FrameWriter& pieces_out() override {
    EC_CHECK(open_, "nothing is said on a connection that is gone");
    return writer_;
  }
  bool takes_pieces() const override { return takes_; }
  void left(std::uint64_t id) override {
    EC_CHECK(open_, "nor that nobody wants a body");
    look();
    incoming_.erase(id);
  }

  void step(unsigned what, std::uint64_t id, std::size_t size) {
    switch (what) {
      case 0: begin(id, size); break;
      case 1: read(id); break;
      case 2: readers_.erase(id); break;
      case 3:
        if (readers_.contains(id)) readers_[id]->give_up();
        break;
      case 4: receive(id, size, false, false); break;
      case 5: receive(id, size, true, false); break;
      case 6: receive(id, size, false, true); break;
      case 7: grant(id, size); break;
      case 8: send(id, size); break;
      case 9:
        if (springs_.contains(id)) springs_[id]->flow(static_cast<int>(size % (net::kMostOfAPiece + 1)));
        break;
      case 10:
        if (springs_.contains(id)) springs_[id]->flow(-1);
        break;
      case 11: bodies_->stop(id); break;
      case 12:
        incoming_.erase(id);
        bodies_->break_off(id, "as planned");
        break;
      case 13:
        takes_ = !takes_;
        if (takes_ && open_) bodies_->drained();
        break;
      case 14: bodies_->break_silent(net::LinkBodies::Time::max()); break;
      default: end(); break;
    }
    later_.run();
    for (auto& [number, spring] : springs_) spring->settle();
    look();
  }

  void finish() {
    end();
    for (auto& [id, spring] : springs_) spring->settle();
    later_.run();
    for (auto& [id, spring] : springs_) spring->flow(-1);
    later_.run();
    EC_CHECK(scope_.running() == 0, "who reads or sends comes to an end with the connection");
  }
  bool open() const { return open_; }

 private:
  struct Incoming {
    std::size_t came = 0, read = 0, told = 0;
  };

  void begin(std::uint64_t id, std::size_t size) {
    if (!open_ || incoming_.contains(id)) return;
    const std::size_t first = size % (net::kPieceBytes + 1);
    readers_.erase(id);
    readers_[id] = bodies_->begin(id, std::string(first, 'i'));
    incoming_[id] = {first, 0, 0};
  }
  void read(std::uint64_t id) {
    if (!readers_.contains(id) || reading_.contains(id)) return;
    reading_.insert({id, true});
    scope_.spawn(take(id, readers_[id]));
  }
  Task<void> take(std::uint64_t id, std::shared_ptr<net::LinkInbox> from) {
    auto asking = from->next(later_);
    const auto piece = co_await std::move(asking);
    reading_.erase(id);
    if (piece && incoming_.contains(id)) {
      Incoming& one = incoming_[id];
      one.read += piece->size();
      EC_CHECK(one.read <= one.came, "nothing is read that has not come");
    }
  }
  void receive(std::uint64_t id, std::size_t size, bool last, bool broken) {
    if (!open_) return;
    net::v1::LinkFrame frame;
    auto& piece = *frame.add_pieces();
    piece.set_id(id);
    piece.set_body(std::string(size % (net::kFirstCredit + 1), 'p'));
    piece.set_last(last);
    piece.set_broken(broken);
    const auto known = incoming_.find(id);
    const std::size_t held = known == incoming_.end() ? 0 : known->second.came - known->second.told;
    if (known != incoming_.end()) known->second.came += piece.body().size();
    const std::size_t more = piece.body().size();
    const bool kept = bodies_->receive(frame).has_value();
    EC_CHECK(kept || held + more > net::kFirstCredit, "who keeps to what was granted is not sent away");
    if (known != incoming_.end() && (last || broken)) incoming_.erase(id);
    if (!kept) end();
  }
  void grant(std::uint64_t id, std::size_t size) {
    if (!open_) return;
    net::v1::LinkFrame frame;
    auto& credit = *frame.add_credits();
    credit.set_id(id);
    credit.set_bytes(size);
    if (outgoing_.contains(id)) outgoing_[id] += std::min<std::size_t>(size, net::kFirstCredit);
    EC_CHECK(bodies_->receive(frame).has_value(), "credit does no harm");
  }
  void send(std::uint64_t id, std::size_t size) {
    if (!open_ || outgoing_.contains(id)) return;
    outgoing_[id] = net::kFirstCredit;
    springs_[id] = std::make_shared<Spring>();
    std::optional<std::uint64_t> left;
    if (size % 2 == 0) left = size;
    scope_.spawn(bodies_->send(id, springs_[id], std::string(size % 100, 's'), left, net::kFirstCredit, later_),
                 [this, id] { outgoing_.erase(id); });
  }
  void end() {
    look();
    if (!std::exchange(open_, false)) return;
    bodies_->closed("it is gone");
    incoming_.clear();
  }
  // What was said meanwhile.
  void look() {
    if (writer_.empty()) return;
    std::string bytes;
    writer_.take(bytes);
    net::FrameReader reader(net::kMaxAnswerFrameBytes);
    const auto space = reader.space(bytes.size());
    std::copy(bytes.begin(), bytes.end(), space.begin());
    reader.filled(bytes.size());
    for (;;) {
      const auto frame = reader.next();
      EC_CHECK(frame.has_value(), "what is said is a frame");
      if (*frame == nullptr) break;
      for (const auto& piece : (*frame)->pieces()) {
        EC_CHECK(piece.body().size() <= net::kPieceBytes, "no piece is larger than it may be");
        if (!outgoing_.contains(piece.id())) continue;  // its last one
        EC_CHECK(piece.body().size() <= outgoing_[piece.id()], "nothing leaves that was not granted");
        outgoing_[piece.id()] -= piece.body().size();
      }
      for (const auto& credit : (*frame)->credits()) {
        const auto known = incoming_.find(credit.id());
        EC_CHECK(known != incoming_.end(), "nothing is granted to a body that has ended");
        known->second.told += credit.bytes();
        EC_CHECK(known->second.told <= known->second.read, "only the place of what was read is given again");
      }
    }
  }

  fuzz::Later later_;
  net::FrameWriter writer_;
  bool open_ = true, takes_ = true;
  std::map<std::uint64_t, Incoming> incoming_;
  std::map<std::uint64_t, std::size_t> outgoing_;  // what may still leave
  std::map<std::uint64_t, bool> reading_;
  std::map<std::uint64_t, std::shared_ptr<Spring>> springs_;
  const std::shared_ptr<net::LinkBodies> bodies_ = std::make_shared<net::LinkBodies>(*this);
  std::map<std::uint64_t, std::shared_ptr<net::LinkInbox>> readers_;
  TaskScope scope_;
};

}  // namespace
}  // namespace evercert

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evercert;
  Play play;
  // Three bytes a step: what and with which body, and a size.
  for (std::size_t at = 0; at + 2 < size && play.open(); at += 3)
    play.step(data[at] & 15u, 1 + (data[at] >> 4) % kNumbers, std::size_t{data[at + 1]} << 8 | data[at + 2]);
  play.finish();
  return 0;
}
