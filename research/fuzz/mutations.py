"""Damage to files: to bytes, to numbers in text, and behind checksums and compression, where it is noticed late."""

from __future__ import annotations

import gzip
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Literal

_BYTES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
_WORDS = (0, 1, 2, 3, 7, 8, 16, 255, 256, 4096, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40)
_NUMBERS = ("0", "1", "-1", "2", "3", "255", "65536", "2147483647", "4294967296", "99999999999999999999", "1e308",
            "-1e308", "nan", "inf", "0.0000001", "")  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_LINE = re.compile(rb"[^\r\n]+\r?\n")
_NEAR = 600
"""Bytes at the beginning and the end of a file, where headers and directories are."""
_MOST = 2**20


def damage(content: bytes, random: Random, others: Callable[[], bytes], depth: int = 0) -> bytes:
    """Return a file with one to eight faults in it.

    Args:
        content: The file.
        random: Decides.
        others: Another file, of which parts may be put into this one.
        depth: How often it was unpacked already.
    """
    if depth < 2 and random.random() < 0.6:
        for unpack in (_in_gzip, _in_zip, _in_png):
            inside = unpack(content, random, others, depth)
            if inside is not None:
                return inside
    made = content
    for _ in range(1 + min(7, int(random.expovariate(0.7)))):
        made = random.choice(_FAULTS)(made, random, others)[:_MOST]
    return made


def _place(content: bytes, random: Random) -> int:
    chance, size = random.random(), max(1, len(content))
    if chance < 0.6:
        return random.randrange(min(size, _NEAR))
    return random.randrange(max(0, size - _NEAR), size) if chance < 0.75 else random.randrange(size)


def _flip(content: bytes, random: Random, _: Callable[[], bytes]) -> bytes:
    made, place = bytearray(content or b"\0"), _place(content, random)
    made[place] ^= 1 << random.randrange(8)
    return bytes(made)


def _byte(content: bytes, random: Random, _: Callable[[], bytes]) -> bytes:
    made, place = bytearray(content or b"\0"), _place(content, random)
    made[place] = random.choice((*_BYTES, random.randrange(256)))
    return bytes(made)


def _word(content: bytes, random: Random, _: Callable[[], bytes]) -> bytes:
    size = random.choice((2, 4, 8))
    order: Literal["little", "big"] = "little" if random.random() < 0.5 else "big"
    place = _place(content, random) & ~random.choice((0, 1, 3))
    old = int.from_bytes(content[place : place + size], order)
    chosen = random.choice((random.choice(_WORDS), old + 1, old - 1, old * 2, old * 1000))
    value = chosen % (1 << (8 * size))
    return content[:place] + value.to_bytes(size, order) + content[place + size :]


def _cut(content: bytes, random: Random, _: Callable[[], bytes]) -> bytes:
    return content[: _place(content, random)]


def _without(content: bytes, random: Random, _: Callable[[], bytes]) -> bytes:
    place = _place(content, random)
    return content[:place] + content[place + random.randrange(1, 64) :]


def _again(content: bytes, random: Random, _: Callable[[], bytes]) -> bytes:
    start, place = _place(content, random), _place(content, random)
    part = content[start : start + random.randrange(1, 64)] * random.choice((1, 1, 2, 200))
    return content[:place] + part + content[place:]


def _from_other(content: bytes, random: Random, others: Callable[[], bytes]) -> bytes:
    other = others()
    start, place, size = _place(other, random), _place(content, random), random.randrange(1, 200)
    return content[:place] + other[start : start + size] + content[place + random.choice((0, size)) :]


def _number(content: bytes, random: Random, _: Callable[[], bytes]) -> bytes:
    found = list(_NUMBER.finditer(content[:4096]))
    if not found:
        return content
    one = random.choice(found)
    return content[: one.start()] + random.choice(_NUMBERS).encode() + content[one.end() :]


def _line(content: bytes, random: Random, _: Callable[[], bytes]) -> bytes:
    found = list(_LINE.finditer(content[:4096]))
    if len(found) < 2:
        return content
    one, other = random.choice(found), random.choice(found)
    kept = content[: one.start()] + content[one.end() :] if random.random() < 0.5 else content
    return kept[: other.start()] + one.group() + kept[other.start() :]


_FAULTS: tuple[Callable[[bytes, Random, Callable[[], bytes]], bytes], ...] = (
    *(_flip, _byte, _byte, _word, _word, _word, _cut, _without, _again, _from_other, _number, _number, _line),
)


def _in_gzip(content: bytes, random: Random, others: Callable[[], bytes], depth: int) -> bytes | None:
    if not content.startswith(b"\x1f\x8b"):
        return None
    try:
        inside = gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return None
    return gzip.compress(damage(inside, random, others, depth + 1), 1, mtime=0)


def _in_zip(content: bytes, random: Random, others: Callable[[], bytes], depth: int) -> bytes | None:
    if not content.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError, EOFError):
        return None
    chosen = random.choice(sorted(members))
    members[chosen] = damage(members[chosen], random, others, depth + 1)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, value in members.items():
            archive.writestr(name, value)
    return made.getvalue()


def _in_png(content: bytes, random: Random, others: Callable[[], bytes], depth: int) -> bytes | None:
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    chunks, place = [], 8
    while place + 12 <= len(content):
        (size,) = struct.unpack_from(">I", content, place)
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + size]))
        place += 12 + size
    if not chunks:
        return None
    chosen = random.randrange(len(chunks))
    kind, value = chunks[chosen]
    if kind == b"IDAT" and random.random() < 0.7:
        try:
            value = zlib.compress(damage(zlib.decompress(value), random, others, depth + 1), 1)
        except zlib.error:
            value = damage(value, random, others, depth + 1)
    else:
        value = damage(value, random, others, depth + 1)
    chunks[chosen] = kind, value
    parts = [struct.pack(">I", len(v)) + k + v + struct.pack(">I", zlib.crc32(k + v)) for k, v in chunks]
    return content[:8] + b"".join(parts)
