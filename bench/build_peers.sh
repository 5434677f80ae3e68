#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the certificate authorities that Evercert is measured against, and the ACME load generator, into $1
# (build/peers). Nothing is rebuilt that is there.
set -eu
cd "$(dirname "$0")/.."
bin=$(mkdir -p "${1:-build/peers}" && cd "${1:-build/peers}" && pwd)
export GOBIN="$bin" GOTOOLCHAIN=local
missing=""
for package in golang-go nginx-light wrk; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
if command -v go > /dev/null; then missing=$(echo "$missing" | sed 's/ golang-go//'); fi
# shellcheck disable=SC2086
[ -z "$missing" ] || apt-get install -y --no-install-recommends $missing > /dev/null
[ -x "$bin/step-ca" ] || CGO_ENABLED=0 go install github.com/smallstep/certificates/cmd/step-ca@v0.30.2
[ -x "$bin/cfssl" ] || CGO_ENABLED=1 go install github.com/cloudflare/cfssl/cmd/cfssl@v1.6.5
(cd bench/acmeload && go build -o "$bin/acmeload" .)
ls "$bin"
