// SPDX-License-Identifier: Apache-2.0
#include "net/access_log.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/log.h"
#include "base/rfc3339.h"

namespace evercert::net {
namespace {

constexpr std::size_t kWrittenAt = 64 * 1024;  // so much waits no longer
constexpr Duration kWrittenAfter = 200ms;
constexpr std::size_t kPieceBytes = 4096;  // a pipe that can be written to takes so much without waiting
constexpr int kPatienceMs = 1000;          // with who reads

constexpr char kHex[] = "0123456789abcdef";

void append_text(std::string& out, const char* name, std::string_view text) {
  out += ",\"";
  out += name;
  out += "\":\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
      out.push_back(c);
    } else {
      out += "\\u00";
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    }
  }
  out.push_back('"');
}

void append_number(std::string& out, const char* name, std::string number) {
  out += ",\"";
  out += name;
  out += "\":";
  out += number;
}

WallTime wall_now() {
  return {std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
              .count()};
}

std::string with_milliseconds(WallTime time) {
  std::string text = rfc3339(time.ms);
  const std::string part = std::to_string(1000 + time.ms % 1000);
  return text.insert(text.size() - 1, "." + part.substr(1));
}

int open_file(const std::string& path) {
  return path == "-" ? ::dup(STDOUT_FILENO) : ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

std::uint64_t lines_of(std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

void append_line(std::string& out, const AccessEntry& entry, WallTime time) {
  out += "{\"time\":\"" + with_milliseconds(time) + "\"";
  append_text(out, "client", entry.client);
  if (!entry.identity.empty()) append_text(out, "identity", entry.identity);
  append_text(out, "method", entry.method);
  append_text(out, "path", entry.path);
  append_number(out, "status", std::to_string(entry.status));
  append_number(out, "bytes", std::to_string(entry.bytes));
  const auto us = entry.duration.count();
  std::string fraction = std::to_string(us % 1000);
  append_number(out, "ms", std::to_string(us / 1000) + "." + std::string(3 - fraction.size(), '0') + fraction);
  append_text(out, "protocol", entry.protocol);
  if (!entry.tls.empty()) {
    append_text(out, "tls", entry.tls);
    append_number(out, "resumed", entry.resumed ? "true" : "false");
  }
  if (!entry.region.empty()) append_text(out, "region", entry.region);
  if (!entry.upstream.empty()) append_text(out, "upstream", entry.upstream);
  if (!entry.request_id.empty()) append_text(out, "request_id", entry.request_id);
  out += "}\n";
}

Result<std::unique_ptr<AccessLog>> AccessLog::open(const std::string& path) {
  const int file = open_file(path);
  if (file < 0) return fail(Code::kIo, "cannot write the access log " + path + ": " + std::strerror(errno));
  return std::unique_ptr<AccessLog>(new AccessLog(path, file));
}

AccessLog::AccessLog(std::string path, int file)
    : path_(std::move(path)), file_(file), thread_([this](const std::stop_token& stop) { run(stop); }) {}

AccessLog::~AccessLog() {
  thread_.request_stop();
  thread_.join();
  ::close(file_);
}

void AccessLog::add(const AccessEntry& entry) {
  thread_local std::string line;  // keeps its memory
  line.clear();
  append_line(line, entry, wall_now());
  std::lock_guard lock(mutex_);
  if (waiting_.size() + line.size() > kMostWaiting) {
    ++dropped_;
    return;
  }
  const bool wake = waiting_.size() < kWrittenAt && waiting_.size() + line.size() >= kWrittenAt;
  waiting_ += line;
  ++lines_;
  if (wake) changed_.notify_one();
}

void AccessLog::reopen() {
  std::lock_guard lock(mutex_);
  reopen_ = true;
  changed_.notify_one();
}

void AccessLog::run(const std::stop_token& stop) {
  pthread_setname_np(pthread_self(), "access-log");
  std::string bytes;
  bool failing = false;
  std::unique_lock lock(mutex_);
  for (bool last = false; !last;) {
    changed_.wait_for(lock, stop, kWrittenAfter, [this] { return reopen_ || waiting_.size() >= kWrittenAt; });
    last = stop.stop_requested();
    bytes.swap(waiting_);
    const bool again = std::exchange(reopen_, false) && path_ != "-";
    lock.unlock();
    // What was answered before belongs to the old file.
    if (!bytes.empty() && !write(bytes)) {
      if (!std::exchange(failing, true)) log_error("access log: " + path_ + ": " + std::strerror(errno));
    } else if (!bytes.empty()) {
      failing = false;
    }
    bytes.clear();
    if (again) {
      if (const int fresh = open_file(path_); fresh >= 0) {
        ::close(std::exchange(file_, fresh));
      } else {
        log_error("access log: the old file stays: " + path_ + ": " + std::strerror(errno));
      }
    }
    lock.lock();
  }
}

// False: errno says why, and the rest is counted as dropped.
bool AccessLog::write(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd ready{file_, POLLOUT, 0};
    const int polled = ::poll(&ready, 1, kPatienceMs);
    if (polled < 0 && errno == EINTR) continue;
    if (polled == 0 && !thread_.get_stop_token().stop_requested()) continue;
    if (polled == 0) errno = EAGAIN;
    const ssize_t n = polled > 0 ? ::write(file_, bytes.data(), std::min(bytes.size(), kPieceBytes)) : -1;
    if (n < 0 && (errno == EINTR || (polled > 0 && errno == EAGAIN))) continue;
    if (n < 0) {
      const int error = errno;
      const std::uint64_t lost = lines_of(bytes);
      dropped_ += lost;
      lines_ -= lost;
      errno = error;
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace evercert::net
