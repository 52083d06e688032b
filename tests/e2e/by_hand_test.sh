#!/bin/sh
# Goal: Weir between stock parts, by hand: a reading published with mosquitto_pub is visible in `weir devices` and
# `weir tail`, and a spike raises an alert in a mosquitto_sub on the cloud's broker.
# Method: two brokers with the configuration that Debian ships and a listener, mosquitto_pub, mosquitto_sub, and no
# simulator. Reads as a recipe: every command below can be typed as it stands.
set -eu
cd "$(dirname "$0")/../.."
for program in mosquitto mosquitto_pub mosquitto_sub openssl; do
    command -v $program >/dev/null || { echo "$program is not installed"; exit 77; }
done
PATH=$PWD/${B:-build}:$PATH
dir=$(mktemp -d -t weir-by-hand.XXXXXX)
plant=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cloud=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
started=
trap 'status=$?; [ $status = 0 ] || tail -n 20 "$dir"/*.log; kill $started 2>/dev/null || true; wait; rm -rf "$dir"' EXIT

say() { printf '\n# %s\n' "$1"; }
background() { "$@" & started="$started $!"; }
# Wait until a command succeeds.
until_true() { for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; echo "in vain: $*"; exit 1; }

# What Debian ships, with its files in our directory.
stock() {
    sed -n "s,/var/lib/mosquitto,$dir/$1,; s,/var/log/mosquitto,$dir/$1,; s,/run/mosquitto,$dir/$1,; /^[a-z]/p" \
        /etc/mosquitto/mosquitto.conf | grep -v '^include_dir'
    echo "user $(id -un)"
}

say "The broker in front, as it comes, with a listener that devices may use"
mkdir "$dir/plant" "$dir/cloud"
{ stock plant; echo "listener $plant 127.0.0.1"; echo "allow_anonymous true"; } >"$dir/plant.conf"
background mosquitto -c "$dir/plant.conf"

say "The cloud's broker, as it comes, with a TLS listener for those who have a certificate"
tests/lib/pki.sh "$dir/pki" gateway backend
{
    stock cloud
    echo "listener $cloud 127.0.0.1"
    echo "cafile $dir/pki/ca.crt"
    echo "certfile $dir/pki/server.crt"
    echo "keyfile $dir/pki/server.key"
    echo "require_certificate true"
    echo "use_identity_as_username true"
} >"$dir/cloud.conf"
background mosquitto -c "$dir/cloud.conf"

say "The gateway between them"
cat >"$dir/weir.yaml" <<END
gateway: {name: by-hand, data_dir: $dir/data, socket: $dir/weir.sock}
clock: {trust: system}
learning: {readings: 200, time: 20s}
sources:
  - name: plant
    url: mqtt://127.0.0.1:$plant
    topics: ["telemetry/{device}/{metric}"]
uplink:
  url: mqtts://localhost:$cloud
  ca: $dir/pki/ca.crt
  cert: $dir/pki/gateway.crt
  key: $dir/pki/gateway.key
END
export WEIR_CONFIG="$dir/weir.yaml"
until_true mosquitto_pub -p "$plant" -t hello -n
weir check >"$dir/check.log"
weir run 2>"$dir/weir.log" &
started="$started $!"
connected() { weir status --json | grep -q '"plant".*"connected": *true.*"uplink".*"connected": *true'; }
until_true connected

say "A reading by hand"
mosquitto_pub -p "$plant" -q 1 -t telemetry/pump-7/temperature -m '{"value": 21.5}'
seen() { weir devices | grep pump-7 && weir tail | grep 'pump-7.*temperature.*21.5.*stored'; }
until_true seen
weir devices
weir tail

say "Somebody listens in the cloud"
cloud_sub() {
    mosquitto_sub -h localhost -p "$cloud" --cafile "$dir/pki/ca.crt" --cert "$dir/pki/backend.crt" \
        --key "$dir/pki/backend.key" -q 1 -t 'weir/by-hand/alerts' "$@"
}
cloud_sub -C 1 -W 60 >"$dir/alert" &
listener=$!
until_true grep -q "as .*u'backend'" "$dir/cloud/mosquitto.log"

say "Five minutes of an ordinary pump, a reading a second, and then a spike"
now=$(date +%s)
awk -v now="$now" 'BEGIN {
    srand(1)
    for (i = 1; i <= 300; i++)
        printf "{\"value\": %.2f, \"time\": %d, \"sequence\": %d}\n", 20 + rand(), now - 400 + i, i
    printf "{\"value\": 90, \"time\": %d, \"sequence\": %d}\n", now - 400 + i, i
}' | mosquitto_pub -p "$plant" -q 1 -t telemetry/pump-8/temperature -l
wait "$listener"
cat "$dir/alert"
for expected in '"device": *"pump-8"' '"rule": *"baseline"' '"transition": *"raised"' '"observed": *90' '"learning": *false'; do
    grep -q "$expected" "$dir/alert" || { echo "the alert lacks $expected"; exit 1; }
done

say "The same alert on the gateway"
weir alerts | tee "$dir/alerts"
grep -q 'pump-8.*temperature.*spike' "$dir/alerts"
