// SPDX-License-Identifier: Apache-2.0
// One line of JSON for each request that a server answered or refused. Lines are made on the thread that serves and
// written on another; what does not fit between the two is counted and left out: a slow disk slows nobody down.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"
#include "base/time.h"

namespace evercert::net {

struct AccessEntry {
  std::string_view client, identity;
  std::string_view method, path;  // without the query, which may hold what is nobody's business
  std::string_view protocol;      // HTTP/1.1, HTTP/2
  std::string_view tls;           // TLSv1.3; empty: plain
  bool resumed = false;           // the TLS session
  int status = 0;
  std::size_t bytes = 0;  // of the answer's body
  Duration duration{0};   // from the end of the request to its answer
  std::string_view region, upstream, request_id;
};

// A line with its end. Pure. Whatever the fields hold, it is JSON.
void append_line(std::string& out, const AccessEntry& entry, WallTime time);

class AccessLog {
 public:
  static constexpr std::size_t kMostWaiting = 4 << 20;  // bytes

  // `path`: a file, which is appended to; "-": standard output. kIo.
  static Result<std::unique_ptr<AccessLog>> open(const std::string& path);
  // Writes what waits, unless who reads it does not.
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  // Any thread; never waits for the disk.
  void add(const AccessEntry& entry);
  // The file was moved away: a new one under the old name. Any thread.
  void reopen();
  std::uint64_t lines() const { return lines_; }
  std::uint64_t dropped() const { return dropped_; }  // lines

 private:
  AccessLog(std::string path, int file);
  void run(const std::stop_token& stop);
  bool write(std::string_view bytes);

  const std::string path_;
  int file_;  // the writing thread's
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::string waiting_;
  bool reopen_ = false;
  std::atomic<std::uint64_t> lines_{0}, dropped_{0};
  std::jthread thread_;
};

}  // namespace evercert::net
