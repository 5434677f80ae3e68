// SPDX-License-Identifier: Apache-2.0
// What this machine can do at all, and how soon a cluster is there.
#include "bench/workbench.h"
#include "demo/history.h"
#include "keys/software_signer.h"
#include "node/signers.h"

namespace evercert::bench {

Status sign_limit(Workbench& bench) {
  EC_TRY(bench.start_cluster("sign", true));
  const auto rate = [&](const pki::Signer& signer) -> Result<double> {
    const OnCore here(kServerCore);
    const std::string data(600, 'x');
    const Instant begun = now();
    int n = 0;
    for (; seconds_since(begun) < bench.options.seconds / 3.0; ++n) EC_TRY(signer.sign(data));
    return n / seconds_since(begun);
  };
  EC_ASSIGN(const auto pem, keys::generate_key_pem(pki::KeyKind::kP256));
  EC_ASSIGN(const auto software, keys::software_signer(pem));
  EC_ASSIGN(const double in_file, rate(*software));
  const auto& config = bench.cluster->config();
  EC_ASSIGN(const auto token, node::open_signer(config.regions.front(), config::Paths(config.dir), "issuing"));
  EC_ASSIGN(const double in_token, rate(*token));
  line("P-256 signatures, key in a file, one core", in_file, "a second");
  line("P-256 signatures, SoftHSM2, one core", in_token, "a second");
  bench.results["sign-limit"] = {{"file_per_second", in_file}, {"softhsm_per_second", in_token}};
  return {};
}

Status commit_limit(Workbench& bench) {
  EC_ASSIGN(const auto file, os::disk().open_append(bench.dir + "/commits"));
  const std::string record(1024, 'x');
  std::vector<double> times;
  const Instant begun = now();
  while (seconds_since(begun) < bench.options.seconds / 2.0) {
    const Instant one = now();
    EC_TRY(file->append(record));
    EC_TRY(file->sync());
    times.push_back(seconds_since(one) * 1000);
  }
  const Rate rate{static_cast<double>(times.size()) / seconds_since(begun), demo::quantile_ms(times, 0.5),
                  demo::quantile_ms(times, 0.99), times.size(), 0};
  line("1 KiB appended and synced, one after another", rate);
  bench.results["commit-limit"] = to_json(rate);
  return {};
}

Status start(Workbench& bench) {
  EC_TRY(bench.start_cluster("start", true));
  line("processes started to ready, all on one core", bench.cluster->start_ms(), "ms");
  bench.results["start"] = {{"ready_ms", bench.cluster->start_ms()}};
  return {};
}

}  // namespace evercert::bench
