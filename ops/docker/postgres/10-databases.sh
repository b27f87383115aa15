#!/bin/bash
# A role and a database of its own for each service: no service can read what another one keeps. PostgreSQL's image runs
# this once, when the cluster is new.
set -euo pipefail

PASSWORDS=${POA_PASSWORDS:-/run/passwords}

for service in auth task escrow attestation search; do
    export PASSWORD_FILE="$PASSWORDS/$service.password"
    psql --username "${POSTGRES_USER:-postgres}" --dbname postgres --quiet -v ON_ERROR_STOP=1 -v name="poa_$service" <<'SQL'
\set password `cat "$PASSWORD_FILE"`
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8';
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
