#!/bin/sh
# The house rules and the pure core hold, clang and a machine of 32 bits have nothing to add, and the table of MQTT's statements agrees with the tests.
set -e
make -s tidy
make -s pure
make -s clang
make -s narrow
tests/mqtt_statements_test.py
