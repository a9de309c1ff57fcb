"""Random damage to bytes, of kinds that pass a reader's first checks."""

import copy as copy_value
import json
import struct
import zlib

TELLING = (0, 1, 0x7F, 0x80, 0xFF)
LENGTHS = (0, 1, 2**7, 2**16, 2**29 - 1, 2**29, 2**31 - 1, 2**31, 2**32 - 1)


def flip(body, chance):
    body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)


def put(body, chance):
    body[chance.randrange(len(body))] = chance.choice(TELLING)


def cut(body, chance):
    del body[chance.randrange(len(body)) :]


def insert(body, chance):
    place = chance.randrange(len(body) + 1)
    body[place:place] = chance.randbytes(chance.randrange(1, 12))


def drop(body, chance):
    place = chance.randrange(len(body))
    del body[place : place + chance.randrange(1, 12)]


def copy(body, chance):
    start, place = chance.randrange(len(body)), chance.randrange(len(body))
    body[place:place] = body[start : start + chance.randrange(1, 60)]


def claim(body, chance):
    """Write a length, little- or big-endian, where one may be."""
    form = chance.choice("<>") + "I"
    body[(place := chance.randrange(len(body))) : place + 4] = struct.pack(form, chance.choice(LENGTHS))


def stretch(body, chance):
    """Insert a varint that claims more bytes than exist."""
    body[(place := chance.randrange(len(body))) : place + 1] = b"\xff" * chance.randrange(1, 11) + b"\x01"


DAMAGES = (flip, put, cut, insert, drop, copy, claim, stretch)


def with_right_checksums(body):
    """Return the PNG with correct checksums, so that the damage passes them."""
    position = 8
    while position + 12 <= len(body):
        end = position + 8 + int.from_bytes(body[position : position + 4], "big")
        if end + 4 > len(body):
            return
        body[end : end + 4] = struct.pack(">I", zlib.crc32(body[position + 4 : end]))
        position = end + 4


def damaged(body, chance, *, checksums):
    body = bytearray(body)
    for _ in range(chance.choice((1, 1, 2, 4))):
        if body:
            chance.choice(DAMAGES)(body, chance)
    if checksums and chance.random() < 0.8:
        with_right_checksums(body)
    return bytes(body)


LONE_SURROGATE = "half \ud83d"
DEEP = '{"a":' * 3000 + "1" + "}" * 3000
ODD_VALUES = (
    None, True, False, 0, -1, 1, 255, 256, 1.5, -0.0, 1e308, 2**31, 2**63, 10**400, float("nan"), float("inf"),
    "", "0", "1e9999", "\u00b2", "\u202e", "\x00\x1b[31m", "a" * 5000, LONE_SURROGATE, "../../etc/passwd",
    [], {}, [[]], [None], {"": None}, {"0": {}}, {LONE_SURROGATE: 1},
)  # fmt: skip


def damaged_json(value, chance):
    """Return the JSON of a value with replaced parts, sometimes nested too deeply or with a number too long."""
    for _ in range(chance.choice((0, 1, 1, 2))):
        value = replaced(value, chance)
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5)
    if chance.random() < 0.02:
        text = text.replace("null", chance.choice((DEEP, "9" * 5000)))
    return text.encode("utf-8", "surrogatepass")


def replaced(value, chance):
    """Return a value with one part, at any depth, removed or replaced."""
    if isinstance(value, dict | list) and value and chance.random() < 0.8:
        key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        if chance.random() < 0.1:
            del value[key]
        elif isinstance(value, dict) and chance.random() < 0.1:
            value[str(chance.choice(ODD_VALUES))] = value.pop(key)
        else:
            value[key] = replaced(value[key], chance)
        return value
    return copy_value.deepcopy(chance.choice(ODD_VALUES))
