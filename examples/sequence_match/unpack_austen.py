"""Writes the novels of R's package janeaustenr as one text: unpack_austen.py Rdata.rdb austen.txt"""
import os
import struct
import sys
import zlib

with open(sys.argv[1], "rb") as file:
    left = file.read()
with open(sys.argv[2] + ".part", "w", encoding="utf-8") as out:
    while left:  # for each novel a length, then a zlib stream
        stream = zlib.decompressobj()
        novel = stream.decompress(left[4:]) + stream.flush()
        left = stream.unused_data
        at = novel.index(b"\x00\x00\x00\x10")  # R's serialisation of a vector of strings: one a line
        count = struct.unpack(">i", novel[at + 4:at + 8])[0]
        at += 8
        for _ in range(count):
            length = struct.unpack(">i", novel[at + 4:at + 8])[0]
            out.write(novel[at + 8:at + 8 + length].decode("utf-8") + "\n")
            at += 8 + length
        out.write("\n\n")
os.rename(sys.argv[2] + ".part", sys.argv[2])
