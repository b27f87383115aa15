#!/usr/bin/env bash
# A private Lightning network on loopback: btcd in simnet and two lnd nodes, `a` (ours) and `b` (outside), with two channels
# between them and sats on both sides. Everything is in one folder; README.md says how to use it by hand.
#
#   network.sh up FOLDER                 builds what is missing, starts all, waits until each side can pay the other
#   network.sh hold FOLDER               the same, says "up", and ends all when its standard input ends
#   network.sh down FOLDER               ends the processes and removes the folder; nothing to do is fine
#   network.sh status FOLDER
#   network.sh mine FOLDER N             N blocks, and waits until the running nodes have seen them
#   network.sh stop|kill|start|restart FOLDER a|b
#   network.sh bake FOLDER a|b NAME FILE a macaroon with the permissions in FILE (uri:/package.Service/Method, one a line)
set -euo pipefail
umask 077
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Seconds that a daemon has to answer, a node to end in order, and the network for each further step.
START_WITHIN=120
STOP_WITHIN=60
STEP_WITHIN=120
ATTEMPT=${POA_LIGHTNING_ATTEMPT:-1}
# simnet switches segwit on after 300 blocks, and a coinbase is spendable after 100.
FIRST_BLOCKS=400
# Two channels of 10 million sat each, half of it on each side. The outside node opens and so pays the commitment fees: the
# balance of node a then changes by payments alone.
CHANNELS=2
CHANNEL_SAT=10000000
PUSH_SAT=5000000

die() {
    echo "lightning: $*" >&2
    exit 1
}

# === Processes ===

# A daemon in a session of its own, so that ^C at the terminal does not reach it; its output in NAME.log.
spawn() {
    local name=$1
    shift
    setsid "$@" </dev/null >>"$folder/$name.log" 2>&1 9>&- &
    echo $! >"$folder/$name.pid"
    disown
}

# The process id of a daemon of this folder, if it runs. The number may be another program's by now, or a zombie's: ours names
# this folder in its arguments.
pid_of() {
    local pid
    pid=$(cat "$folder/$1.pid" 2>/dev/null) || return 1
    [[ "$(ps -o args= -p "$pid" 2>/dev/null)" == *"=$folder/"* ]] || return 1
    echo "$pid"
}

# Ends a daemon: SIGTERM and, when it has not ended in time or with `now`, SIGKILL.
end() {
    local name=$1 how=${2:-} pid
    pid=$(pid_of "$name") || return 0
    if [ "$how" != now ]; then
        kill -TERM "$pid" 2>/dev/null || true
        within "$STOP_WITHIN" gone "$name" || true
    fi
    kill -KILL "$pid" 2>/dev/null || true
    within "$STOP_WITHIN" gone "$name" || die "$name ($pid) does not end"
    rm -f "$folder/$name.pid"
}
gone() { ! pid_of "$1" >/dev/null; }

