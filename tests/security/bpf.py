"""Interpret a filter's program as the kernel would, for the BPF instructions that it uses."""

import struct
from collections.abc import Sequence

from app.sandbox.seccomp import Instruction

_WORD = 0xFFFF_FFFF


def run_program(
    program: Sequence[Instruction], *, audit: int, number: int, arguments: Sequence[int] = ()
) -> int:
    """Return the program's answer to a call; `audit` names the architecture."""
    padded = [argument % 2**64 for argument in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("<IIQ6Q", number, audit, 0, *padded)
    accumulator = 0
    at = 0
    while True:
        step = program[at]
        at += 1
        match step.code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, step.operand)
            case 0x54:
                accumulator &= step.operand
            case 0x15:
                at += step.if_true if accumulator == step.operand else step.if_false
            case 0x25:
                at += step.if_true if accumulator > step.operand else step.if_false
            case 0x06:
                return step.operand & _WORD
            case code:
                raise ValueError(code)
