#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what the build and the tests need on Debian 12; with the argument `fuzz`, `faults`, `h2spec`, `pebble`, `dns-bench` or `edge-bench`,
# what these need beyond that.
# Costs nothing when everything is there.
set -eu
packages="bird2 ccache certbot clang-format-14 cmake curl etcd-client g++ iproute2 lego libbenchmark-dev libboost1.81-dev libcli11-dev libfmt-dev libgfshare-dev
libgmock-dev libgrpc++-dev libgtest-dev libjemalloc-dev libldns-dev liblz4-dev libmaxminddb-dev libnghttp2-dev libp11-kit-dev libprotobuf-dev librocksdb-dev
libspdlog-dev libssl-dev libyaml-cpp-dev make mold nftables ninja-build nlohmann-json3-dev openssl pdns-backend-remote pdns-server pkg-config prometheus-cpp-dev
protobuf-compiler protobuf-compiler-grpc python3 python3-dnspython python3-h2 softhsm2 util-linux"
[ "${1:-}" != faults ] || packages="$packages e2fsprogs faketime"
[ "${1:-}" != dns-bench ] || packages="$packages dnsperf gdnsd"
[ "${1:-}" != edge-bench ] || packages="$packages haproxy wrk"
{ [ "${1:-}" != h2spec ] && [ "${1:-}" != pebble ]; } || command -v go > /dev/null 2>&1 || packages="$packages golang-go"
[ "${1:-}" != fuzz ] || packages="$packages clang-16 libclang-rt-16-dev"
missing=""
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
command -v cargo > /dev/null 2>&1 || missing="$missing cargo-web rustc-web"
[ -n "$missing" ] || exit 0
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing > /dev/null
