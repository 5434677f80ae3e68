// SPDX-License-Identifier: Apache-2.0
// A link's bytes as they come from its peer, in pieces: what the reader takes for frames, another writer can say again.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "fuzz/input.h"
#include "net/link_frames.h"

namespace evercert {
namespace {

constexpr std::size_t kMaxFrame = 4096;

void check(net::v1::LinkFrame& frame, net::FrameWriter& writer) {
  for (auto& in : *frame.mutable_requests()) {
    const std::uint64_t id = in.id();
    EC_CHECK(id != 0, "requests are numbered");
    const net::HttpRequest request = net::take_request(in);
    EC_CHECK(!request.target.empty() && request.target.starts_with(request.path), "the path is part of the target");
    net::LinkCall call{request.method, request.target, request.headers, request.body};
    EC_CHECK(writer.request(id, call), "what was read can be sent");
  }
  for (auto& in : *frame.mutable_answers()) {
    const std::uint64_t id = in.id();
    const net::HttpResponse response = net::take_response(in);
    EC_CHECK(response.status >= 100 && response.status < 600, "an HTTP status");
    EC_CHECK(writer.answer(id, response), "what was read can be sent");
  }
}

}  // namespace
}  // namespace evercert

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evercert;
  if (size == 0) return 0;
  const std::size_t piece = data[0] % 64 + 1u;  // how many bytes come at a time
  auto input = fuzz::text(data, size).substr(1);
  net::FrameReader reader(kMaxFrame);
  net::FrameWriter writer;
  for (std::size_t at = 0; at < input.size(); at += piece) {
    const auto part = input.substr(at, piece);
    const auto space = reader.space(part.size());
    EC_CHECK(space.size() >= part.size(), "room as asked for");
    std::memcpy(space.data(), part.data(), part.size());
    reader.filled(part.size());
    for (;;) {
      const auto frame = reader.next();
      if (!frame) {
        EC_CHECK(frame.error().code == Code::kInvalid, "the peer's fault");
        return 0;
      }
      if (*frame == nullptr) break;
      check(**frame, writer);
    }
  }
  if (writer.empty()) return 0;
  std::string again;
  writer.take(again);
  net::FrameReader second(net::kMaxAnswerFrameBytes);
  const auto space = second.space(again.size());
  std::memcpy(space.data(), again.data(), again.size());
  second.filled(again.size());
  const auto frame = second.next();
  EC_CHECK(frame && *frame, "what was written is a frame");
  return 0;
}
