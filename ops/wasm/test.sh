#!/usr/bin/env bash
# Tests the package in clients/wasm/pkg: in Node.js, and in Chromium where it is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

command -v node >/dev/null || { echo "Node.js 20 or newer is missing: the package cannot be tested" >&2; exit 1; }
POA_INTEROP_ARTEFACTS=$(tests/interop/artefacts.sh)
export POA_INTEROP_ARTEFACTS
node --test clients/wasm/tests/verify.test.js clients/wasm/tests/browser.test.js
