"""A board's data, read from boards/NAME/board.mk without make: lines `NAME := value`, continued by a backslash, with
$(NAME) of the same file. Anything else there is a fault: boards are data."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BOARDS = os.path.join(ROOT, "boards")

STATES = ("booted", "built", "unsupported")
ALWAYS = ("ARCH", "CROSS", "SYSROOT", "RUNNER", "STATE")
FOR_IMAGE = ("KERNEL", "CONSOLE", "ROOT_MODULES", "MODULES", "BOOTLOADER", "BOOT", "LAYOUT", "MEMORY_MB_MIN", "DISK_MB_MIN")
OPTIONAL = ("NOTE", "BOOT_PACKAGES", "BOOT_FILES", "BOOT_SETTINGS", "RAW_FILES", "DEVICE_TREES", "FIRMWARE",
            "QEMU", "QEMU_DISK", "QEMU_NET", "QEMU_WATCHDOG", "QEMU_APPEND")
VALUES = {
    "ARCH": r"amd64|arm64|armhf",
    "STATE": "|".join(STATES),
    "KERNEL": r"linux-image-[a-z0-9.+-]+",
    "CONSOLE": r"tty[A-Z]+\d+,\d+",
    "BOOTLOADER": r"uboot|grub",
    "BOOT": r"booti|bootz|linux",
    "LAYOUT": r"gpt|hybrid",
    "MEMORY_MB_MIN": r"\d+",
    "DISK_MB_MIN": r"\d+",
    "BOOT_FILES": r"(\S+:\S+\s*)+",
    "BOOT_SETTINGS": r"([a-z0-9_]+=\S+\s*)+",
    "RAW_FILES": r"(\S+@\d+K\s*)+",
}
LINE = re.compile(r"([A-Z_]+)\s*:=\s*(.*)")


class Fault(Exception):
    pass


def names():
    return sorted(name for name in os.listdir(BOARDS) if os.path.exists(os.path.join(BOARDS, name, "board.mk")))


def logical_lines(text):
    """(number of its first line, line), comments and empty ones left out."""
    number, whole = 0, ""
    for at, line in enumerate(text.splitlines(), 1):
        line = line.split("#", 1)[0].rstrip()
        number, whole = (number, whole + " " + line.strip()) if whole else (at, line)
        if whole.endswith("\\"):
            whole = whole[:-1].rstrip()
            continue
        if whole.strip():
            yield number, whole
        whole = ""


def parse(text, where):
    data = {}
    for number, line in logical_lines(text):
        match = LINE.fullmatch(line)
        if not match:
            raise Fault(f"{where}:{number}: `{line}` is not `NAME := value`")
        name, value = match.groups()
        if name not in ALWAYS + FOR_IMAGE + OPTIONAL:
            raise Fault(f"{where}:{number}: {name} is nothing that a board has")
        if name in data:
            raise Fault(f"{where}:{number}: {name} is there twice")
        value = re.sub(r"\$\(([A-Z_]+)\)", lambda m: data.get(m[1], m[0]), value)
        if "$" in value or "`" in value:
            raise Fault(f"{where}:{number}: {name} calls for something that is not of this file")
        data[name] = " ".join(value.split())
    return data


def check(data, where):
    wanted = ALWAYS + (("NOTE",) if data.get("STATE") == "unsupported" else FOR_IMAGE)
    for name in wanted:
        if name not in data:
            raise Fault(f"{where}: {name} is missing")
    for name, shape in VALUES.items():
        if name in data and not re.fullmatch(shape, data[name]):
            raise Fault(f"{where}: {name} can't be `{data[name]}`")
    if data["STATE"] == "booted" and "QEMU" not in data:
        raise Fault(f"{where}: booted where? QEMU is missing")


def read(name):
    """The board's data as a dictionary of texts; what it leaves out is an empty text."""
    where = f"boards/{name}/board.mk"
    try:
        with open(os.path.join(ROOT, where), encoding="utf-8") as f:
            data = parse(f.read(), where)
    except OSError:
        raise Fault(f"no board `{name}`: there are {', '.join(names())}") from None
    check(data, where)
    return {"BOARD": name, **{key: data.get(key, "") for key in ALWAYS + FOR_IMAGE + OPTIONAL}}


def read_for_image(name):
    data = read(name)
    if data["STATE"] == "unsupported":
        raise Fault(f"{name} is unsupported: {data['NOTE']}")
    return data


def or_exit(action):
    """Run a program's main: a fault of the user's or of the data is one line and exit 1."""
    try:
        sys.exit(action())
    except Fault as fault:
        sys.exit(str(fault))
