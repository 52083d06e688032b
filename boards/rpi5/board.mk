# Raspberry Pi 5.
ARCH    := arm64
CROSS   := aarch64-linux-gnu-
SYSROOT := build/sysroot/arm64
RUNNER  := qemu-aarch64-static -L $(SYSROOT)

STATE   := unsupported
NOTE    := Debian 12's kernel does not know its chip, and no kernel of Debian's drives its Ethernet, USB and header
