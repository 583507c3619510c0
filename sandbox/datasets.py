"""Reading the packed data sets of `sandbox/data`, and moving their days to now. No shop's rules."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo

Row = Mapping[str, str]


def read_rows(data_set: str, name: str) -> list[Row]:
    """All rows of `sandbox/data/<data_set>/<name>.csv.gz`, values as text."""
    packed = (files("sandbox") / "data" / data_set / f"{name}.csv.gz").read_bytes()
    return list(csv.DictReader(gzip.decompress(packed).decode("utf-8").splitlines()))


@dataclass(frozen=True, slots=True)
class Calendar:
    """Turns days of a data set that ends on `last` into days of a shop that sold its last on the eve of `today`."""

    last: date
    today: date
    zone: ZoneInfo

    def at(self, day: date, minutes: int) -> datetime:
        """The moment so many minutes after the day's midnight in the shop's zone, in UTC."""
        moved = day + (self.today - timedelta(days=1) - self.last)
        return (datetime.combine(moved, time(), self.zone) + timedelta(minutes=minutes)).astimezone(UTC)
