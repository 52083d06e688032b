# BeagleBone Black: 32-bit ARM with hardware floating point.
ARCH    := armhf
CROSS   := arm-linux-gnueabihf-
SYSROOT := build/sysroot/armhf
RUNNER  := qemu-arm-static -L $(SYSROOT)
