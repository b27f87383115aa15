#!/usr/bin/env bash
# Sets up what the build and the private PostgreSQL need: installs what is missing where it may, else says exactly
# what to install. Quick and silent where everything is there.
set -euo pipefail

# A C compiler and linker: Rust links with it, and two cryptographic libraries hold C.
packages=()
command -v cc >/dev/null || packages+=(build-essential)

# initdb and postgres, in PATH or where Debian keeps them; the server itself is started by the mesh, as our own.
has_postgres() {
    command -v initdb >/dev/null && return 0
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || compgen -G '/usr/pgsql-*/bin/initdb' >/dev/null
}
has_postgres || packages+=(postgresql)

if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
    echo "Rust is installed, but not in PATH: run  . \"\$HOME/.cargo/env\"  and try again." >&2
    exit 1
fi
if ! command -v cargo >/dev/null; then
    echo "Rust is missing: install it with rustup, see https://rustup.rs, and try again." >&2
    exit 1
fi

if [ ${#packages[@]} -eq 0 ]; then
    exit 0
fi

install="apt-get install -y ${packages[*]}"
if ! command -v apt-get >/dev/null; then
    echo "Missing: ${packages[*]}. Install them with your system's package manager, and try again." >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
    else
        echo "Missing: ${packages[*]}. Run  sudo $install  and try again." >&2
        exit 1
    fi
else
    as_root=()
fi

echo "Installing ${packages[*]} ..."
# Debian makes and starts a cluster of its own with the package; ours is private, so none is needed.
if [[ " ${packages[*]} " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    "${as_root[@]}" mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
"${as_root[@]}" apt-get update -qq
# shellcheck disable=SC2086  # the words of the command are meant to be split
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive $install
