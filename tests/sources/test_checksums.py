"""Checksums: digests against hashlib and a CRC written out bit by bit, and each mismatch with what a service states."""

import base64
import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.sources.transfer import checksums
from tandem.sources.transfer.checksums import Digests, mismatch


def crc32c(data):
    """CRC-32C (Castagnoli), reflected, as RFC 3720 states it; one bit at a time."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def base64_of(digest):
    return base64.b64encode(digest).decode()


def expected(data):
    return Digests(
        num_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        md5=base64_of(hashlib.md5(data).digest()),
        crc32c=base64_of(crc32c(data).to_bytes(4, "big")),
    )


def found(tmp_path, data):
    path = tmp_path / "archive.zip"
    path.write_bytes(data)
    return checksums.digests(path)


RFC_3720 = {  # appendix B.4
    bytes(32): 0x8A9136AA,
    b"\xff" * 32: 0x62A8AB43,
    bytes(range(32)): 0x46DD794E,
    bytes(reversed(range(32))): 0x113FDB5C,
    b"123456789": 0xE3069283,  # the check value of the CRC catalogues
}


@pytest.mark.parametrize(("data", "crc"), RFC_3720.items(), ids=map(hex, RFC_3720.values()))
def test_the_crc_is_that_of_the_rfc(tmp_path, data, crc):
    assert crc32c(data) == crc, "the implementation of this test"
    assert base64.b64decode(found(tmp_path, data).crc32c) == crc.to_bytes(4, "big")


@given(data=st.binary(max_size=300))
def test_all_digests_are_those_of_other_implementations(tmp_path_factory, data):
    assert found(tmp_path_factory.getbasetemp(), data) == expected(data)


@pytest.mark.parametrize("num_bytes", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_a_file_of_more_than_one_piece_is_digested_whole(tmp_path, num_bytes):
    data = random.Random(0).randbytes(num_bytes)
    digests = found(tmp_path, data)
    assert digests[:3] == (num_bytes, hashlib.sha256(data).hexdigest(), base64_of(hashlib.md5(data).digest()))


DATA = b"the archive"
FOUND = expected(DATA)
OTHER = expected(b"the Archive")
SERVED = f"crc32c={FOUND.crc32c}, md5={FOUND.md5}"


@pytest.mark.parametrize(
    ("num_bytes", "hashes"),
    [
        (None, ""),
        (len(DATA), ""),
        (None, f"md5={FOUND.md5}"),
        (None, f"crc32c={FOUND.crc32c}"),
        (len(DATA), SERVED),
        (len(DATA), SERVED.replace(", ", ",")),
        (None, "sha1=unknown==, another"),
    ],
)
def test_an_archive_that_is_as_stated_has_no_mismatch(num_bytes, hashes):
    assert mismatch(FOUND, num_bytes=num_bytes, hashes=hashes) == ""


@pytest.mark.parametrize("num_bytes", [0, len(DATA) - 1, len(DATA) + 1])
def test_another_size_is_a_mismatch_even_under_good_hashes(num_bytes):
    assert mismatch(FOUND, num_bytes=num_bytes, hashes=SERVED) == f"it has 11 bytes, {num_bytes} were promised"


@pytest.mark.parametrize("name", ["md5", "crc32c"])
def test_another_hash_is_a_mismatch_wherever_it_is_stated(name):
    promised, is_now = getattr(OTHER, name), getattr(FOUND, name)
    words = f"its {name} is {is_now}, {promised} was promised"
    assert mismatch(FOUND, num_bytes=None, hashes=f"{name}={promised}") == words
    assert mismatch(FOUND, num_bytes=len(DATA), hashes=SERVED.replace(is_now, promised)) == words


@given(data=st.binary(min_size=1, max_size=100), which=st.integers(min_value=0), bit=st.integers(0, 7))
def test_any_flipped_bit_is_a_mismatch(data, which, bit):
    flipped = bytearray(data)
    flipped[which % len(data)] ^= 1 << bit
    served = expected(data)
    for hashes in (f"md5={served.md5}", f"crc32c={served.crc32c}"):
        assert mismatch(expected(bytes(flipped)), num_bytes=len(data), hashes=hashes)
