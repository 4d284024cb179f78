#!/usr/bin/env python3
"""text.py FILE - 4 MiB of text-like bytes for gzip and openssl, the same everywhere."""
import sys

SIZE = 4 << 20
WORDS = 4000


class Numbers:
    """A 64-bit linear congruential generator: the same numbers whatever Python's version."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        return (self.state >> 33) % n


def text(r):
    words = ["".join("etaoinshrdlucmfwypvbgkjqxz"[min(r.below(26), r.below(26))]
                     for _ in range(2 + r.below(9)))
             for _ in range(WORDS)]
    out, n = [], 0
    while n < SIZE:
        word = words[min(r.below(WORDS), r.below(WORDS), r.below(WORDS))]
        kind = r.below(40)
        if kind == 0:
            word = str(r.below(1000000))
        elif kind == 1:
            word = word.capitalize() + "."
        word += "\n" if r.below(12) == 0 else " "
        out.append(word)
        n += len(word)
    return "".join(out)[:SIZE]


with open(sys.argv[1], "w") as f:
    f.write(text(Numbers(1)))
