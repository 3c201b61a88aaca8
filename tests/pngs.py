"""PNG files chunk by chunk, as Pillow does not write them."""

from __future__ import annotations

import struct
import zlib

GRAY, RGB, PALETTE, RGBA = 0, 2, 3, 6  # color types


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int,
    height: int,
    packed: bytes,
    *,
    bits: int = 8,
    color: int = GRAY,
    interlaced: int = 0,
    before: bytes = b"",
) -> bytes:
    """A picture that declares this size, whatever its rows are.

    :param packed: The rows, each after the number of its filter, as zlib packs them.
    :param before: Chunks that come before them.
    """
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlaced)
    parts = chunk(b"IHDR", header) + before + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def black_png(width: int, height: int, bits: int = 8) -> bytes:
    """A valid gray picture that packs a thousandfold."""
    packer, row = zlib.compressobj(9), bytes(1 + (width * bits + 7) // 8)
    return png(
        width, height, b"".join(packer.compress(row) for _ in range(height)) + packer.flush(), bits=bits
    )
