# QEMU's `virt` machine, 32-bit ARM with hardware floating point.
ARCH    := armhf
CROSS   := arm-linux-gnueabihf-
SYSROOT := build/sysroot/armhf
RUNNER  := qemu-arm-static -L $(SYSROOT)

STATE   := booted
NOTE    := but without a watchdog, as Debian's armhf kernel drives none that QEMU has
KERNEL  := linux-image-armmp
CONSOLE := ttyAMA0,115200
ROOT_MODULES := virtio_pci virtio_blk
MODULES := virtio_net virtio_rng gpio_pl061 leds_gpio

BOOTLOADER := uboot
BOOT       := bootz
LAYOUT     := gpt

MEMORY_MB_MIN := 256
DISK_MB_MIN   := 2048

QEMU      := qemu-system-arm -M virt -cpu cortex-a15 -smp 2 -bios /usr/lib/u-boot/qemu_arm/u-boot.bin
QEMU_DISK := -device virtio-blk-pci,drive=disk
QEMU_NET  := -device virtio-net-pci,netdev=net
