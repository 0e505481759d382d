"""Bytes that are damaged as files are: bits that flip, parts that are lost, doubled or mixed, values out of range."""

import random
import re
from collections.abc import Callable

MOST_BYTES = 1 << 20
# What stands where a number or a word stood.
_VALUES = (
    *(b"", b"0", b"-1", b"1e999", b"-1e999", b"nan", b".nan", b".inf", b"99999999999999999999", b"1e308", b"0.5"),
    *(
        b"null",
        b"~",
        b"true",
        b"[]",
        b"{}",
        b"[[[[",
        b"*a",
        b"&a [*a]",
        b"..",
        b"../x",
        b"/etc/passwd",
        b"\x00",
        b"\xff",
    ),
    *("é".encode(), "\u202e".encode(), b"a" * 5000, b"'", b'"', b"\n", b"<!DOCTYPE a [<!ENTITY b '&#38;b;'>]>"),
)
_WORD = re.compile(rb"[\w.+-]+")


def mutated(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """One to four damages of some bytes, at most MOST_BYTES long. others: of which parts are mixed in."""
    for _ in range(rng.randint(1, 4)):
        data = rng.choice(_DAMAGES)(data, others, rng)[:MOST_BYTES]
    return data


def _flip(data: bytes, _others: list[bytes], rng: random.Random) -> bytes:
    if not data:
        return data
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


def _cut(data: bytes, _others: list[bytes], rng: random.Random) -> bytes:
    return data[: rng.randint(0, len(data))]


def _lose(data: bytes, _others: list[bytes], rng: random.Random) -> bytes:
    start, end = _part(data, rng)
    return data[:start] + data[end:]


def _blank(data: bytes, _others: list[bytes], rng: random.Random) -> bytes:
    start, end = _part(data, rng)
    return data[:start] + bytes(end - start) + data[end:]


def _double(data: bytes, _others: list[bytes], rng: random.Random) -> bytes:
    start, end = _part(data, rng)
    return data[:end] + data[start:end] * rng.choice((1, 1, 2, 50)) + data[end:]


def _mix(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    other = rng.choice(others)
    start, end = _part(other, rng)
    place = rng.randint(0, len(data))
    return data[:place] + other[start:end] + data[place:]


def _noise(data: bytes, _others: list[bytes], rng: random.Random) -> bytes:
    place = rng.randint(0, len(data))
    return data[:place] + rng.randbytes(rng.randint(1, 16)) + data[place:]


def _value(data: bytes, _others: list[bytes], rng: random.Random) -> bytes:
    words = list(_WORD.finditer(data[:MOST_BYTES]))
    if not words:
        return data
    word = rng.choice(words)
    return data[: word.start()] + rng.choice(_VALUES) + data[word.end() :]


def _part(data: bytes, rng: random.Random) -> tuple[int, int]:
    """Mostly a short one."""
    start = rng.randint(0, len(data))
    return start, min(len(data), start + rng.choice((1, 2, 8, 64, len(data))))


_DAMAGES: tuple[Callable[[bytes, list[bytes], random.Random], bytes], ...] = (
    *(_flip, _cut, _lose, _blank, _double, _mix, _noise),
    *(_value, _value, _value),  # it reaches deeper than the others
)
