// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "bench/workbench.h"

namespace evercert::bench {
namespace {

using nlohmann::json;

struct Benchmark {
  const char* name;
  Status (*measure)(Workbench& bench);
};
constexpr Benchmark kAll[] = {{"sign-limit", sign_limit},
                              {"commit-limit", commit_limit},
                              {"start", start},
                              {"issue", issue},
                              {"issue-softhsm", issue_softhsm},
                              {"acme", acme},
                              {"ocsp", ocsp},
                              {"coordination", bench::coordination},
                              {"region-kill", region_kill},
                              {"memory", memory},
                              {"scale", scale}};

Status check_names(const std::vector<std::string>& names) {
  std::string known;
  for (const auto& name : benchmark_names()) known += (known.empty() ? "" : ", ") + name;
  for (const auto& name : names) {
    if (std::none_of(std::begin(kAll), std::end(kAll), [&](const Benchmark& one) { return one.name == name; }))
      return fail(Code::kInvalid, "there is no benchmark '" + name + "'; there are " + known);
  }
  return {};
}

// In a process of its own: the token library is set up once in the life of a process, each cluster has its own.
Status apart(Workbench& bench, const Benchmark& benchmark) {
  const std::string name = benchmark.name, file = bench.dir + "/" + name + ".json";
  EC_TRY(os::disk().make_dirs(bench.dir));
  const pid_t child = fork();
  if (child < 0) return fail(Code::kIo, "no process can be started");
  if (child == 0) {
    const Status status = benchmark.measure(bench);
    bench.cluster.reset();
    if (!status) std::fprintf(stderr, "evercert: %s: %s\n", name.c_str(), status.error().message.c_str());
    std::ofstream(file) << bench.results.dump();
    std::fflush(nullptr);
    _exit(status ? 0 : 1);
  }
  int ended = 0;
  while (waitpid(child, &ended, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(ended) || WEXITSTATUS(ended) != 0) return fail(Code::kUnavailable, name + " could not be measured");
  EC_ASSIGN(const auto text, read_file(os::disk(), file));
  const auto measured = json::parse(text, nullptr, false);
  if (measured.is_object()) bench.results.update(measured);
  return {};
}

}  // namespace

std::vector<std::string> benchmark_names() {
  std::vector<std::string> names;
  for (const auto& benchmark : kAll) names.emplace_back(benchmark.name);
  return names;
}

Result<int> run_bench(const BenchOptions& options, const std::function<bool()>& interrupted) {
  EC_TRY(check_names(options.names));
  std::string dir = options.dir;
  char temporary[] = "/tmp/evercert-bench-XXXXXX";
  if (dir.empty()) {
    if (mkdtemp(temporary) == nullptr) return fail(Code::kIo, "no temporary folder can be made");
    dir = temporary;
  }
  Workbench bench{options, interrupted, std::filesystem::absolute(dir).lexically_normal().string()};
  Status status;
  for (const auto& benchmark : kAll) {
    const auto& names = options.names;
    if (!names.empty() && std::find(names.begin(), names.end(), benchmark.name) == names.end()) continue;
    std::printf("%s\n", benchmark.name);
    std::fflush(stdout);
    status = apart(bench, benchmark);
    if (!status || interrupted()) break;
  }
  std::error_code ignored;
  if (options.dir.empty()) std::filesystem::remove_all(dir, ignored);
  // What was measured is kept, also when a later benchmark failed.
  if (!options.json_file.empty()) {
    std::ofstream file(options.json_file);
    file << bench.results.dump(2) << "\n";
    if (!file) return fail(Code::kIo, options.json_file + ": cannot be written");
  }
  EC_TRY(status);
  return interrupted() ? 1 : 0;
}

}  // namespace evercert::bench
