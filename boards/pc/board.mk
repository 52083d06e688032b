# An x86-64 machine with UEFI; of Debian's name, the machine at hand too, so built natively.
ARCH    := amd64
CROSS   :=
SYSROOT :=
RUNNER  :=

STATE   := booted
KERNEL  := linux-image-amd64
CONSOLE := ttyS0,115200
ROOT_MODULES := virtio_pci virtio_blk ahci sd_mod nvme usb_storage uas xhci_pci ehci_pci sdhci_pci sdhci_acpi mmc_block
MODULES := virtio_net virtio_rng i6300esb iTCO_wdt e1000 e1000e igb igc r8169 i2c_i801 coretemp

BOOTLOADER := grub
BOOT       := linux
LAYOUT     := gpt

MEMORY_MB_MIN := 512
DISK_MB_MIN   := 2048

# One processor: with two its firmware once waited for the second for ever, on a busy machine.
QEMU      := qemu-system-x86_64 -M q35 -cpu qemu64 -smp 1 -bios /usr/share/ovmf/OVMF.fd
QEMU_DISK := -device virtio-blk-pci,drive=disk
QEMU_NET  := -device virtio-net-pci,netdev=net
QEMU_WATCHDOG := -device i6300esb
