# BeagleBone Black: 32-bit ARM with hardware floating point.
ARCH    := armhf
CROSS   := arm-linux-gnueabihf-
SYSROOT := build/sysroot/armhf
RUNNER  := qemu-arm-static -L $(SYSROOT)

STATE   := built
NOTE    := QEMU has no such machine; its system is that of qemu-armhf
KERNEL  := linux-image-armmp
CONSOLE := ttyS0,115200
ROOT_MODULES := omap_hsmmc sdhci_omap mmc_block
MODULES := omap_wdt leds_gpio ti_cpsw davinci_mdio i2c_omap spi_omap2_mcspi rtc_omap gpio_omap

# The chip reads the first loader at sector 256 of the medium, and that the second at 768.
BOOTLOADER := uboot
BOOT       := bootz
LAYOUT     := hybrid
BOOT_PACKAGES := u-boot-omap
RAW_FILES := usr/lib/u-boot/am335x_boneblack/MLO@128K usr/lib/u-boot/am335x_boneblack/u-boot.img@384K
DEVICE_TREES := am335x-boneblack.dtb am335x-bonegreen.dtb am335x-boneblack-wireless.dtb

MEMORY_MB_MIN := 512
DISK_MB_MIN   := 2048
