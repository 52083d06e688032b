#!/bin/sh
# The house rules and the pure core hold.
set -e
make -s tidy
make -s pure
