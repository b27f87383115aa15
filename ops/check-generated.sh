#!/usr/bin/env bash
# The generated code and the pages on errors are what the contracts make: regenerates it and wants the tree unchanged.
set -euo pipefail
cd "$(dirname "$0")/.."

before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
cp -r crates/proto/src/gen "$before/gen"
cp -r crates/payment/src/lnd/gen "$before/lnd"
cp -r docs/errors "$before/errors"
cargo run -q -p poa-generate
if ! diff -rq "$before/gen" crates/proto/src/gen || ! diff -rq "$before/errors" docs/errors \
    || ! diff -rq "$before/lnd" crates/payment/src/lnd/gen; then
    echo "What is generated is not what proto/ and crates/payment/proto make: run  make generate  and commit the result." >&2
    exit 1
fi
