"""Writes the novels of R's package janeaustenr as one text: unpack_austen.py Rdata.rdb austen.txt"""
import os
import struct
import sys
import zlib


def novels_in(data):
    """The lines of each novel. Raises ValueError if the data are no such file."""
    while data:  # for each novel a length, then a zlib stream
        stream = zlib.decompressobj()
        novel = stream.decompress(data[4:]) + stream.flush()
        if not stream.eof:
            raise ValueError("a stream without an end")
        data = stream.unused_data
        at = novel.index(b"\x00\x00\x00\x10")  # R's serialisation of a vector of strings: one a line
        count = struct.unpack(">i", novel[at + 4:at + 8])[0]
        at += 8
        for _ in range(count):
            length = struct.unpack(">i", novel[at + 4:at + 8])[0]
            if length < 0 or at + 8 + length > len(novel):
                raise ValueError("a line of an impossible length")
            yield novel[at + 8:at + 8 + length].decode("utf-8") + "\n"
            at += 8 + length
        yield "\n\n"


def main(source, target):
    try:
        with open(source, "rb") as file:
            text = "".join(novels_in(file.read()))
    except (ValueError, struct.error, zlib.error) as error:
        sys.exit(f"unpack_austen.py: {source}: not the novels of janeaustenr: {error}")
    except OSError as error:
        sys.exit(f"unpack_austen.py: {error}")
    part = target + ".part"
    try:
        with open(part, "w", encoding="utf-8") as out:
            out.write(text)
        os.rename(part, target)
    except OSError as error:
        if os.path.exists(part):
            os.remove(part)
        sys.exit(f"unpack_austen.py: {target}: cannot be written: {error.strerror}")


if len(sys.argv) != 3:
    sys.exit("usage: unpack_austen.py Rdata.rdb austen.txt")
main(sys.argv[1], sys.argv[2])
