#!/usr/bin/env python3
"""List the boards with their state."""
import board

SAYS = {"booted": "booted in QEMU", "built": "built only", "unsupported": "unsupported"}


def main():
    for name in board.names():
        data = board.read(name)
        print(f"{name:12} {data['ARCH']:6} {data['BOOTLOADER'] or '-':6} {SAYS[data['STATE']]}"
              + (f": {data['NOTE']}" if data["NOTE"] else ""))
    return 0


board.or_exit(main)
