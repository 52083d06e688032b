#!/bin/sh
# Goal: the gateway keeps its promises in 300 fixed worlds, and every kind of fault and step occurred in them.
# Method: `weir-sim world`; invariants stand in simulator/world.h. A broken one is printed with its seed.
set -e
build/weir-sim world --count 300 --from 1
