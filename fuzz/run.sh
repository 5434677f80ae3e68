#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the fuzz targets with clang and runs each for EVERCERT_FUZZ_SECONDS (or the first argument; 60). Fails when any
# target finds an input that crashes, hangs, leaks or breaks a promise; such inputs stay in build-fuzz/findings.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-${EVERCERT_FUZZ_SECONDS:-60}}
build=build-fuzz
scripts/install_dependencies.sh fuzz
test -f $build/build.ninja || cmake -S . -B $build -G Ninja -DCMAKE_CXX_COMPILER=clang++-16 -DEVERCERT_FUZZ=ON > /dev/null
nice ninja -C $build -j "${JOBS:-$(nproc)}" fuzz_targets

mkdir -p $build/findings $build/logs
summary=$build/logs/summary
printf '%-20s %12s %9s  %s\n' target executions coverage finding > $summary
failed=0
for target in bird_reply:4096 csr:4096 jws:4096 caa:1024 dns_message:1232 ocsp_request:4200 http_entry:20480 edge_request:1024 http2_session:8192 http_upload:4096 http2_upload:8192 proxy_header:600 link_frames:4096 link_bodies:600 coordination:4096 health_report:4096 failover_documents:4096 log_replay:2048 powerdns:2100 reformation_file:2048 config:4096 peer_messages:4096; do
  name=${target%:*}
  log=$build/logs/$name.log
  mkdir -p "$build/corpus/$name"
  echo "fuzzing $name for $seconds s"
  finding=none
  # Its plays have so many features that weighing them by their rarity would take most of the time.
  weighing=1
  test "$name" != peer_messages || weighing=0
  # What was learnt is kept in the build folder; the seeds of the repository are only read.
  "$build/${name}_fuzz" -max_total_time="$seconds" -max_len="${target#*:}" -timeout=5 -rss_limit_mb=1024 -entropic=$weighing \
    -print_final_stats=1 -artifact_prefix="$build/findings/$name-" "$build/corpus/$name" "fuzz/corpus/$name" \
    > "$log" 2>&1 || finding=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
  if [ "$finding" != none ]; then
    failed=1
    finding=${finding:-"see $log"}
    grep -v '^#' "$log" | tail -40
  fi
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
  printf '%-20s %12s %9s  %s\n' "$name" "${executions:--}" "${coverage:--}" "$finding" >> $summary
done
cat $summary
exit $failed
