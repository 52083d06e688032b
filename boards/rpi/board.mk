# Raspberry Pi 3, 4 and Zero 2 W with a 64-bit system.
ARCH    := arm64
CROSS   := aarch64-linux-gnu-
SYSROOT := build/sysroot/arm64
RUNNER  := qemu-aarch64-static -L $(SYSROOT)
