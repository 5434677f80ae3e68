// SPDX-License-Identifier: Apache-2.0
#include "net/ready_check.h"

#include <memory>
#include <optional>

namespace evercert::net {
namespace {

constexpr std::size_t kMostEvidence = 160;

}  // namespace

std::string printable(std::string text) {
  if (text.size() > kMostEvidence) text = text.substr(0, kMostEvidence) + "...";
  for (char& c : text) c = c < ' ' || c > '~' ? ' ' : c;
  const auto end = text.find_last_not_of(' ');
  return text.substr(0, end == std::string::npos ? 0 : end + 1);
}

Task<Result<HttpResponse>> ready_check(HttpClient& client, Executor& executor, TaskScope& scope, HttpTarget target,
                                       Duration timeout) {
  HttpCall call;
  call.target = std::move(target);
  call.path = "/readyz";
  call.headers.set("Connection", "close");
  // Its own limits are of connecting and of answering, each; they only end what nobody waits for any more.
  call.connect_timeout = call.timeout = timeout + 1s;
  call.max_response_bytes = 64 << 10;
  auto start = [&](auto resolve) {
    // The first of the two speaks. Both come on the executor's thread.
    auto once = std::make_shared<std::optional<decltype(resolve)>>(std::move(resolve));
    const auto give = [once](Result<HttpResponse> result) {
      if (!*once) return;
      auto first = std::move(**once);
      once->reset();
      first(std::move(result));
    };
    executor.post_after(timeout, [give, timeout] {
      give(fail(Code::kExpired, "no answer within " + std::to_string(timeout / 1ms) + " ms"));
    });
    scope.spawn(client.fetch(executor, std::move(call)), give);
  };
  auto answered = suspend_on<Result<HttpResponse>>(executor, std::move(start));
  co_return co_await answered;
}

std::string ready_fault(const Result<HttpResponse>& result) {
  if (!result) return printable(result.error().message);
  if (result->status == 200) return "";
  return printable("status " + std::to_string(result->status) + ": " + result->bytes());
}

}  // namespace evercert::net
