#!/bin/sh
# Goal and method: tests/mcu/compare.sh.
exec env -u MAKEFLAGS make -s mcu
