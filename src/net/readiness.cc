// SPDX-License-Identifier: Apache-2.0
#include "net/readiness.h"

#include <array>
#include <utility>

#include "base/check.h"

namespace evercert::net {
namespace {

// Of the turn that this thread is in.
thread_local std::vector<std::function<void()>>* endings = nullptr;

int make_epoll() {
  const int made = ::epoll_create1(EPOLL_CLOEXEC);
  EC_CHECK(made >= 0, "a descriptor for a thread's sockets");
  return made;
}

epoll_event event_for(std::uint32_t events, Watched& who) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &who;
  return event;
}

}  // namespace

Readiness::Readiness(asio::io_context& context) : epoll_(context, make_epoll()) {}
Readiness::~Readiness() = default;

bool Readiness::watch(int socket, std::uint32_t events, Watched& who) {
  epoll_event event = event_for(events, who);
  return ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, socket, &event) == 0;
}

void Readiness::watch_again(int socket, std::uint32_t events, Watched& who) {
  epoll_event event = event_for(events, who);
  ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_MOD, socket, &event);
}

void Readiness::forget(int socket) { ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, socket, nullptr); }

void Readiness::start(std::function<void()> before_turn, std::function<void()> after_turn) {
  before_turn_ = std::move(before_turn);
  after_turn_ = std::move(after_turn);
  wait();
}

void Readiness::wait() {
  epoll_.async_wait(asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;  // the loop ends
    turn();
    wait();
  });
}

void Readiness::turn() {
  std::array<epoll_event, 128> events;
  const int count = ::epoll_wait(epoll_.native_handle(), events.data(), static_cast<int>(events.size()), 0);
  before_turn_();
  endings = &endings_;
  for (int i = 0; i < count; ++i)
    static_cast<Watched*>(events[static_cast<std::size_t>(i)].data.ptr)
        ->ready(events[static_cast<std::size_t>(i)].events);
  // Each may add to them.
  for (std::size_t i = 0; i < endings_.size(); ++i) std::exchange(endings_[i], nullptr)();
  endings_.clear();
  endings = nullptr;
  after_turn_();
}

void Readiness::at_end_of_turn(asio::io_context& context, std::function<void()> work) {
  if (endings == nullptr) return asio::post(context, std::move(work));
  endings->push_back(std::move(work));
}

}  // namespace evercert::net
