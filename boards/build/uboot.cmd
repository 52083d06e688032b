# Choose a slot and start it. The state is one sector, the first of the partition `bootstate`: BOOT_ORDER and what tries
# each slot has left, with a CRC, as RAUC writes them through fw_setenv. One sector is written whole or not at all. Needs no
# setexpr and no environment of its own, since the builds of Debian differ in those.
setenv BOOT_ORDER
setenv BOOT_A_LEFT
setenv BOOT_B_LEFT
setenv sector ${ramdisk_addr_r}
${devtype} dev ${devnum}
part start ${devtype} ${devnum} bootstate where
${devtype} read ${sector} ${where} 1
if env import -c ${sector} 200 BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT; then true; else echo "weir: boot state unreadable, starting with A"; fi
test -n "${BOOT_ORDER}" || setenv BOOT_ORDER "A B"
test -n "${BOOT_A_LEFT}" || setenv BOOT_A_LEFT 3
test -n "${BOOT_B_LEFT}" || setenv BOOT_B_LEFT 3

setenv console
setenv boot
if load ${devtype} ${devnum}:${distro_bootpart} ${sector} board.txt; then env import -t ${sector} ${filesize} console boot append devicetree; fi

setenv slot
setenv left
for each in ${BOOT_ORDER}; do
    if test -n "${slot}"; then true;
    elif test "x${each}" = "xA"; then if itest ${BOOT_A_LEFT} -gt 0; then setenv slot A; setenv label system_a; setenv left ${BOOT_A_LEFT}; fi;
    elif test "x${each}" = "xB"; then if itest ${BOOT_B_LEFT} -gt 0; then setenv slot B; setenv label system_b; setenv left ${BOOT_B_LEFT}; fi;
    fi
done
if test "x${left}" = "x1"; then setenv left 0; elif test "x${left}" = "x2"; then setenv left 1; else setenv left 2; fi
if test "x${slot}" = "xA"; then setenv BOOT_A_LEFT ${left};
elif test "x${slot}" = "xB"; then setenv BOOT_B_LEFT ${left};
else echo "weir: no slot has a try left, counting anew"; setenv BOOT_A_LEFT 3; setenv BOOT_B_LEFT 3; fi
env export -c -s 200 ${sector} BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT
${devtype} write ${sector} ${where} 1
if test -z "${slot}"; then reset; fi

echo "weir: slot=${slot} order=${BOOT_ORDER} A=${BOOT_A_LEFT} B=${BOOT_B_LEFT}"
part number ${devtype} ${devnum} ${label} number
setenv bootargs "console=${console} root=PARTLABEL=${label} ro quiet panic=5 rauc.slot=${slot} ${append}"
if load ${devtype} ${devnum}:${number} ${kernel_addr_r} /boot/vmlinuz; then
    setenv tree ${fdtcontroladdr}
    if test "x${devicetree}" = "xyes"; then
        if load ${devtype} ${devnum}:${number} ${fdt_addr_r} /boot/dtb/${fdtfile}; then setenv tree ${fdt_addr_r}; fi
    fi
    load ${devtype} ${devnum}:${number} ${ramdisk_addr_r} /boot/initrd.img
    ${boot} ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${tree}
fi
echo "weir: slot ${slot} did not start"
reset
