#!/bin/sh
# An example of a device that publishes to Weir: a shell and mosquitto_pub. What it promises and why: devices.md.
#
#   while sleep 10; do sensor; done | device.sh boiler-1 temperature -h gateway.example.org -p 8883 --cafile ca.crt -u boiler-1
#
# A value a line comes from stdin; what follows device and metric goes to mosquitto_pub. The password stands in the file
# ~/.config/mosquitto_pub as a line `-P ...`: on a command line everybody on the machine could read it.
set -u
device=$1 metric=$2
shift 2
numbers=${DEVICE_STATE:-/var/lib/device}/sequence # the last number given: no number is given twice, also after a reboot
wait_max=60

sequence=$(cat "$numbers" 2>/dev/null || echo 0)
random() { awk -v max="$1" -v seed="$$$(date +%N)" 'BEGIN { srand(seed); print rand() * max }'; }

# Exit status 0 of mosquitto_pub at QoS 1 means PUBACK, and that means on the gateway's disk. The same message, with the
# same number and time, is sent until then; Weir knows a repeat by them.
publish() {
    message=$1 wait=1
    shift
    until said=$(mosquitto_pub -V 5 -q 1 -i "$device" -t "telemetry/$device/$metric" -m "$message" "$@" 2>&1); do
        echo "not yet: $said" >&2
        sleep "$(random $wait)"
        wait=$((wait * 2 < wait_max ? wait * 2 : wait_max))
    done
    case $said in # acknowledged, and yet not stored: kept as a dead letter, so the same again would fare no better
    *failed*) echo "rejected: $said: $message" >&2 ;;
    esac
}

while read -r value; do
    sequence=$((sequence + 1))
    echo "$sequence" >"$numbers.new" && mv "$numbers.new" "$numbers" # before it is used
    publish "{\"value\": $value, \"time\": $(date +%s%3N), \"sequence\": $sequence}" "$@"
done
