// SPDX-License-Identifier: Apache-2.0
// What one issuance costs inside the CA, part by part: taskset -c 0 build/pki_bench
#include <benchmark/benchmark.h>

#include "base/encoding.h"
#include "base/os/system.h"
#include "keys/software_signer.h"
#include "pki/certificate.h"
#include "pki/csr.h"
#include "pki/pem.h"
#include "pki/serial.h"

namespace {

using namespace evercert;

struct Authority {
  std::shared_ptr<pki::Signer> signer = keys::software_signer(*keys::generate_key_pem(pki::KeyKind::kP256)).value();
  std::int64_t now = os::wall_clock().now().seconds();
  pki::Profile profile{"server", pki::Usage::kServer, 90 * 86400, {pki::NameKind::kDns}};
  std::string csr_pem =
      keys::make_csr_pem(*keys::generate_key_pem(pki::KeyKind::kP256), {{pki::NameKind::kDns, "host1.load.test"}})
          .value();
  pki::Csr csr = pki::parse_csr_pem(csr_pem).value();
  std::unique_ptr<pki::CertificateFactory> factory;

  Authority() {
    const auto root = pki::make_root("Bench Root", serial(), now, *signer).value();
    const auto url = [](const char* what) {
      return std::vector<std::string>{std::string("http://127.1.0.1:8080/") + what,
                                      std::string("http://127.2.0.1:8080/") + what,
                                      std::string("http://127.3.0.1:8080/") + what};
    };
    factory =
        pki::CertificateFactory::create({root, url("ocsp"), url("ca/us-east-1.crt"), url("crl/us-east-1.crl")}, signer)
            .value();
  }
  static std::string serial() { return pki::make_serial(RegionId{1}, os::secure_random()); }
  auto prepare() const {
    return factory->prepare(profile, {serial(), now - 60, now + 86400, "host1.load.test", csr.names, &csr.key});
  }
};

const Authority& authority() {
  static const Authority one;
  return one;
}

void parse_and_check_csr(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(pki::parse_csr_pem(authority().csr_pem));
}
BENCHMARK(parse_and_check_csr);

void prepare_and_lint(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(authority().prepare());
}
BENCHMARK(prepare_and_lint);

void prepare_and_sign(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(authority().factory->sign(authority().prepare().value()));
}
BENCHMARK(prepare_and_sign);

void signature_alone(benchmark::State& state) {
  const std::string data(600, 'x');
  for (auto _ : state) benchmark::DoNotOptimize(authority().signer->sign(data));
}
BENCHMARK(signature_alone);

void verification_alone(benchmark::State& state) {
  const std::string data(600, 'x');
  const auto key = pki::PublicKey::from_spki(authority().signer->spki_der()).value();
  const auto signature = authority().signer->sign(data).value();
  for (auto _ : state) benchmark::DoNotOptimize(key.verify_x509(data, signature));
}
BENCHMARK(verification_alone);

void to_pem(benchmark::State& state) {
  const std::string der(800, 'x');
  for (auto _ : state) benchmark::DoNotOptimize(pki::to_pem("CERTIFICATE", der));
}
BENCHMARK(to_pem);

void digest(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(sha256(authority().csr_pem));
}
BENCHMARK(digest);

}  // namespace

BENCHMARK_MAIN();
