"""Links between records, kept from both sides. Numbers and pairs are in `kinds`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sandbox.hubspot.kinds import COMPANY, DEFAULT_LINK, LINK_BY_ID, Kind, LinkType

_NONE: Mapping[int, tuple[int, ...]] = {}


class Links:
    """For each pair of types: from id → to id → the numbers of the links between the two, ascending."""

    def __init__(self) -> None:
        self._of: defaultdict[tuple[Kind, Kind], dict[int, dict[int, tuple[int, ...]]]] = defaultdict(dict)

    def of(self, source: Kind, record_id: int, target: Kind) -> Mapping[int, tuple[int, ...]]:
        """What a record is linked to: id → numbers. Look, do not touch."""
        return self._of[source, target].get(record_id, _NONE)

    def has(self, source: Kind, record_id: int, target: Kind, type_id: int) -> int | None:
        """The first record linked with exactly this number."""
        for other, types in self.of(source, record_id, target).items():
            if type_id in types:
                return other
        return None

    def add(self, link: LinkType, source_id: int, target_id: int) -> None:
        """Link two records from both sides. A new primary company takes the place of the old one."""
        if link.label == "Primary":
            self._drop_primary(*((link, source_id) if link.target is COMPANY else (LINK_BY_ID[link.back], target_id)))
        for one in (DEFAULT_LINK[link.source, link.target], *([link] if link.label else [])):
            self._put(one.source, source_id, one.target, target_id, one.type_id)
            self._put(one.target, target_id, one.source, source_id, one.back)

    def remove(self, source: Kind, source_id: int, target: Kind, target_id: int) -> None:
        """All links between two records."""
        self._of[source, target].get(source_id, {}).pop(target_id, None)
        self._of[target, source].get(target_id, {}).pop(source_id, None)

    def remove_label(self, link: LinkType, source_id: int, target_id: int) -> None:
        """One label; the plain link takes all others with it."""
        if link.label is None:
            self.remove(link.source, source_id, link.target, target_id)
        else:
            self._take(link.source, source_id, link.target, target_id, link.type_id)
            self._take(link.target, target_id, link.source, source_id, link.back)

    def forget(self, kind: Kind, record_id: int) -> None:
        """Every link of an erased record."""
        for source, target in list(self._of):
            if source is kind:
                for other in list(self.of(kind, record_id, target)):
                    self.remove(kind, record_id, target, other)

    def move(self, kind: Kind, loser: int, winner: int) -> None:
        """After a merge the winner has the loser's links; its own primary stays."""
        for source, target in list(self._of):
            if source is not kind:
                continue
            for other, types in list(self.of(kind, loser, target).items()):
                self.remove(kind, loser, target, other)
                for type_id in types:
                    link = LINK_BY_ID[type_id]
                    if link.label is None or self.has(kind, winner, target, type_id) is None:
                        self.add(link, winner, other)

    def _drop_primary(self, link: LinkType, source_id: int) -> None:
        """A record has one primary company; a company is that of many records."""
        old = self.has(link.source, source_id, link.target, link.type_id)
        if old is not None:
            self.remove_label(link, source_id, old)

    def _put(self, source: Kind, source_id: int, target: Kind, target_id: int, type_id: int) -> None:
        linked = self._of[source, target].setdefault(source_id, {})
        types = linked.get(target_id, ())
        if type_id not in types:
            linked[target_id] = _SETS.setdefault(key := tuple(sorted((*types, type_id))), key)

    def _take(self, source: Kind, source_id: int, target: Kind, target_id: int, type_id: int) -> None:
        linked = self._of[source, target].get(source_id, {})
        if target_id in linked:
            linked[target_id] = tuple(number for number in linked[target_id] if number != type_id)


_SETS: dict[tuple[int, ...], tuple[int, ...]] = {}  # the few combinations that exist, shared
