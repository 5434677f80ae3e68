// SPDX-License-Identifier: Apache-2.0
#include "traffic/anycast/bird.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <sstream>

#include "base/os/system.h"

namespace evercert::traffic::anycast {
namespace {

constexpr int kFirstError = 8000;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

bool ready(int fd, short what, Instant deadline) {
  const Duration left = deadline - os::monotonic_clock().now();
  if (left <= Duration{0}) return false;
  pollfd one{fd, what, 0};
  return ::poll(&one, 1, static_cast<int>(left / 1ms) + 1) == 1;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

Result<std::optional<BirdReply>> BirdReader::add(std::string_view bytes) {
  for (const char c : bytes) {
    if (++bytes_ > kMostBytes) return fail(Code::kInvalid, "BIRD's reply does not end");
    if (c != '\n') {
      line_ += c;
      continue;
    }
    const std::string line = std::exchange(line_, {});
    if (line.starts_with('+')) continue;  // news that nobody asked for
    if (line.starts_with(' ')) {          // goes on with the code of the line before
      reply_.lines.push_back(line.substr(1));
      continue;
    }
    const bool numbered =
        line.size() >= 5 && std::all_of(line.begin(), line.begin() + 4, is_digit) && (line[4] == ' ' || line[4] == '-');
    if (!numbered) return fail(Code::kInvalid, "what answers at the control socket is not BIRD");
    reply_.code = std::stoi(line.substr(0, 4));
    reply_.lines.push_back(line.substr(5));
    if (line[4] == '-') continue;
    bytes_ = 0;
    return std::optional(std::exchange(reply_, {}));
  }
  return std::optional<BirdReply>{};
}

std::optional<bool> protocol_up(const BirdReply& reply, std::string_view protocol) {
  for (const std::string& line : reply.lines) {
    std::istringstream columns(line);
    std::string name, kind, table, state;
    if (columns >> name >> kind >> table >> state && name == protocol) return state == "up";
  }
  return std::nullopt;
}

bool is_symbol(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !text.empty() && text.size() <= 64 && letter(text.front()) &&
         std::ranges::all_of(text, [&](char c) { return letter(c) || is_digit(c); });
}

Result<BirdReply> Bird::command(const std::string& text) {
  const auto unavailable = [this](const std::string& what) {
    return fail(Code::kUnavailable, "BIRD at " + path_ + " " + what);
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof address.sun_path) return fail(Code::kInvalid, path_ + ": too long for a socket's path");
  std::memcpy(address.sun_path, path_.data(), path_.size());
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.get() < 0 || ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return unavailable(std::string("cannot be reached: ") + std::strerror(errno));
  const Instant deadline = os::monotonic_clock().now() + patience_;
  BirdReader reader;
  char buffer[4096];
  const auto read = [&]() -> Result<BirdReply> {
    for (;;) {
      if (!ready(socket.get(), POLLIN, deadline)) return unavailable("does not answer");
      const ssize_t n = ::recv(socket.get(), buffer, sizeof buffer, 0);
      if (n <= 0) return unavailable("hung up");
      EC_ASSIGN(auto reply, reader.add({buffer, static_cast<std::size_t>(n)}));
      if (reply) return std::move(*reply);
    }
  };
  EC_ASSIGN(const BirdReply greeting, read());
  if (greeting.code != 1) return fail(Code::kInvalid, "what answers at the control socket is not BIRD");
  const std::string line = text + "\n";
  for (std::size_t sent = 0; sent < line.size();) {
    if (!ready(socket.get(), POLLOUT, deadline)) return unavailable("does not listen");
    const ssize_t n = ::send(socket.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return unavailable("hung up");
    sent += static_cast<std::size_t>(n);
  }
  EC_ASSIGN(BirdReply reply, read());
  if (reply.code >= kFirstError)
    return fail(Code::kInvalid, "BIRD refuses '" + text + "': " + (reply.lines.empty() ? "" : reply.lines.back()));
  return reply;
}

Result<bool> Bird::up() {
  EC_ASSIGN(const BirdReply reply, command("show protocols"));
  const auto up = protocol_up(reply, protocol_);
  if (!up)
    return fail(Code::kNotFound, "BIRD has no protocol '" + protocol_ + "': add 'protocol static " + protocol_ +
                                     " { disabled; ... }' to its configuration");
  return *up;
}

Status Bird::set(bool up) {
  EC_TRY(command((up ? "enable " : "disable ") + protocol_));
  return {};
}

}  // namespace evercert::traffic::anycast
