#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Lays the .proto files of etcd's API and of what they import into a folder, from Debian's packages: as installed, or
# else taken out of the packages alone (installing them would bring a hundred others that nothing here uses).
set -eu
out=$1
installed=/usr/share/gocode/src
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source_of() {  # package, path below gocode/src
  if [ -f "$installed/$2" ]; then
    echo "$installed/$2"
    return
  fi
  if [ ! -d "$work/$1" ]; then
    mkdir "$work/$1"
    (cd "$work/$1" && apt-get -qq -o APT::Sandbox::User=root download "$1" && dpkg-deb -x ./*.deb .) >&2
  fi
  echo "$work/$1$installed/$2"
}
place() {  # package, path below gocode/src, path that imports name
  file=$(source_of "$1" "$2")
  mkdir -p "$out/$(dirname "$3")"
  cp "$file" "$out/$3"
}
for name in auth/authpb/auth mvcc/mvccpb/kv etcdserver/etcdserverpb/rpc etcdserver/api/v3lock/v3lockpb/v3lock \
  etcdserver/api/v3election/v3electionpb/v3election; do
  place golang-etcd-server-dev "go.etcd.io/etcd/$name.proto" "etcd/$name.proto"
done
place golang-github-gogo-protobuf-dev github.com/gogo/protobuf/gogoproto/gogo.proto gogoproto/gogo.proto
gateway=github.com/grpc-ecosystem/grpc-gateway/third_party/googleapis
for name in annotations http; do
  place golang-github-grpc-ecosystem-grpc-gateway-dev "$gateway/google/api/$name.proto" "google/api/$name.proto"
done
