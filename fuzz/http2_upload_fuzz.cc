// SPDX-License-Identifier: Apache-2.0
// Bytes of one HTTP/2 connection whose requests' bodies are given out as they come, to who reads them at once, later,
// in part or never.
#include "base/check.h"
#include "base/task_scope.h"
#include "fuzz/input.h"
#include "fuzz/later.h"
#include "net/body.h"
#include "net/http2_session.h"

namespace evercert {
namespace {

using net::Http2Session;

constexpr std::size_t kWindow = 65'535;  // of a stream (RFC 9113 section 6.9.2)

struct Upload {
  std::shared_ptr<net::BodySource> source;
  std::optional<std::uint64_t> length;
  std::uint64_t came = 0;
  bool reading = false, over = false;
};

class Readers {
 public:
  explicit Readers(Executor& on, std::uint64_t most) : on_(on), most_(most) {}
  void add(net::HttpRequest& request) {
    all_.push_back(std::make_shared<Upload>(Upload{std::move(request.source), request.length}));
  }
  void read_all(bool once) {
    for (const auto& one : all_) {
      if (one->source && !std::exchange(one->reading, true)) scope_.spawn(read(one, once));
    }
  }
  void give_up_one() {
    if (all_.empty() || !all_.back()->source) return;
    all_.back()->source->give_up();
  }
  void drop_one() {
    if (all_.empty() || all_.back()->reading) return;
    all_.pop_back();
  }
  std::size_t running() const { return scope_.running(); }

 private:
  Task<void> read(std::shared_ptr<Upload> one, bool once) {
    do {
      auto asking = one->source->next(on_);
      const auto piece = co_await std::move(asking);
      one->over = !piece || piece->empty();
      if (!piece) break;
      EC_CHECK(piece->size() <= net::kMostOfAPiece && piece->size() <= kWindow, "a piece is no larger than the window");
      one->came += piece->size();
      EC_CHECK(one->came <= most_, "the limit holds whatever was announced");
      if (piece->empty() && one->length) EC_CHECK(one->came == *one->length, "the end is where it was said to be");
    } while (!one->over && !once);
    one->reading = false;
    if (one->over) one->source.reset();
  }

  Executor& on_;
  const std::uint64_t most_;
  std::vector<std::shared_ptr<Upload>> all_;
  TaskScope scope_;
};

}  // namespace
}  // namespace evercert

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evercert;
  if (size < 2) return 0;
  const std::size_t packet = 1 + data[size - 1] * std::size_t{4};
  const unsigned mood = data[size - 2];
  std::string bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", 33);
  bytes += fuzz::text(data, size - 2);
  net::Http2Limits limits;
  limits.streams = 4;
  limits.body = 100;
  limits.in_pieces = 1500;
  fuzz::Later later;
  Readers readers(later, limits.in_pieces);
  Http2Session::Time now{};
  {
    bool consumed = false;
    Http2Session session(limits, now, &later, [&] { consumed = true; });
    bool fine = true;
    unsigned turn = 0;
    for (std::string_view left = bytes; !left.empty() && fine && !session.over(); ++turn) {
      const std::string_view some = left.substr(0, packet);
      left.remove_prefix(some.size());
      now += 500ms;
      fine = session.receive(some, now);
      for (auto& one : session.arrived()) {
        EC_CHECK(one.request.body.size() <= limits.body, "what comes whole is small");
        if (one.request.source) readers.add(one.request);
        if ((mood & 1) != 0) session.answer(one.stream, {});
      }
      if ((mood & 2) != 0) readers.read_all((mood & 4) != 0);
      if ((mood & 8) != 0 && turn % 3 == 2) readers.give_up_one();
      if ((mood & 16) != 0 && turn % 4 == 3) readers.drop_one();
      later.run();
      net::Outbox out;
      if (consumed || (mood & 32) == 0) session.produce(out, 1000, now);
      consumed = false;
      session.check_time(now);
      EC_CHECK(session.open() <= 2 * limits.streams, "streams are bounded");
    }
    session.leave();
    readers.read_all(false);
    later.run();
  }
  later.run();
  EC_CHECK(readers.running() == 0, "who reads comes to an end with the connection");
  return 0;
}
