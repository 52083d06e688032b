#!/bin/sh
# The house rules and the pure core hold, and the table of MQTT's statements agrees with the tests.
set -e
make -s tidy
make -s pure
make -s clang
tests/mqtt_statements_test.py
