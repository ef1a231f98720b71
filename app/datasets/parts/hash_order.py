"""Order index entries by their hashes."""

import numpy as np
import numpy.typing as npt

from app.datasets.parts.lines import Hashes

Order = npt.NDArray[np.intp]


def order_by_hash(hashes: Hashes) -> Order:
    """Return the stable order of hashes; several times as fast as numpy's stable sort."""
    order = np.argsort(hashes)
    ordered = hashes[order]
    same = ordered[1:] == ordered[:-1]
    del ordered
    if not same.any():
        return order
    # Equal hashes come in any order: sort within their groups.
    alike = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    within = np.cumsum(np.append(True, ~same[alike[1:] - 1]))
    within <<= 32
    within |= order[alike]
    within.sort()
    within &= 2**32 - 1
    order[alike] = within
    return order
