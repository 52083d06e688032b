#!/bin/sh
# Goal: the thinking of pipeline/ is pure: on a Cortex-M4 without an operating system it says the same to the last digit.
# Method: one program (digits.c) here and in QEMU's AN386; what both print is compared line by line. The core's own objects
# must want nothing but arithmetic and memory of the C library, and hold no data of their own.
set -eu
at=build/mcu
core=$(find $at/obj/pipeline -name '*.o')
wants=$(arm-none-eabi-nm -u $core | awk '$1 == "U" { print $2 }' | sort -u)
has=$(arm-none-eabi-nm --defined-only $core | awk 'NF == 3 { print $3 }' | sort -u)
rest=$(echo "$wants" | grep -vxF "$has" | grep -vE '^(__aeabi_.*|memcpy|memset|memmove|memcmp|strlen|strcmp|strncmp|memchr|strchr|sqrt|sqrtf|fabs|fabsf|__assert_func)$' || true)
[ -z "$rest" ] || { echo "the core reaches:" $rest; exit 1; }
! arm-none-eabi-nm $core | grep -E ' [bBcCdD] ' || { echo "the core has state of its own"; exit 1; }
$at/digits >$at/here.txt
timeout 120 qemu-system-arm -M mps2-an386 -cpu cortex-m4 -nographic -monitor none -serial none \
    -semihosting-config enable=on,target=native -kernel $at/digits.elf </dev/null >$at/there.txt
grep -v '^#' $at/here.txt >$at/here.digits
grep -v '^#' $at/there.txt >$at/there.digits
diff $at/here.digits $at/there.digits >$at/diff.txt || { echo "they differ:"; head -n 6 $at/diff.txt; exit 1; }
grep '^#' $at/there.txt
arm-none-eabi-size -t $core | awk 'END { print "# core: " $1 " bytes of code and constants, " $2 + $3 " of data" }'
echo "ok $(wc -l <$at/there.digits) lines of digits are the same on a Cortex-M4"
