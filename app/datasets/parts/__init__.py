"""Store parts of files as Zstandard frames, and find records in them by key."""

from app.datasets.parts.json_text import RawNumber
from app.datasets.parts.keys import HashSeed, encode_key, parse_key
from app.datasets.parts.lookup import find, find_newest
from app.datasets.parts.merge import merge_segments
from app.datasets.parts.model import (
    BadLine,
    CollidingKeys,
    Format,
    Hit,
    LineTooSlow,
    MergedSegment,
    ObjectDamaged,
    PartRef,
    PartTooLarge,
    SegmentRef,
    SliceTooLarge,
    StoredPart,
)
from app.datasets.parts.object_cache import ObjectCache
from app.datasets.parts.part_reader import read_lines, read_range
from app.datasets.parts.part_writer import store_part
from app.datasets.parts.pointers import Pointer, parse_pointer
from app.datasets.parts.segment_writer import SegmentTooLarge

__all__ = [
    "BadLine",
    "CollidingKeys",
    "Format",
    "HashSeed",
    "Hit",
    "LineTooSlow",
    "MergedSegment",
    "ObjectCache",
    "ObjectDamaged",
    "PartRef",
    "PartTooLarge",
    "Pointer",
    "RawNumber",
    "SegmentRef",
    "SegmentTooLarge",
    "SliceTooLarge",
    "StoredPart",
    "encode_key",
    "find",
    "find_newest",
    "merge_segments",
    "parse_key",
    "parse_pointer",
    "read_lines",
    "read_range",
    "store_part",
]
