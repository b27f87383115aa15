#!/usr/bin/env bash
# Other people's tools verify our artefacts, and our code verifies theirs. What is fetched stays in a cache outside the
# checkout. Exit 3: Python, Go or the packages cannot be had here, with the reason; callers say so and skip.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if command -v sha256sum >/dev/null; then hash=(sha256sum); else hash=(shasum -a 256); fi
cannot() {
    echo "the tests with other people's verifiers cannot run here: $*" >&2
    exit 3
}

python=$(command -v python3 || true)
[ -n "$python" ] || cannot "Python 3.10 or newer is missing"
"$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 10))' ||
    cannot "Python 3.10 or newer with venv is needed"
go=$(command -v go || true)
[ -n "$go" ] || { [ -x /usr/local/go/bin/go ] && go=/usr/local/go/bin/go; }
[ -n "$go" ] || cannot "Go is missing (https://go.dev/dl)"

# A virtual environment per set of packages and interpreter.
digest=$({ cat "$here/python/requirements.txt"; "$python" -c 'import sys; print(sys.executable, sys.version)'; } |
    "${hash[@]}" | cut -c1-16)
cache="${POA_INTEROP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/proof-of-agent/interop}/$digest"
if ! [ -f "$cache/complete" ]; then
    mkdir -p "$cache"
    # One at a time: the second finds what the first has made.
    if command -v flock >/dev/null; then
        exec 9>"$cache/lock"
        flock 9
    fi
fi
if ! [ -f "$cache/complete" ]; then
    echo "Fetching the Python packages (only the first time; they are kept in $cache) ..." >&2
    rm -rf "$cache/venv"
    "$python" -m venv "$cache/venv"
    "$cache/venv/bin/pip" install --quiet --disable-pip-version-check --no-input --require-hashes --only-binary :all: \
        -r "$here/python/requirements.txt" || cannot "the Python packages cannot be fetched (above)"
    touch "$cache/complete"
fi

cd "$here/go"
export GOFLAGS=-mod=readonly CGO_ENABLED=0
# Go keeps modules and builds in caches of its own; go.sum says which bytes they must be.
"$go" mod download || cannot "$("$go" env GOVERSION 2>/dev/null), where $(sed -n 's/^go /Go /p' go.mod) or newer is needed, or no modules (above)"

POA_INTEROP_ARTEFACTS=$("$here/artefacts.sh")
export POA_INTEROP_ARTEFACTS

echo "== Python: securesystemslib, in_toto_attestation"
(cd "$here/python" && PYTHONDONTWRITEBYTECODE=1 "$cache/venv/bin/python" -m unittest)
echo "== Go: sumdb/note, sumdb/tlog, transparency-dev/formats, transparency-dev/merkle"
"$go" vet ./...
"$go" test -count=1 -v ./... | grep -v '^=== '
echo "== Rust: what Go has signed"
cd "$here/../.."
cargo run --quiet -p proof-of-agent --example interop -- read "$POA_INTEROP_ARTEFACTS/foreign"
