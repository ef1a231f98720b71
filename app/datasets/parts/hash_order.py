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
    if not same.any():
        return order
    # Equal hashes come in any order: sort within their groups.
    group = np.concatenate(([0], np.cumsum(~same)))
    within = (group << 32) | order
    within.sort()
    return within & (2**32 - 1)
