# QEMU's `virt` machine, 64-bit ARM.
ARCH    := arm64
CROSS   := aarch64-linux-gnu-
SYSROOT := build/sysroot/arm64
RUNNER  := qemu-aarch64-static -L $(SYSROOT)

STATE   := booted
KERNEL  := linux-image-arm64
CONSOLE := ttyAMA0,115200
# for the root file system, in the initramfs
ROOT_MODULES := virtio_pci virtio_blk
MODULES := virtio_net virtio_rng i6300esb gpio_pl061 leds_gpio

BOOTLOADER := uboot
BOOT       := booti
LAYOUT     := gpt

MEMORY_MB_MIN := 256
DISK_MB_MIN   := 2048

QEMU      := qemu-system-aarch64 -M virt -cpu cortex-a53 -smp 2 -bios /usr/lib/u-boot/qemu_arm64/u-boot.bin
QEMU_DISK := -device virtio-blk-pci,drive=disk
QEMU_NET  := -device virtio-net-pci,netdev=net
QEMU_WATCHDOG := -device i6300esb
