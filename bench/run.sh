#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All benchmarks, with the peers that can be built here, into build/bench.json.
set -eu
cd "$(dirname "$0")/.."
program=${1:-build/evercert}
bench/build_peers.sh build/peers > build/peers.log 2>&1 || echo "peers could not be built (build/peers.log): measured alone"
"$program" bench --peers build/peers --json build/bench.json --seconds "${SECONDS_EACH:-5}" --runs "${RUNS:-3}"
