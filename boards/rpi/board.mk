# Raspberry Pi 3, 4 and Zero 2 W with a 64-bit system.
ARCH    := arm64
CROSS   := aarch64-linux-gnu-
SYSROOT := build/sysroot/arm64
RUNNER  := qemu-aarch64-static -L $(SYSROOT)

STATE   := booted
NOTE    := as raspi3b, its clock set from outside
KERNEL  := linux-image-arm64
CONSOLE := ttyS1,115200
ROOT_MODULES := bcm2835 sdhci_iproc mmc_block
MODULES := bcm2835_wdt leds_gpio smsc95xx lan78xx dwc2 xhci_pci pcie_brcmstb genet brcmfmac raspberrypi_hwmon raspberrypi_cpufreq bcm2835_thermal bcm2835_rng i2c_bcm2835 spi_bcm2835

# What starts before Linux: the chip's firmware from the FAT partition, then U-Boot, which takes its device tree from it.
BOOTLOADER := uboot
BOOT       := booti
LAYOUT     := hybrid
BOOT_PACKAGES := raspi-firmware u-boot-rpi
BOOT_FILES := \
    usr/lib/raspi-firmware/bootcode.bin:bootcode.bin \
    usr/lib/raspi-firmware/start.elf:start.elf \
    usr/lib/raspi-firmware/fixup.dat:fixup.dat \
    usr/lib/raspi-firmware/start4.elf:start4.elf \
    usr/lib/raspi-firmware/fixup4.dat:fixup4.dat \
    usr/lib/u-boot/rpi_arm64/u-boot.bin:u-boot.bin
BOOT_SETTINGS := arm_64bit=1 enable_uart=1 kernel=u-boot.bin upstream_kernel=1
DEVICE_TREES := broadcom/bcm2837-rpi-3-b.dtb broadcom/bcm2837-rpi-3-b-plus.dtb broadcom/bcm2837-rpi-3-a-plus.dtb \
    broadcom/bcm2837-rpi-zero-2-w.dtb broadcom/bcm2711-rpi-4-b.dtb broadcom/bcm2711-rpi-400.dtb broadcom/bcm2711-rpi-cm4-io.dtb
# Its Wi-Fi does nothing without.
FIRMWARE := firmware-brcm80211

MEMORY_MB_MIN := 512
DISK_MB_MIN   := 2048

# QEMU plays no VideoCore: it starts what that would have started.
QEMU      := qemu-system-aarch64 -M raspi3b -kernel build/boards/rpi/boot/u-boot.bin -dtb build/boards/rpi/boot/bcm2837-rpi-3-b.dtb \
    -serial null -serial stdio
QEMU_DISK := -device sd-card,drive=disk
QEMU_NET  := -device usb-net,netdev=net
# The model of its watchdog does not count: it resets at once.
QEMU_APPEND := modprobe.blacklist=bcm2835_wdt
