#!/usr/bin/env bash
# The generated code is what the contracts make: regenerates it and wants the tree unchanged.
set -euo pipefail
cd "$(dirname "$0")/.."

before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
cp -r crates/proto/src/gen "$before/gen"
cargo run -q -p poa-generate
if ! diff -rq "$before/gen" crates/proto/src/gen; then
    echo "crates/proto/src/gen is not what proto/ makes: run  make generate  and commit the result." >&2
    exit 1
fi
