"""Which kinds of picture are read, told by their first bytes and never by their names."""

from __future__ import annotations

from typing import Literal, TypeAlias

from PIL import Image

from simsearch.errors import BadImageError, MissingExtraError, require

Kind: TypeAlias = Literal["PNG", "JPEG", "WEBP", "BMP", "GIF", "AVIF", "TIFF", "HEIC"]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "AVIF", "TIFF")  # as Pillow calls them
SUPPORTED = "pass a PNG, JPEG, WebP, BMP, GIF, AVIF or TIFF"
HEAD_BYTES = 64  # of a file, in which its kind shows
# Files that somebody took for pictures, whatever they hold.
SUFFIXES = frozenset(
    f".{suffix}"
    for kind in ("png jpg jpeg jpe jfif", "webp bmp gif", "avif tif tiff heic heif")
    for suffix in kind.split()
)

_STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),  # with offsets of 64 bits
    (b"MM\0+", "TIFF"),
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # tags of TIFF


def kind_of(head: bytes) -> Kind | None:
    """The kind of picture that a file's first `HEAD_BYTES` bytes announce, if any."""
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] != b"ftyp":
        return None
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, len(head), 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIC" if brands & _HEIC_BRANDS else None


def pillow_formats(data: bytes, name: str) -> tuple[str, ...]:
    """The formats that Pillow may take a picture for; HEIC is taught to it by the extra `heic`.

    :raises BadImageError: If the picture is HEIC, and the extra is not installed.
    """
    if kind_of(data[:HEAD_BYTES]) != "HEIC":
        return FORMATS
    try:
        require("pi_heif", "heic")
    except MissingExtraError as error:
        raise BadImageError(f"{name} is HEIC, which needs the extra `heic`", error.hint) from None
    import pi_heif

    pi_heif.register_heif_opener(thumbnails=False)
    return ("HEIF",)


def tile_of(image: Image.Image) -> tuple[int, int]:
    """Width and height of the pieces in which an opened picture is decoded; a TIFF's may exceed the TIFF."""
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    return int(tags.get(_TILE_WIDTH, image.width)), int(tags.get(_TILE_LENGTH, image.height))
