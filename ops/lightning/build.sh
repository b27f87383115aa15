#!/usr/bin/env bash
# Builds the programs of a private Lightning network (btcd, btcctl, lnd, lncli) from tools/go.mod, into a cache outside the
# checkout, and prints the folder that they are in. Quick where they are there. The first time takes seven minutes on
# two cores. Exit 3: they cannot be had here, with the reason; callers say so and skip.
set -euo pipefail

# btcd and lnd are pure Go; the tags are the parts of lnd's interface that are used. Nothing in them makes a node weaker.
TAGS="signrpc walletrpc chainrpc invoicesrpc routerrpc"
PROGRAMS=(btcd btcctl lnd lncli)
# Packages compiled at once. More than a few cost memory and little else helps.
JOBS="${POA_LIGHTNING_BUILD_JOBS:-2}"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if command -v sha256sum >/dev/null; then hash=(sha256sum); else hash=(shasum -a 256); fi
digest=$({ cat "$here/tools/go.mod" "$here/tools/go.sum"; echo "$TAGS"; } | "${hash[@]}" | cut -c1-16)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/proof-of-agent/lightning/$digest"

complete() {
    local program
    for program in "${PROGRAMS[@]}"; do [ -x "$cache/bin/$program" ] || return 1; done
}
cannot() {
    echo "lnd and btcd cannot be built here: $*" >&2
    exit 3
}

if complete; then
    echo "$cache/bin"
    exit 0
fi

go=$(command -v go || true)
[ -n "$go" ] || { [ -x /usr/local/go/bin/go ] && go=/usr/local/go/bin/go; }
[ -n "$go" ] || cannot "Go is missing (https://go.dev/dl)"
cd "$here/tools"
mkdir -p "$cache"
# One build at a time: the second finds what the first has made.
if command -v flock >/dev/null; then
    exec 9>"$cache/lock"
    flock 9
    if complete; then
        echo "$cache/bin"
        exit 0
    fi
fi
echo "Building lnd and btcd (the first time takes about seven minutes; it is kept in $cache) ..." >&2
fresh="$cache/fresh.$$"
trap 'rm -rf "$fresh"' EXIT
export CGO_ENABLED=0 GOFLAGS=-mod=readonly
# Fetches the sources. A Go that is too old, or no way to fetch, is no fault of the code; what then does not compile is one,
# and no exit 3.
"$go" list -deps -tags "$TAGS" tool >/dev/null ||
    cannot "$("$go" env GOVERSION 2>/dev/null), where $(sed -n 's/^go /Go /p' go.mod) or newer is needed, or no sources (above)"
GOBIN="$fresh" nice -n 10 "$go" install -p "$JOBS" -tags "$TAGS" tool >&2
# Into place in one step: a half-made folder is never taken for a whole one.
rm -rf "${cache:?}/bin"
mv "$fresh" "$cache/bin"
echo "$cache/bin"
