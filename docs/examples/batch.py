"""A batch of window results, raw readings or results of streams, taken apart as docs/formats.md says: `read(payload)` gives its header
and its rows. Python 3 and its library, nothing else."""
import struct
import zlib

WINDOWS, READINGS, STREAMS = 1, 2, 3
KINDS = ["close", "revision", "retraction", "early"]
TIMES = ["device", "arrival", "clamped", "coarse"]
STEP, ITSELF, ZIGZAG = "step", "itself", "zigzag"
COLUMNS = {
    WINDOWS: [("device", STEP), ("metric", STEP), ("unit", STEP), ("start", STEP), ("length", STEP),
              ("revision", ITSELF), ("forced", ITSELF), ("count", STEP), ("first_time", ZIGZAG), ("last_time", ZIGZAG),
              ("scale", STEP), ("min", ZIGZAG), ("max", ZIGZAG), ("first", ZIGZAG), ("last", ZIGZAG),
              ("mean", ZIGZAG), ("m2", ITSELF), ("first_block", STEP), ("last_block", ZIGZAG), ("contract", STEP)],
    READINGS: [("device", STEP), ("metric", STEP), ("unit", STEP), ("t", STEP), ("flags", STEP), ("source", STEP),
               ("event_time", STEP), ("device_time", ZIGZAG), ("sequence", STEP), ("index", STEP), ("scale", STEP),
               ("value", ZIGZAG), ("ulps", ZIGZAG), ("extra", STEP)],
    STREAMS: [("stream", STEP), ("key", STEP), ("start", STEP), ("length", STEP), ("revision", STEP), ("flags", STEP),
              ("name", STEP), ("type", STEP), ("scale", STEP), ("value", ZIGZAG), ("ulps", ZIGZAG),
              ("first_block", STEP), ("last_block", STEP)],
}
HEADER = struct.Struct("<2sBBQQQQQ32sII")
ALL = (1 << 64) - 1


def varint(data, at):
    number = shift = 0
    while data[at] & 0x80:
        number, shift, at = number | (data[at] & 0x7F) << shift, shift + 7, at + 1
    return number | data[at] << shift, at + 1


def text(data, at):
    size, at = varint(data, at)
    return data[at:at + size], at + size


def signed(number):
    number &= ALL
    return number - (1 << 64) if number >> 63 else number


def column(data, at, end, how, rows):
    numbers, last = [], 0
    while at < end:
        token, at = varint(data, at)
        if token == 1:
            numbers.append(int.from_bytes(data[at:at + 8], "little"))
            at += 8
        elif token % 2:
            numbers.append(token // 2)
        else:
            numbers += [0] * min(token // 2, rows)
    for n in (numbers + [0] * rows)[:rows]:
        difference = n if how == ITSELF else n >> 1 ^ -(n & 1)
        last = (last + difference if how == STEP else difference) & ALL
        yield last


def bits(number):
    return struct.unpack("<Q", struct.pack("<d", number))[0]


def double(number_bits):
    return struct.unpack("<d", struct.pack("<Q", number_bits & ALL))[0]


def number(whole, scale):
    if scale == 17:
        return double(whole)
    if scale == 16:
        return struct.unpack("<f", struct.pack("<I", whole & 0xFFFFFFFF))[0]
    return float(signed(whole)) / float(10 ** scale)


def window(row, names):
    minimum = row["min"]
    first = number(minimum + row["first"], row["scale"])
    count, m2 = row["count"], double(row["m2"])
    return {
        "device": names[row["device"]], "metric": names[row["metric"]], "unit": names[row["unit"]],
        "start_ms": signed(row["start"]), "end_ms": signed(row["start"] + row["length"]),
        "revision": row["revision"], "forced": bool(row["forced"]), "count": count,
        "first_ms": signed(row["start"] + row["first_time"]),
        "last_ms": signed(row["start"] + row["length"] + row["last_time"]),
        "min": number(minimum, row["scale"]), "max": number(minimum + row["max"], row["scale"]),
        "first": first, "last": number(minimum + row["last"], row["scale"]),
        "mean": double(bits(first) + row["mean"]), "m2": m2,
        "variance": m2 / (count - 1) if count > 1 else 0.0,
        "first_block": row["first_block"], "last_block": signed(row["first_block"] + row["last_block"]),
        "contract_version": row["contract"],
    }


def fields(extra):
    """Further fields: (their index in the configuration, their value)."""
    at = 0
    while at < len(extra):
        index, kind, at = extra[at], extra[at + 1], at + 2
        if kind == 2:
            value, at = text(extra, at)
            yield index, value.decode()
        else:
            value, at = struct.unpack_from("<d", extra, at)[0], at + 8
            yield index, bool(value) if kind == 1 else value


def reading(row, names, raw_names):
    kind = row["flags"] & 3
    value = value_of(row, kind, names)
    has_device_time, event_time = bool(row["flags"] & 4), signed(row["event_time"])
    return {
        "device": names[row["device"]], "metric": names[row["metric"]], "unit": names[row["unit"]], "value": value,
        "event_time_ms": event_time, "time_source": TIMES[row["flags"] >> 4],
        "device_time_ms": event_time + signed(row["device_time"]) if has_device_time else None,
        "sequence": row["sequence"] if row["flags"] & 8 else None, "index": row["index"],
        "source": row["source"], "t_ms": signed(row["t"]), "fields": dict(fields(raw_names[row["extra"]])),
    }


def value_of(row, kind, names):
    if kind == 2:
        return names[row["value"]]
    value = double(bits(number(row["value"], row["scale"])) + row["ulps"])
    return bool(value) if kind == 1 else value


def stream(row, names, raw_names):
    return {
        "stream": names[row["stream"]], "key": [value for _, value in fields(raw_names[row["key"]])],
        "start_ms": signed(row["start"]), "end_ms": signed(row["start"] + row["length"]),
        "revision": row["revision"], "kind": KINDS[row["flags"] & 7], "forced": bool(row["flags"] & 8),
        "name": names[row["name"]], "value": None if row["type"] == 3 else value_of(row, row["type"], names),
        "first_block": row["first_block"], "last_block": row["last_block"],
    }


def read(payload):
    """Header and rows of one message; ValueError, zlib.error, struct.error or IndexError: it is none."""
    data = zlib.decompress(payload)
    (magic, version, kind, id_1, id_2, sequence, first_block, last_block, digest, contract,
     rows) = HEADER.unpack_from(data)
    if magic != b"WR" or version != 1 or kind not in COLUMNS:
        raise ValueError("not a batch of version 1")
    header = {"kind": kind, "store": f"{id_1:016x}{id_2:016x}", "sequence": sequence, "first_block": first_block,
              "last_block": last_block, "config_digest": digest.hex(), "contract_version": contract, "rows": rows}
    at, sizes, raw_names = HEADER.size, [], [b""]
    name_count, at = varint(data, at)
    _, at = varint(data, at)
    for _ in COLUMNS[kind]:
        size, at = varint(data, at)
        sizes.append(size)
    for _ in range(name_count):
        name, at = text(data, at)
        raw_names.append(name)
    columns = []
    for (_, how), size in zip(COLUMNS[kind], sizes):
        columns.append(column(data, at, at + size, how, rows))
        at += size
    names = [name.decode(errors="replace") for name in raw_names]
    table = [dict(zip((name for name, _ in COLUMNS[kind]), row)) for row in zip(*columns)]
    if kind == WINDOWS:
        return header, [window(row, names) for row in table]
    return header, [(reading if kind == READINGS else stream)(row, names, raw_names) for row in table]
