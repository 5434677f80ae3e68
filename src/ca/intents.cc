// SPDX-License-Identifier: Apache-2.0
#include "ca/intents.h"

#include <sstream>

#include "base/encoding.h"

namespace evercert::ca {
namespace {

// One line each: sign, serial, checksum. A line that is cut or damaged at the end was never acknowledged.
std::string line(char sign, const std::string& serial) {
  const std::string body = std::string(1, sign) + to_hex(serial);
  const std::uint32_t crc = crc32c(body);
  return body + " " + to_hex({reinterpret_cast<const char*>(&crc), sizeof crc}) + "\n";
}

constexpr std::size_t kRewriteAfter = 20'000;  // lines
// After a write, before the next: what comes meanwhile shares it. The first after a rest is written at once.
constexpr Duration kRest = 1500us;

}  // namespace

Result<std::unique_ptr<Intents>> Intents::open(Disk& disk, const std::string& path, Executor& writer) {
  std::unique_ptr<Intents> intents(new Intents(disk, path, writer));
  EC_TRY(intents->load());
  EC_TRY(intents->rewrite());
  return intents;
}

Status Intents::load() {
  if (!disk_.exists(path_)) return {};
  EC_ASSIGN(auto text, read_file(disk_, path_));
  EC_TRY(cut_room(text));
  std::istringstream in(text);
  for (std::string entry; std::getline(in, entry);) {
    if (entry.size() < 2) continue;
    const auto serial = from_hex(std::string_view(entry).substr(1, entry.find(' ') - 1));
    if (!serial || line(entry[0], *serial) != entry + "\n") {
      if (in.peek() == std::char_traits<char>::eof()) break;  // torn at the end
      return fail(Code::kCorrupt, path_ + ": a line fails its checksum");
    }
    if (entry[0] == '+') {
      open_[*serial] = true;
    } else {
      open_.erase(*serial);
    }
  }
  return {};
}

// No line has a zero byte: where one stands, the file ends, or a sector of a write that was never acknowledged is lost
// (see Disk::open_journal), and nothing behind it was acknowledged either.
Status Intents::cut_room(std::string& text) const {
  constexpr std::size_t kSector = 512;
  const std::size_t at = text.find('\0');
  if (at == std::string::npos) return {};
  const std::size_t sector_end = std::min(text.size(), (at / kSector + 1) * kSector);
  if (text.find_first_not_of('\0', at) < sector_end) return fail(Code::kCorrupt, path_ + ": a line fails its checksum");
  text.resize(at);
  return {};
}

Status Intents::rewrite() {
  std::string text;
  for (const auto& [serial, earlier] : open_) text += line('+', serial);
  EC_TRY(write_file_durably(disk_, path_, text));
  EC_ASSIGN(file_, disk_.open_journal(path_));
  lines_ = open_.size();
  resolved_lines_.clear();
  return {};
}

Task<Status> Intents::append(Executor& on, char sign, std::string serial) {
  auto start = [this, sign, &serial](auto resolve) {
    bool schedule = false;
    {
      std::lock_guard lock(mutex_);
      if (sign == '+') {
        open_[serial] = false;
      } else {
        open_.erase(serial);
      }
      waiting_.push_back({line(sign, serial), std::move(resolve)});
      schedule = !std::exchange(write_scheduled_, true);
    }
    if (schedule) writer_.post([this] { write(); });
  };
  auto written = suspend_on<Status>(on, std::move(start));
  co_return co_await written;
}

Task<Status> Intents::record(Executor& on, std::string serial) { return append(on, '+', std::move(serial)); }
Task<Status> Intents::close(Executor& on, std::string serial) { return append(on, '-', std::move(serial)); }

void Intents::write() {
  std::vector<Waiting> batch;
  std::string text;
  {
    std::lock_guard lock(mutex_);
    batch.swap(waiting_);
    write_scheduled_ = !batch.empty();
    if (batch.empty()) return;
    text.swap(resolved_lines_);
  }
  for (const auto& waiting : batch) text += waiting.line;
  Status written = file_ ? file_->append(text) : fail(Code::kIo, path_ + ": failed before and must not be used");
  if (written) written = file_->sync();
  if (!written) file_.reset();  // what the kernel kept of it is not known
  for (auto& waiting : batch) waiting.done(written);
  writer_.post_after(kRest, [this] { write(); });
  std::lock_guard lock(mutex_);
  lines_ += batch.size() * 2;
  if (file_ && lines_ > kRewriteAfter && open_.size() < kRewriteAfter / 4) {
    if (const Status again = rewrite(); !again) file_.reset();
  }
}

void Intents::resolved(const std::string& serial) {
  std::lock_guard lock(mutex_);
  if (open_.erase(serial) > 0) resolved_lines_ += line('-', serial);
}

std::vector<std::string> Intents::open_serials() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> all;
  for (const auto& [serial, earlier] : open_) all.push_back(serial);
  return all;
}

std::vector<std::string> Intents::left_behind() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> all;
  for (const auto& [serial, earlier] : open_) {
    if (earlier) all.push_back(serial);
  }
  return all;
}

}  // namespace evercert::ca
