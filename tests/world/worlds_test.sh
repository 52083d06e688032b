#!/bin/sh
# Goal: the gateway keeps its promises in 200 fixed worlds, in each of which some kind of fault or step must have
# occurred somewhere, and in every world that once broke.
# Method: `weir-sim world`; invariants stand in simulator/world.h. A broken one is printed with its seed.
build/weir-sim world --count 200 --from 1 || exit 1
failed=0
for seed in $(sed 's/#.*//' tests/world/seeds); do
    build/weir-sim world "$seed" > build/world.log 2>&1 || { head -n 1 build/world.log; failed=1; }
done
exit $failed
