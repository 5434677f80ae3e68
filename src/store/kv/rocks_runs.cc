// SPDX-License-Identifier: Apache-2.0
#include "store/kv/rocks_runs.h"

#include <charconv>
#include <vector>

namespace evercert::store {
namespace {

constexpr char kSealed[] = "/sealed";  // the number of files, written last
constexpr char kLink[] = ".linked";    // a second name, which the state takes away

Status check_staged(const rocksdb::Status& status) {
  if (status.ok()) return {};
  const Code code = status.IsCorruption() ? Code::kCorrupt : status.IsInvalidArgument() ? Code::kInvalid : Code::kIo;
  return fail(code, "staged records: " + status.ToString());
}

}  // namespace

RocksRuns::RocksRuns(std::string dir, const rocksdb::Options& options, std::uint64_t file_bytes)
    : dir_(std::move(dir)), options_(options), file_bytes_(file_bytes), env_(*options.env) {}

std::string RocksRuns::file(const std::string& run, int number) const {
  return folder(run) + "/" + std::to_string(number) + ".sst";
}

Status RocksRuns::finish(Run& run) {
  if (!run.writer) return {};
  EC_TRY(check_staged(run.writer->Finish()));  // syncs it
  run.writer.reset();
  return {};
}

Status RocksRuns::stage(const std::string& name, const WriteBatch& puts) {
  Run& run = runs_[name];
  if (run.files == 0) EC_TRY(check_staged(env_.CreateDirIfMissing(dir_)));
  if (run.files == 0) EC_TRY(check_staged(env_.CreateDirIfMissing(folder(name))));
  for (const auto& change : puts.changes()) {
    if (!run.writer) {
      run.writer = std::make_unique<rocksdb::SstFileWriter>(rocksdb::EnvOptions(options_), options_, nullptr, false);
      EC_TRY(check_staged(run.writer->Open(file(name, run.files++))));
      run.bytes = 0;
    }
    EC_TRY(check_staged(run.writer->Put(change.key, change.value)));
    run.bytes += change.key.size() + change.value.size();
    if (run.bytes >= file_bytes_) EC_TRY(finish(run));
  }
  return {};
}

Status RocksRuns::seal(const std::string& name) {
  Run& run = runs_[name];
  EC_TRY(check_staged(env_.CreateDirIfMissing(dir_)));
  EC_TRY(check_staged(env_.CreateDirIfMissing(folder(name))));
  EC_TRY(finish(run));
  EC_TRY(check_staged(rocksdb::WriteStringToFile(&env_, std::to_string(run.files), folder(name) + kSealed, true)));
  for (const auto& folder_name : {folder(name), dir_}) {
    std::unique_ptr<rocksdb::Directory> folder_of_names;
    EC_TRY(check_staged(env_.NewDirectory(folder_name, &folder_of_names)));
    EC_TRY(check_staged(folder_of_names->Fsync()));
  }
  return {};
}

Status RocksRuns::ingest(const std::string& name, rocksdb::DB& db) {
  std::string sealed;
  int files = 0;
  const auto read = rocksdb::ReadFileToString(&env_, folder(name) + kSealed, &sealed);
  const auto number = std::from_chars(sealed.data(), sealed.data() + sealed.size(), files);
  if (!read.ok() || number.ec != std::errc{})
    return fail(Code::kCorrupt, folder(name) +
                                    " does not hold the snapshot that was to be put in place: move the data "
                                    "folder away and start again, the node is then rebuilt from its peers");
  std::vector<std::string> links;
  for (int i = 0; i < files; ++i) {
    links.push_back(file(name, i) + kLink);
    env_.DeleteFile(links.back()).PermitUncheckedError();  // of an attempt that a crash cut
    EC_TRY(check_staged(env_.LinkFile(file(name, i), links.back())));
  }
  if (links.empty()) return {};
  rocksdb::IngestExternalFileOptions options;
  options.move_files = true;
  options.write_global_seqno = false;  // the files stay as they are, for another attempt
  return check_staged(db.IngestExternalFile(links, options));
}

Status RocksRuns::drop(const std::string& name) {
  runs_.erase(name);
  std::vector<std::string> files;
  if (!env_.GetChildren(folder(name), &files).ok()) return {};  // there is none
  // The seal first: what is left after a crash must not pass for a whole run.
  env_.DeleteFile(folder(name) + kSealed).PermitUncheckedError();
  for (const auto& one : files) {
    if (one != "." && one != ".." && one != kSealed + 1)
      EC_TRY(check_staged(env_.DeleteFile(folder(name) + "/" + one)));
  }
  return check_staged(env_.DeleteDir(folder(name)));
}

}  // namespace evercert::store
