# QEMU's `virt` machine, 64-bit ARM.
ARCH    := arm64
CROSS   := aarch64-linux-gnu-
SYSROOT := build/sysroot/arm64
RUNNER  := qemu-aarch64-static -L $(SYSROOT)
