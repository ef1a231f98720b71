#!/usr/bin/env python3
"""Write a file with a number on each line, and print the sum of the even ones.

The same size and seed give the same bytes. Most numbers have up to nine digits, one of sixteen is
negative, and one of 256 has up to thirty digits. The sum is that of Python's integers.
"""

import argparse
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

BLOCKS, NUMBERS_PER_BLOCK = 32, 50_000
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def main() -> None:
    """Write the file that the arguments describe, and print one line of JSON about it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", default="100MB", type=parse_size, help="such as 5GB")
    parser.add_argument("--seed", default=1, type=int)
    parser.add_argument("--to", default=Path("numbers.txt"), type=Path, help="default numbers.txt")
    options = parser.parse_args()
    size = numbers = total = 0
    with options.to.open("wb") as file:
        for text, count, even_sum in blocks(options.size, options.seed):
            size += file.write(text)
            numbers += count
            total += even_sum
    made = {"file": str(options.to), "bytes": size, "numbers": numbers, "sum_even": str(total)}
    print(json.dumps(made))


def parse_size(text: str) -> int:
    """Return a number of bytes."""
    match = re.fullmatch(r"([0-9.]+) ?([KMG]?B?)", text.upper())
    if match is None:
        message = f"{text} is no size"
        raise argparse.ArgumentTypeError(message)
    return int(float(match[1]) * UNITS[match[2]])


def blocks(size: int, seed: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield whole lines, their number and the sum of their even numbers, up to `size` bytes.

    Few blocks in a random order, each made and added up once, so that 5 GB take seconds.
    """
    made: dict[int, tuple[bytes, int, int]] = {}
    order = random.Random(seed)
    left = size
    while left > 0:
        which = order.randrange(BLOCKS)
        if which not in made:
            made[which] = measured(numbers_of(random.Random(f"{seed} {which}")))
        block = made[which]
        if len(block[0]) > left:
            lines = block[0][: block[0].rfind(b"\n", 0, left) + 1]
            if not lines:
                return
            block = measured([int(line) for line in lines.split()])
            left = 0
        left -= len(block[0])
        yield block


def numbers_of(draw: random.Random) -> list[int]:
    """Draw the numbers of a block."""
    numbers = []
    for _ in range(NUMBERS_PER_BLOCK):
        is_long, is_negative = not draw.getrandbits(8), not draw.getrandbits(4)
        number = draw.getrandbits(97) if is_long else draw.randrange(10**9)
        numbers.append(-number if is_negative else number)
    return numbers


def measured(numbers: list[int]) -> tuple[bytes, int, int]:
    """Return a block of these numbers."""
    text = "".join(f"{number}\n" for number in numbers).encode()
    return text, len(numbers), sum(number for number in numbers if number % 2 == 0)


if __name__ == "__main__":
    main()
