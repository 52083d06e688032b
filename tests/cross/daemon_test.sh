#!/bin/sh
# Goal: the whole daemon lives on the other processor: what it acknowledged survives kill -9, in clear and over TLS.
# Method: tests/e2e/tap_test.py with a `weir` that runs the other build's under the emulator; the brokers are this machine's.
# What unit tests can't see is what it found first: a heap that aligns otherwise.
set -eu
[ -n "${WEIR_BUILD:-}" ] || { echo "skipped: only with make BOARD=name test"; exit 77; }
emulated=$WEIR_BUILD/emulated
mkdir -p "$emulated"
printf '#!/bin/sh\ncd "%s"\nexec %s "%s/weir" "$@"\n' "$PWD" "$WEIR_RUNNER" "$WEIR_BUILD" >"$emulated/weir"
chmod +x "$emulated/weir"
B=$emulated exec tests/e2e/tap_test.py
