"""What an account's administrators set: users, pipelines; and what a test sets, `Behaviour`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Owner:
    """A user as the owners API shows them. Records carry `id`, never `user_id`."""

    id: int
    user_id: int
    email: str
    first_name: str
    last_name: str
    team: tuple[int, str] | None
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a pipeline. Won is closed with probability 1."""

    id: str
    label: str
    probability: str
    closed: bool

    @property
    def won(self) -> bool:
        """Whether a deal here counts as won."""
        return self.closed and self.probability == "1.0"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A row of stages."""

    id: str
    label: str
    stages: tuple[Stage, ...]


@dataclass(slots=True)
class Behaviour:
    """Where HubSpot's documents leave open what happens: a test sets it, an adapter must survive both.

    `partial`: error categories that fail one input of batch/update and not the whole batch. `retry_after`: whether
    a 429 carries the header. `no_links_is_error`: batch reads of links answer 207 for records without any.
    `association_page` and `list_association_cap`: links per record and answer. `moving_s`: the account is being
    moved to another data centre, 477 with that many seconds.
    """

    partial: frozenset[str] = frozenset({"OBJECT_NOT_FOUND"})
    retry_after: bool = False
    no_links_is_error: bool = False
    association_page: int = 500
    list_association_cap: int = 100
    index_lag_s: float = 0.0
    moving_s: int | None = None