# Whether a command succeeds within so many seconds.
within() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >"$folder/last" 2>&1; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.1
    done
}
# The same with a reason to fail with, and no waiting for a daemon that has ended.
await() {
    local seconds=$1 what=$2
    shift 2
    within "$seconds" or_ended "$@" || fail "not within $seconds s: $what. Last answer: $(tail -c 400 "$folder/last")"
    [ ! -e "$folder/ended" ] || fail "$(cat "$folder/ended") ended while waiting for: $what"
}
or_ended() {
    local pid_file name
    "$@" && return 0
    for pid_file in "$folder"/*.pid; do
        [ -e "$pid_file" ] || continue
        name=$(basename "$pid_file" .pid)
        gone "$name" || continue
        echo "$name" >"$folder/ended"
        return 0
    done
    return 1
}

# What is needed to see why: the last lines of each daemon. A port that was taken between the look and the start is no reason
# to give up: all over again, with others.
fail() {
    local name
    echo "lightning: $*" >&2
    if [ "$ATTEMPT" -lt 3 ] && [ ! -e "$folder/network.env" ] && grep -qs "address already in use" "$folder"/*.log; then
        echo "lightning: a port was taken; once more with others" >&2
        down
        trap - EXIT
        POA_LIGHTNING_ATTEMPT=$((ATTEMPT + 1)) exec "${BASH_SOURCE[0]}" "$command" "$folder"
    fi
    for name in btcd a b; do
        [ -e "$folder/$name.log" ] || continue
        echo "--- $name.log" >&2
        tail -n 15 "$folder/$name.log" >&2
    done
    exit 1
}

# === Settings ===

secret() { head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# A port that nobody listens on, below those that the system hands out by itself.
port() {
    local candidate
    while :; do
        candidate=$((20000 + RANDOM % 12000))
        [[ " $ports " != *" $candidate "* ]] || continue
        (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null || break
    done
    ports="$ports $candidate"
    printf -v "$1" '127.0.0.1:%s' "$candidate"
}

write_btcd() {
    cat >"$folder/btcd.conf" <<END
[Application Options]
simnet=1
datadir=$folder/btcd
logdir=$folder/btcd
rpccert=$folder/btcd.cert
rpckey=$folder/btcd.key
rpcuser=$user
rpcpass=$password
rpclisten=$BTCD_RPC
listen=$BTCD_LISTEN
nodnsseed=1
txindex=1
END
    cat >"$folder/btcctl.conf" <<END
[Application Options]
simnet=1
rpcserver=$BTCD_RPC
rpccert=$folder/btcd.cert
rpcuser=$user
rpcpass=$password
END
    command_file btcctl "$bin/btcctl" "--configfile=$folder/btcctl.conf"
}

# lnd as it comes, but for what a machine of tests needs: no seed to write down, no peers but ours, no REST, quick gossip, one
# confirmation, and no ending of itself when the disk is nearly full.
write_lnd() {
    local node=$1 rpc=$2 listen=$3
    mkdir -p "$folder/$node"
    cat >"$folder/$node/lnd.conf" <<END
[Application Options]
alias=$node
rpclisten=$rpc
listen=$listen
norest=true
noseedbackup=true
nobootstrap=true
trickledelay=50
maxpendingchannels=10
store-final-htlc-resolutions=true
healthcheck.diskspace.attempts=0
[Bitcoin]
bitcoin.simnet=true
bitcoin.node=btcd
bitcoin.defaultchanconfs=1
[Btcd]
btcd.rpchost=$BTCD_RPC
btcd.rpcuser=$user
btcd.rpcpass=$password
btcd.rpccert=$folder/btcd.cert
END
    command_file "lncli-$node" "$bin/lncli" "--lnddir=$folder/$node" "--rpcserver=$rpc" --network=simnet
}

command_file() {
    local name=$1
    shift
    printf '#!/bin/sh\nexec %s "$@"\n' "$*" >"$folder/$name"
    chmod 700 "$folder/$name"
}

# What programs read: NAME=value, no quotes. Paths and addresses, no secret.
write_env() {
    local node upper
    {
        echo "FOLDER=$folder"
        echo "BIN=$bin"
        echo "BTCCTL=$folder/btcctl"
        for node in a b; do
            upper=${node^^}
            echo "${upper}_RPC=$(value rpclisten "$folder/$node/lnd.conf")"
            echo "${upper}_LISTEN=$(value listen "$folder/$node/lnd.conf")"
            echo "${upper}_CERT=$folder/$node/tls.cert"
            echo "${upper}_MACAROON=$folder/$node/data/chain/bitcoin/simnet/admin.macaroon"
            echo "${upper}_LNCLI=$folder/lncli-$node"
            echo "${upper}_PUBKEY=$(pubkey "$node")"
        done
    } >"$folder/network.env.new"
    mv "$folder/network.env.new" "$folder/network.env"
}
value() { sed -n "s/^$1=//p" "$2"; }

# === Nodes ===

btcctl() { "$folder/btcctl" "$@"; }
lncli() {
    local node=$1
    shift
    "$folder/lncli-$node" "$@"
}
# A field of an answer: the first of that name.
field() { sed -n "s/^ *\"$1\": *\"\{0,1\}\([^\",]*\).*/\1/p" | head -n 1; }
pubkey() { lncli "$1" getinfo | field identity_pubkey; }
info_is() { [ "$(lncli "$1" getinfo | field "$2")" = "$3" ]; }
address() { lncli "$1" newaddress p2wkh | field address; }
can_pay() { lncli "$1" queryroutes --dest "$2" --amt 1000; }
has_sats() { [ "$(lncli "$1" walletbalance | field confirmed_balance)" -gt 0 ]; }
has_height() { info_is "$1" block_height "$2"; }

start_btcd() {
    spawn btcd "$bin/btcd" "--configfile=$folder/btcd.conf"
    await "$START_WITHIN" "btcd answers" btcctl getblockcount
    # It makes an empty folder in the home of whoever runs it, whatever it is told.
    rmdir "$(getent passwd "$(id -u)" | cut -d: -f6)/.btcd" 2>/dev/null || true
}
start_lnd() { spawn "$1" "$bin/lnd" "--lnddir=$folder/$1"; }

# Until a node that was there before has its channels again. The peers find each other by themselves, but take their time.
settle_in() {
    local node=$1 peer=a
    [ "$node" = b ] || peer=b
    await "$START_WITHIN" "node $node answers" lncli "$node" getinfo
    await "$STEP_WITHIN" "node $node is in step with the chain" info_is "$node" synced_to_chain true
    pid_of "$peer" >/dev/null || return 0
    lncli "$node" connect "$(value "${peer^^}_PUBKEY" "$folder/network.env")@$(value "${peer^^}_LISTEN" "$folder/network.env")" \
        >/dev/null 2>&1 || true
    await "$STEP_WITHIN" "node a has its channels again" info_is a num_active_channels "$CHANNELS"
    await "$STEP_WITHIN" "node b has its channels again" info_is b num_active_channels "$CHANNELS"
}

mine() {
    local node height
    btcctl generate "$1" >/dev/null
    height=$(btcctl getblockcount)
    for node in a b; do
        pid_of "$node" >/dev/null || continue
        await "$STEP_WITHIN" "node $node sees block $height" has_height "$node" "$height"
    done
}

# === Commands ===

up() {
    local user password ports="" key_a key_b channel
    bin=$("$here/build.sh")
    mkdir -p "$folder"
    touch "$folder/.poa-lightning"
    user=$(secret) password=$(secret)
    port BTCD_RPC && port BTCD_LISTEN && port A_RPC && port A_LISTEN && port B_RPC && port B_LISTEN
    write_btcd
    write_lnd a "$A_RPC" "$A_LISTEN"
    write_lnd b "$B_RPC" "$B_LISTEN"

    start_btcd
    start_lnd a
    start_lnd b
    # A node gives addresses before it is in step with the chain; who earns the blocks is told to btcd when it starts.
    await "$START_WITHIN" "node a gives an address" address a
    echo "miningaddr=$(cat "$folder/last")" >>"$folder/btcd.conf"
    await "$START_WITHIN" "node b gives an address" address b
    echo "miningaddr=$(cat "$folder/last")" >>"$folder/btcd.conf"
    end btcd
    start_btcd
    btcctl generate "$FIRST_BLOCKS" >/dev/null || fail "no blocks"
    for node in a b; do
        await "$STEP_WITHIN" "node $node is in step with the chain" info_is "$node" synced_to_chain true
        await "$STEP_WITHIN" "node $node has sats on the chain" has_sats "$node"
    done

    key_a=$(pubkey a) key_b=$(pubkey b)
    await "$STEP_WITHIN" "node b reaches node a" lncli b connect "$key_a@$A_LISTEN"
    for ((channel = 0; channel < CHANNELS; channel++)); do
        await "$STEP_WITHIN" "node b opens a channel" \
            lncli b openchannel --node_key "$key_a" --local_amt "$CHANNEL_SAT" --push_amt "$PUSH_SAT"
    done
    # Six confirmations: the channels are announced, too.
    mine 6
    for node in a b; do
        await "$STEP_WITHIN" "node $node has $CHANNELS active channels" info_is "$node" num_active_channels "$CHANNELS"
    done
    await "$STEP_WITHIN" "a can pay b" can_pay a "$key_b"
    await "$STEP_WITHIN" "b can pay a" can_pay b "$key_a"
    write_env
}

down() {
    local name
    [ -e "$folder" ] || return 0
    [ -e "$folder/.poa-lightning" ] || die "$folder is no folder of this script"
    # Nothing of theirs is kept, so nothing needs an orderly end.
    for name in a b btcd; do end "$name" now; done
    rm -rf "$folder"
}

status() {
    local name pid
    for name in btcd a b; do
        pid=$(pid_of "$name") || pid=down
        echo "$name: $pid"
    done
    for name in a b; do
        echo "node $name: $(lncli "$name" getinfo 2>&1 | grep -E 'identity_pubkey|block_height|num_active_channels|synced_to_chain' | tr -d ' "\n')"
        echo "node $name: $(lncli "$name" channelbalance 2>&1 | tr -d ' "\n')"
    done
}

bake() {
    local node=$1 name=$2 file=$3 out="$folder/$1-$2.macaroon" line permissions=()
    while read -r line; do
        [[ -z "$line" || "$line" == \#* ]] || permissions+=("$line")
    done <"$file"
    [ ${#permissions[@]} -gt 0 ] || die "$file names no permission"
    lncli "$node" bakemacaroon --save_to "$out" "${permissions[@]}" >/dev/null
    echo "$out"
}

usage() {
    sed -n 's/^#   //p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

[ $# -ge 2 ] || usage
command=$1
# No spaces or quotes, so that the folder can stand in settings and in network.env as it is.
case $2 in
/*) folder=$2 ;;
*) folder=$PWD/$2 ;;
esac
[[ "$folder" =~ ^[A-Za-z0-9/._+-]+$ ]] || die "a folder of letters, digits and / . _ + - alone, please: $folder"
[ "$command" = up ] || [ "$command" = hold ] || [ "$command" = down ] || [ -e "$folder/network.env" ] ||
    die "no network in $folder"
case $command in
up | hold | down) ;;
*) bin=$(value BIN "$folder/network.env") ;;
esac
is_node() { [ "$1" = a ] || [ "$1" = b ] || usage; }

case $command:$# in
up:2 | hold:2)
    # Whatever ends this, nothing is left of what it began.
    [ ! -e "$folder" ] || die "$folder is there already: take another, or end what is in it ($0 down $folder)"
    trap down EXIT
    trap 'exit 1' INT TERM HUP
    up
    if [ "$command" = up ]; then
        trap - EXIT
        echo "up: $folder/network.env"
    else
        echo "up"
        while read -r _; do :; done
    fi
    ;;
down:2) down ;;
status:2) status ;;
mine:3) mine "$3" ;;
stop:3) is_node "$3" && end "$3" ;;
kill:3) is_node "$3" && end "$3" now ;;
start:3) is_node "$3" && start_lnd "$3" && settle_in "$3" ;;
restart:3) is_node "$3" && end "$3" && start_lnd "$3" && settle_in "$3" ;;
bake:5) is_node "$3" && bake "$3" "$4" "$5" ;;
*) usage ;;
esac
