"""Make events of applications, with newer versions of some, in files by day of arrival."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Final

from msgspec import Struct

from crivo.samples.event_types import EventType, Pools
from crivo.samples.truth import Survivors

FIRST_DAY: Final = date(2021, 1, 1)
_DAY_MS: Final = 86_400_000
# First versions end a second before their day, so that there is time for newer ones.
_FIRST_VERSIONS_MS: Final = _DAY_MS - 1_000
_MINUTES: Final = [f"{hour:02}:{minute:02}:" for hour in range(24) for minute in range(60)]
# The ways of a version to be newer than the one before; each is as frequent.
_WAYS: Final = ("equal", "next_day", "overtaking", "same_day")
# Newer versions are up to 70 minutes newer (22 bits of ms), and equal ones arrive up to 64 lines
# later.
_NEWER_BITS: Final = 22
_EQUAL_BITS: Final = 6


class EventSample(Struct, frozen=True, kw_only=True):
    """What a sample is made of; equal ones are equal, byte for byte.

    `count` are all lines, and `duplicates` the share of them that are another version of an event.
    Of the events, the share `late` arrives in the file of a later day.
    """

    count: int
    duplicates: float
    late: float
    days: int
    seed: int

    @property
    def repeated(self) -> int:
        """The number of lines that are another version of an event; one line at least is not."""
        return min(round(self.count * self.duplicates), self.count - 1)

    @property
    def keys(self) -> int:
        """The number of events, which is the number of lines that are left."""
        return self.count - self.repeated

    def dates(self) -> list[str]:
        """List the days."""
        return [(FIRST_DAY + timedelta(days=day)).isoformat() for day in range(self.days)]

    def first_of(self, day: int) -> int:
        """Return the number of the first event of a day."""
        return self.keys * day // self.days


class _Event(Struct):
    """What the versions of an event have in common."""

    kind: EventType
    id: str
    data_id: str


class _Version(Struct):
    """A version of an event: its time, and the day and place where it arrives."""

    day: int
    ms: int
    arrival: tuple[int, int]


class EventStream:
    """The lines of a sample, one day of arrival after the other.

    Random numbers are those of `random()` and `getrandbits()` alone, which Python keeps the same
    for a seed.
    """

    def __init__(self, sample: EventSample) -> None:
        """Fill the pools."""
        self.survivors = Survivors(sample.dates())
        self.counts: Counter[str] = Counter()
        self._sample = sample
        self._pools = Pools(sample.seed)
        self._random = Random(sample.seed)  # noqa: S311 - a sample is no secret
        self._dates = sample.dates()
        # Lines that arrive after a place of a day.
        self._due: defaultdict[int, defaultdict[int, list[str]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self._versions_of_each, self._one_more = divmod(sample.repeated, sample.keys)
        # Nothing of the last day is late.
        self._late = sample.late * sample.days / max(sample.days - 1, 1)

    def lines(self, day: int) -> Iterator[str]:
        """Iterate over the lines of a day's file. Days are asked for in their order."""
        sample, draw = self._sample, self._random.random
        first, end = sample.first_of(day), sample.first_of(day + 1)
        late = self._late if day + 1 < sample.days else 0.0
        due = self._due[day]
        for number in range(first, end):
            place = number - first
            ms = int((place + draw()) * _FIRST_VERSIONS_MS / (end - first))
            # Selection sampling: exactly as many are repeated as are wanted.
            has_one_more = draw() * (sample.keys - number) < self._one_more
            self._one_more -= has_one_more
            repeats = self._versions_of_each + has_one_more
            is_late = draw() < late
            event = self._new_event()
            if repeats or is_late:
                days_late = 1 + self._random.getrandbits(1) if is_late else 0
                arrival = (min(day + days_late, sample.days - 1), place)
                self._deliver(event, self._versions(_Version(day, ms, arrival), repeats))
            else:
                yield self._line(event, _Version(day, ms, (day, place)), 1, is_newest=True)
            if place in due:
                yield from due.pop(place)
        for place in sorted(due):
            yield from due[place]
        del self._due[day]

    def _new_event(self) -> _Event:
        bits = self._random.getrandbits(192)
        text = f"{bits:048x}"
        # The form of a UUID of version 4.
        event_id = f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:32]}"
        return _Event(self._pools.type_of(bits), event_id, text[32:44])

    def _versions(self, first: _Version, repeats: int) -> list[_Version]:
        """Return the versions of an event, the one that counts last.

        Times never go back, and of equal ones the last arrives last.
        """
        bits = self._random.getrandbits
        versions = [first]
        for _ in range(repeats):
            before, way = versions[-1], _WAYS[bits(2)]
            day, ms = before.day, min(before.ms + 1 + bits(_NEWER_BITS), _DAY_MS - 1)
            if way == "equal" or ms == before.ms:
                last_day, last_place = max(each.arrival for each in versions)
                arrival = (last_day, last_place + 1 + bits(_EQUAL_BITS))
                newer = _Version(before.day, before.ms, arrival)
                self.counts["equal"] += 1
            elif way == "next_day" and day + 1 < self._sample.days:
                newer = _Version(day + 1, before.ms, self._place(day + 1, before.ms))
                self.counts["next_day"] += 1
            else:
                newer = _Version(day, ms, self._place(day, ms))
                if way == "overtaking":
                    newer.arrival, before.arrival = before.arrival, newer.arrival
                is_before = newer.arrival < before.arrival
                self.counts["overtaking" if is_before else "same_day"] += 1
            versions.append(newer)
        return versions

    def _place(self, day: int, ms: int) -> tuple[int, int]:
        """Return where an event arrives that is not late."""
        events = self._sample.first_of(day + 1) - self._sample.first_of(day)
        return day, ms * events // _FIRST_VERSIONS_MS

    def _deliver(self, event: _Event, versions: list[_Version]) -> None:
        for number, each in enumerate(versions, 1):
            day, place = each.arrival
            self.counts["late"] += day > each.day
            line = self._line(event, each, number, is_newest=number == len(versions))
            self._due[day][place].append(line)

    def _line(self, event: _Event, version: _Version, revision: int, *, is_newest: bool) -> str:
        kind, ms = event.kind, version.ms
        data = self._pools.data(kind, event.data_id, revision, self._random)
        time = (
            f"{self._dates[version.day]}T{_MINUTES[ms // 60_000]}"
            f"{ms // 1000 % 60:02}.{ms % 1000:03}Z"
        )
        if is_newest:
            text = f"{event.id}|{time}|{kind.domain}|{kind.name}|{data}"
            self.survivors.add(version.day, kind, text)
        return (
            f'{{"event_id":"{event.id}","timestamp":"{time}","domain":"{kind.domain}",'
            f'"event_type":"{kind.name}","data":{data}}}\n'
        )
