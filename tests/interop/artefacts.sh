#!/usr/bin/env bash
# Writes the artefacts that other verifiers read, the same bytes in every run, and prints the folder that they are in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

folder="${CARGO_TARGET_DIR:-$PWD/target}/interop"
rm -rf "$folder"
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cargo run --quiet -p proof-of-agent --example interop -- write "$folder"
echo "$folder"
