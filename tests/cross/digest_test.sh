#!/bin/sh
# Goal: the other processor computes the same bits as this machine, here and now, over every series beside the repository.
# Method: the digest tests of both builds print their digests; they are compared as text. `make BOARD=name test` sets
# WEIR_BUILD and WEIR_RUNNER.
set -eu
[ -n "${WEIR_BUILD:-}" ] || { echo "skipped: only with make BOARD=name test"; exit 77; }
count=0
for test in digest_test digest_engine_test; do
    here=$("build/tests/$test" | grep '^# ')
    there=$($WEIR_RUNNER "$WEIR_BUILD/tests/$test" | grep '^# ')
    [ "$here" = "$there" ] || { printf 'here:\n%s\n%s:\n%s\n' "$here" "$WEIR_BUILD" "$there"; exit 1; }
    echo "$here"
    count=$((count + $(echo "$here" | grep -c 'digest')))
done
case $count in
4) echo "4 digests are the same" ;;
2) echo "2 digests of seeded series are the same; skipped: the real series are not there" ;;
*) echo "$count digests, not 4"; exit 1 ;;
esac
