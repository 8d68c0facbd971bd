#!/usr/bin/env python3
"""Halve a PNG of 8-bit grey on stdin by leaving out every second pixel and row: no library."""

import struct
import sys
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunks(data):
    at = len(SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def chunk(kind, body):
    crc = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + crc


data = sys.stdin.buffer.read()
parts = dict(chunks(data))
width, height = struct.unpack(">II", parts[b"IHDR"][:8])
raw = zlib.decompress(parts[b"IDAT"])
rows = [raw[y * (width + 1) + 1 : (y + 1) * (width + 1)] for y in range(height)]
small = [b"\0" + row[::2] for row in rows[::2]]
header = struct.pack(">II", (width + 1) // 2, len(small)) + parts[b"IHDR"][8:]
out = SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"".join(small)))
sys.stdout.buffer.write(out + chunk(b"IEND", b""))
