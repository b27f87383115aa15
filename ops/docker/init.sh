#!/bin/sh
# Makes the keys and passwords of a deployment where they are missing, and gives each reader those that it needs and no
# others (docs/operations/keys.md). What is there stays. Runs as root, in a container without a network.
#
#   /data       the originals            /keys/NAME   what one server reads
#   /passwords  what PostgreSQL reads, to make a role for each service
set -eu
umask 077

DATA=${POA_INIT_DATA:-/data}
KEYS=${POA_INIT_KEYS:-/keys}
PASSWORDS=${POA_INIT_PASSWORDS:-/passwords}
# The user of the servers (Dockerfile) and the one of PostgreSQL's image.
SERVER_UID=${POA_INIT_SERVER_UID:-10001}
POSTGRES_UID=${POA_INIT_POSTGRES_UID:-999}
DATABASE_HOST=${POA_INIT_DATABASE_HOST:-postgres:5432}

SERVICES="auth task escrow attestation search"

# give FILE FOLDER UID: a copy that only this user reads.
give() {
    # Without being root, as in a rehearsal, all of them are the same user.
    if [ "$(id -u)" -eq 0 ]; then owner="-o $3 -g $3"; else owner=""; fi
    # shellcheck disable=SC2086  # two options, or none
    install -d $owner -m 0500 "$2"
    chmod u+w "$2"
    # shellcheck disable=SC2086
    install $owner -m 0400 "$1" "$2/"
    chmod u-w "$2"
}

# password NAME: 192 random bits, in letters that need no escaping in a URL.
password() {
    file="$DATA/passwords/$1.password"
    if [ ! -s "$file" ]; then
        head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$file.part"
        mv "$file.part" "$file"
    fi
    give "$file" "$PASSWORDS" "$POSTGRES_UID"
}

poa-mesh init --data "$DATA"
install -d -m 0700 "$DATA/passwords"

password postgres
for service in $SERVICES; do
    password "$service"
    printf '[database]\nurl = "postgres://poa_%s:%s@%s/poa_%s"\n' "$service" \
        "$(cat "$DATA/passwords/$service.password")" "$DATABASE_HOST" "$service" >"$DATA/database.toml"
    give "$DATA/database.toml" "$KEYS/$service" "$SERVER_UID"
    rm "$DATA/database.toml"
done

for server in $SERVICES gateway; do
    for file in jwks.json services.json trust-root.json admin.sha256 "service-$server.key" "$server.secret"; do
        give "$DATA/keys/$file" "$KEYS/$server" "$SERVER_UID"
    done
    # Servers know the operator's token by its digest; the folders of an earlier version hold it.
    if [ -e "$KEYS/$server/admin.token" ]; then
        chmod u+w "$KEYS/$server"
        rm "$KEYS/$server/admin.token"
        chmod u-w "$KEYS/$server"
    fi
done
give "$DATA/keys/jwt.key" "$KEYS/auth" "$SERVER_UID"
give "$DATA/keys/preimages.secret" "$KEYS/escrow" "$SERVER_UID"
give "$DATA/keys/receipt.key" "$KEYS/attestation" "$SERVER_UID"
give "$DATA/keys/log.key" "$KEYS/attestation" "$SERVER_UID"
give "$DATA/keys/admin.token" "$KEYS/operator" "$SERVER_UID"
give "$DATA/keys/trust-root.json" "$KEYS/operator" "$SERVER_UID"
echo "each server has its keys"
