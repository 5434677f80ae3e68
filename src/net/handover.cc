// SPDX-License-Identifier: Apache-2.0
#include "net/handover.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "base/log.h"

namespace evercert::net {
namespace {

constexpr int kTurnMs = 100;
constexpr int kPatienceTurns = 300;  // until a new server must serve
constexpr std::size_t kMostText = 16 * 1024;
constexpr char kReady = 'r';

Error os_error(const std::string& what) { return {Code::kIo, what + ": " + std::strerror(errno)}; }

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(Code::kInvalid, path + ": the path of a Unix socket has at most " +
                                    std::to_string(sizeof address.sun_path - 1) + " characters");
  path.copy(address.sun_path, path.size());
  return address;
}

bool same_user(int connection) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == ::geteuid();
}

using Control = std::array<char, CMSG_SPACE(Handover::kMostSockets * sizeof(int))>;

bool send_sockets(int connection, const std::vector<NamedSocket>& sockets) {
  std::string names;
  std::vector<int> all;
  for (const auto& one : sockets) {
    names += one.name + "\n";
    all.push_back(one.socket);
  }
  names += "\n";
  alignas(cmsghdr) Control control{};
  iovec text{names.data(), names.size()};
  msghdr message{};
  message.msg_iov = &text;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(all.size() * sizeof(int));
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(all.size() * sizeof(int));
  std::memcpy(CMSG_DATA(header), all.data(), all.size() * sizeof(int));
  return ::sendmsg(connection, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(names.size());
}

// One packet has it all.
Result<std::vector<NamedSocket>> receive_sockets(int connection) {
  std::string names(kMostText, '\0');
  alignas(cmsghdr) Control control{};
  iovec text{names.data(), names.size()};
  msghdr message{};
  message.msg_iov = &text;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t n = ::recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
  if (n < 0) return std::unexpected(os_error("the old server's sockets"));
  std::vector<int> all;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    all.resize((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    std::memcpy(all.data(), CMSG_DATA(header), all.size() * sizeof(int));
  }
  std::vector<NamedSocket> sockets;
  std::istringstream in(names.substr(0, static_cast<std::size_t>(n)));
  for (std::string name; std::getline(in, name) && !name.empty() && sockets.size() < all.size();)
    sockets.push_back({name, all[sockets.size()]});
  const bool whole = n > 0 && sockets.size() == all.size() && (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0;
  if (whole) return sockets;
  for (const int socket : all) ::close(socket);
  return fail(Code::kIo, "the old server ended, or is being replaced by another one already");
}

}  // namespace

Result<Takeover> Takeover::from(const std::string& path) {
  Takeover out;
  EC_ASSIGN(const sockaddr_un address, address_of(path));
  const int connection = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (connection < 0) return std::unexpected(os_error(path));
  const timeval patience{10, 0};
  ::setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (::connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    ::close(connection);
    errno = error;
    if (error == ENOENT || error == ECONNREFUSED) return out;  // nobody is there
    return std::unexpected(os_error(path));
  }
  out.connection_ = connection;
  if (!same_user(connection)) return fail(Code::kDenied, path + ": another user's server is behind it");
  EC_ASSIGN(out.sockets_, receive_sockets(connection));
  return out;
}

Takeover::~Takeover() {
  for (const auto& one : sockets_) ::close(one.socket);
  if (connection_ >= 0) ::close(connection_);
}

std::vector<int> Takeover::take(const std::string& name) {
  std::vector<int> taken;
  std::erase_if(sockets_, [&](const NamedSocket& one) {
    if (one.name == name) taken.push_back(one.socket);
    return one.name == name;
  });
  return taken;
}

Status Takeover::ready() {
  for (const auto& one : std::exchange(sockets_, {})) ::close(one.socket);
  if (connection_ < 0) return {};
  const ssize_t n = ::send(connection_, &kReady, 1, MSG_NOSIGNAL);
  ::close(std::exchange(connection_, -1));
  return n == 1 ? Status{} : Status(std::unexpected(os_error("the old server does not know that it is replaced")));
}

Result<std::unique_ptr<Handover>> Handover::wait(const std::string& path, std::vector<NamedSocket> sockets,
                                                 std::function<void()> handed_over) {
  EC_TRY(address_of(path));
  if (sockets.empty() || sockets.size() > kMostSockets)
    return fail(Code::kInvalid, "1 to " + std::to_string(kMostSockets) + " sockets can be handed over");
  const int listener = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  // Under another name first: the path is never without a server behind it.
  const std::string fresh = path + ".new";
  EC_ASSIGN(const sockaddr_un fresh_address, address_of(fresh));
  ::unlink(fresh.c_str());
  const mode_t mask = ::umask(0177);
  const bool bound = listener >= 0 &&
                     ::bind(listener, reinterpret_cast<const sockaddr*>(&fresh_address), sizeof fresh_address) == 0 &&
                     ::listen(listener, 4) == 0;
  ::umask(mask);
  if (!bound || ::rename(fresh.c_str(), path.c_str()) != 0) {
    const Error error = os_error("cannot listen on " + path);
    if (listener >= 0) ::close(listener);
    return std::unexpected(error);
  }
  return std::unique_ptr<Handover>(new Handover(path, listener, std::move(sockets), std::move(handed_over)));
}

Handover::Handover(std::string path, int listener, std::vector<NamedSocket> sockets, std::function<void()> handed_over)
    : path_(std::move(path)),
      listener_(listener),
      sockets_(std::move(sockets)),
      handed_over_(std::move(handed_over)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

Handover::~Handover() {
  thread_.request_stop();
  thread_.join();
  if (!over_) ::unlink(path_.c_str());  // else it is the new server's
  ::close(listener_);
}

void Handover::run(const std::stop_token& stop) {
  pthread_setname_np(pthread_self(), "handover");
  while (!stop.stop_requested()) {
    pollfd ready{listener_, POLLIN, 0};
    if (::poll(&ready, 1, kTurnMs) <= 0) continue;
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0) continue;
    const bool done = serve(connection, stop);
    ::close(connection);
    if (!done) continue;
    over_ = true;
    handed_over_();
    return;
  }
}

bool Handover::serve(int connection, const std::stop_token& stop) const {
  if (!same_user(connection)) {
    log_warning("handover: another user asked for the sockets: refused");
    return false;
  }
  if (!send_sockets(connection, sockets_)) return false;
  for (int turn = 0; turn < kPatienceTurns && !stop.stop_requested(); ++turn) {
    pollfd word{connection, POLLIN, 0};
    if (::poll(&word, 1, kTurnMs) <= 0) continue;
    char said = 0;
    if (::recv(connection, &said, 1, 0) == 1 && said == kReady) return true;
    log_warning("handover: the new server ended before it served: this one goes on");
    return false;
  }
  return false;
}

}  // namespace evercert::net
