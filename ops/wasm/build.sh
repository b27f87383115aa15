#!/usr/bin/env bash
# Builds the npm package of the verifier into clients/wasm/pkg. The tool that writes the border to JavaScript is built from
# ops/wasm/bindgen into a cache outside the checkout: two and a half minutes of one core the first time.
set -euo pipefail

TARGET=wasm32-unknown-unknown

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
if command -v sha256sum >/dev/null; then hash=(sha256sum); else hash=(shasum -a 256); fi
digest=$({ cat "$here/bindgen/Cargo.toml" "$here/bindgen/Cargo.lock" "$here/bindgen/src/main.rs"; uname -sm; } |
    "${hash[@]}" | cut -c1-16)
cache="${POA_WASM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/proof-of-agent/wasm}/$digest"

if ! [ -x "$cache/bin/poa-bindgen" ]; then
    mkdir -p "$cache"
    # One build at a time: the second finds what the first has made.
    if command -v flock >/dev/null; then
        exec 9>"$cache/lock"
        flock 9
    fi
    if ! [ -x "$cache/bin/poa-bindgen" ]; then
        echo "Building the tool for WebAssembly (only the first time; it is kept in $cache) ..." >&2
        fresh="$cache/fresh.$$"
        trap 'rm -rf "$fresh"' EXIT
        # From its own folder: the settings of the workspace are not its own.
        (cd "$here/bindgen" && cargo build --locked --release --quiet --target-dir "$fresh/target")
        # Into place in one step: a half-made folder is never taken for a whole one.
        mkdir -p "$fresh/bin"
        mv "$fresh/target/release/poa-bindgen" "$fresh/bin/"
        rm -rf "${cache:?}/bin"
        mv "$fresh/bin" "$cache/bin"
    fi
fi

cd "$root"
# rust-toolchain.toml says which toolchain it is added to.
if command -v rustup >/dev/null; then rustup target add "$TARGET" 2>/dev/null; fi
# No path of this machine in what is published, and the same bytes from every checkout.
cargo_home="${CARGO_HOME:-$HOME/.cargo}"
export RUSTFLAGS="--remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$root=/proof-of-agent"
cargo build --locked --quiet -p poa-verify-wasm --lib --profile wasm --target "$TARGET"
module="${CARGO_TARGET_DIR:-target}/$TARGET/wasm/poa_verify_wasm.wasm"

fresh_package=$(mktemp -d "$root/clients/wasm/pkg.XXXXXX")
trap 'rm -rf "$fresh_package" "${fresh:-$fresh_package}"' EXIT
"$cache/bin/poa-bindgen" "$module" "$fresh_package"
cp clients/wasm/js/* clients/wasm/README.md LICENSE-APACHE LICENSE-MIT "$fresh_package/"
chmod 755 "$fresh_package"
rm -rf clients/wasm/pkg
mv "$fresh_package" clients/wasm/pkg

wasm=clients/wasm/pkg/poa_verify_wasm_bg.wasm
echo "clients/wasm/pkg: $(wc -c <"$wasm") bytes of WebAssembly, $(gzip -9 -c "$wasm" | wc -c) compressed"
