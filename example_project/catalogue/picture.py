"""A picture for each car, drawn from its figures and written as PNG."""

import struct
import zlib

from .data import Car

_WIDTH, _HEIGHT = 160, 80  # pixels
_GROUND = 66  # the pixel row on which the wheels stand

_SKY, _ROAD, _BLACK, _GREY, _GLASS, _RED, _BLUE, _GREEN = range(8)
_PALETTE = bytes.fromhex("eef4fa 8a8a8a 202020 b8b8b8 9fd0e6 c0392b 2e5fa3 2f8f4e")
_PAINT = {"USA": _RED, "Europe": _BLUE, "Japan": _GREEN}


def draw(car: Car) -> bytes:
    """A PNG file, another for each car.

    Length by weight, paint by origin, a pipe for each cylinder, a dash for each 20 hp, a plate for the slug.
    """
    canvas = _Canvas()
    length = 50 + car.weight // 70
    left = _WIDTH - length - 8
    paint = _PAINT[car.origin]
    canvas.box(0, _GROUND, _WIDTH, _HEIGHT - _GROUND, _ROAD)
    _body(canvas, left, length, paint)
    for pipe in range(car.cylinders):
        canvas.box(left + length - 6 - 4 * pipe, 36, 2, 6, _BLACK)
    for dash in range((car.horsepower or 0) // 20):
        canvas.box(3 + 7 * (dash % 2), 22 + 4 * dash, left - 20, 1, _GREY)
    _plate(canvas, left + length // 2 - 12, zlib.crc32(car.slug.encode()))
    return canvas.png()


def _body(canvas: "_Canvas", left: int, length: int, paint: int) -> None:
    canvas.box(left + length // 6, 26, length // 2, 16, paint)
    canvas.box(left + length // 6 + 4, 29, length // 2 - 8, 10, _GLASS)
    canvas.box(left, 42, length, 16, paint)
    for middle in (left + length // 5, left + length * 4 // 5):
        canvas.disc(middle, _GROUND - 9, 9, _BLACK)
        canvas.disc(middle, _GROUND - 9, 4, _GREY)


def _plate(canvas: "_Canvas", left: int, number: int) -> None:
    canvas.box(left - 1, 47, 26, 6, _SKY)
    for bit in range(24):
        if number >> bit & 1:
            canvas.box(left + bit, 48, 1, 4, _BLACK)


class _Canvas:
    """Rows of pixels, one byte each: an index into the palette. What is drawn over the edge is cut off."""

    def __init__(self) -> None:
        self._rows = [bytearray([_SKY]) * _WIDTH for _ in range(_HEIGHT)]

    def box(self, left: int, top: int, width: int, height: int, colour: int) -> None:
        start, end = max(left, 0), min(left + width, _WIDTH)
        for row in self._rows[max(top, 0) : top + height]:
            row[start:end] = bytes([colour]) * (end - start)

    def disc(self, x: int, y: int, radius: int, colour: int) -> None:
        for dy in range(-radius, radius + 1):
            half = int((radius**2 - dy**2) ** 0.5)
            self.box(x - half, y + dy, 2 * half + 1, 1, colour)

    def png(self) -> bytes:
        # 8 bits a pixel, colours from the palette; each row starts with a zero: it is not filtered.
        header = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 3, 0, 0, 0)
        pixels = b"".join(b"\0" + row for row in self._rows)
        chunks = [(b"IHDR", header), (b"PLTE", _PALETTE), (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
