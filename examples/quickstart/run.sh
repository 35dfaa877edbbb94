#!/bin/sh
# Builds backup, backs the clinic up and shows the result.
set -eu
cd "$(dirname "$0")"
if ! command -v cc >/dev/null 2>&1; then
    sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update && $sudo apt-get install -y --no-install-recommends gcc libc6-dev
fi
cargo build --release --manifest-path ../../Cargo.toml
backup=${CARGO_TARGET_DIR:-../../target}/release/backup
"$backup" create
"$backup" list
"$backup" show latest
find backups -name '*.tar.gz' | sort | while read -r archive; do echo "$archive"; tar -tzf "$archive"; done
