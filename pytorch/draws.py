"""Seeded random numbers as vqgen draws them, so that a step sees the same pictures, masks and orders here as there.

A stream is named by its keys: sfc32 (C. Doty-Humphrey, PractRand), filled by the 32-bit finaliser of MurmurHash3.
"""

from __future__ import annotations

import math

WORD = 0xFFFFFFFF


def _mix(x: int) -> int:
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & WORD
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & WORD
    return x ^ (x >> 16)


def hash_of(*keys: int | str) -> int:
    """32 bits that depend on every key and their order."""
    h = 0x811C9DC5
    for key in keys:
        for ch in f"{'string' if isinstance(key, str) else 'number'}:{key};":
            h = _mix(h ^ ord(ch))
    return h


class Stream:
    def __init__(self, *keys: int | str) -> None:
        h = hash_of(*keys)
        self.a, self.b, self.c = (_mix(h ^ salt) for salt in (0x9E3779B9, 0x243F6A88, 0xB7E15162))
        self.counter = 1
        self.spare: float | None = None
        for _ in range(12):
            self._next()

    def _next(self) -> int:
        a, b, c = self.a, self.b, self.c
        t = (a + b + self.counter) & WORD
        self.counter = (self.counter + 1) & WORD
        self.a = b ^ (b >> 9)
        self.b = (c + (c << 3)) & WORD
        self.c = ((((c << 21) & WORD) | (c >> 11)) + t) & WORD
        return t

    def uniform(self) -> float:
        """In [0, 1)."""
        return self._next() / 4294967296

    def below(self, n: int) -> int:
        return math.floor(self.uniform() * n)

    def normal(self) -> float:
        if self.spare is not None:
            value, self.spare = self.spare, None
            return value
        radius = math.sqrt(-2 * math.log(1 - self.uniform()))
        angle = 2 * math.pi * self.uniform()
        self.spare = radius * math.sin(angle)
        return radius * math.cos(angle)


stream = Stream


def permutation(n: int, rng: Stream) -> list[int]:
    """Of 0 … n − 1 (Fisher-Yates)."""
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = rng.below(i + 1)
        order[i], order[j] = order[j], order[i]
    return order
