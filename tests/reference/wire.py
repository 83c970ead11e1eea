"""Notation: the smallest things that a chunk is made of."""

import struct


class Bad(Exception):
    """What a reader must refuse."""


def need(condition, message):
    if not condition:
        raise Bad(message)


def signed(value, bits=64):
    """`value` modulo 2^bits as a two's complement number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def unzigzag(value):
    return (value >> 1) ^ -(value & 1)


class Reader:
    """Walks through bytes; refuses to go beyond their end."""

    def __init__(self, data):
        self.data, self.at = bytes(data), 0

    def take(self, count):
        need(count <= len(self.data) - self.at, f"{count} bytes expected, {len(self.data) - self.at} left")
        self.at += count
        return self.data[self.at - count : self.at]

    def rest(self):
        return self.take(len(self.data) - self.at)

    def end(self):
        need(self.at == len(self.data), f"{len(self.data) - self.at} bytes too many")

    def u8(self):
        return self.take(1)[0]

    def f64(self):
        return struct.unpack("<d", self.take(8))[0]

    def varint(self):
        value = 0
        for k in range(10):
            byte = self.u8()
            value |= (byte & 0x7F) << (7 * k)
            if byte < 0x80:
                need(value < 1 << 64, "a varint above 2^64 - 1")
                return value
        raise Bad("a varint of more than ten bytes")

    def svarint(self):
        return unzigzag(self.varint())

    def block(self):
        return Reader(self.take(self.varint()))
