"""The state of one emulated HubSpot account, and the rules of writing that hold whoever writes.

No HTTP here: the `…_api` modules call this for apps, `portal.HubSpotPortal` for people and tests. Source:
developers.hubspot.com, guides of contacts, companies, deals, line items, tasks and owners, November 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sandbox.clock import Clock
from sandbox.hubspot import values
from sandbox.hubspot.builtin import builtin
from sandbox.hubspot.definitions import Definitions, choices
from sandbox.hubspot.errors import Refused, ValueProblem, invalid, invalid_values, not_found
from sandbox.hubspot.index import Index, SearchMemory
from sandbox.hubspot.kinds import (
    ACTIVITIES,
    BY_NAME,
    COMPANY,
    CONTACT,
    DEAL,
    LINE_ITEM,
    ORDER,
    PRIMARY_LINK,
    PRODUCT,
    TASK,
    Kind,
    LinkType,
)
from sandbox.hubspot.letters import Letters
from sandbox.hubspot.links import Links
from sandbox.hubspot.records import Author, Record, Records, number_of
from sandbox.hubspot.settings import Behaviour, Owner, Pipeline, Stage

REQUIRED: Mapping[Kind, tuple[str, ...]] = {
    DEAL: ("dealname", "dealstage"),
    TASK: ("hs_timestamp",),
    ORDER: ("hs_order_name",),
    PRODUCT: ("name",),
    LINE_ITEM: (),
    CONTACT: (),
    COMPANY: (),
    **dict.fromkeys(ACTIVITIES, ("hs_timestamp",)),
}
UNKNOWN = Author("CRM_UI", "userId:7001")
Reading = Callable[["Account", Record], str | None]


@dataclass(slots=True)
class Account:
    """Everything an account holds."""

    clock: Clock
    portal_id: int
    app_id: int
    timezone: str
    currency: str
    rates: Mapping[str, Decimal | None]
    deal_pipelines: tuple[Pipeline, ...]
    order_pipelines: tuple[Pipeline, ...]
    owners: dict[int, Owner]
    kinds: tuple[Kind, ...]
    behaviour: Behaviour = field(default_factory=Behaviour)
    links: Links = field(default_factory=Links)
    memory: SearchMemory = field(default_factory=SearchMemory)
    guarded: dict[tuple[Kind, int], str] = field(default_factory=dict)
    letters: Letters | None = None
    version: int = 0
    created_ms: int = 0
    definitions: dict[Kind, Definitions] = field(init=False)
    records: dict[Kind, Records] = field(init=False)
    indexes: dict[Kind, Index] = field(init=False)
    stages: dict[str, Stage] = field(init=False)

    def __post_init__(self) -> None:
        """Empty tables, HubSpot's own properties."""
        self.definitions = {kind: Definitions(kind, builtin(kind)) for kind in self.kinds}
        self.records = {kind: Records(kind) for kind in self.kinds}
        self.indexes = {kind: Index(self.records[kind]) for kind in self.kinds}
        self.stages = {
            stage.id: stage for line in (*self.deal_pipelines, *self.order_pipelines) for stage in line.stages
        }
        enabled = [(code, code) for code in (self.currency, *(c for c, rate in self.rates.items() if rate))]
        for kind, name in ((DEAL, "deal_currency_code"), (ORDER, "hs_currency_code")):
            self._set_choices(kind, name, enabled)
        self._set_choices(LINE_ITEM, "hs_line_item_currency_code", enabled)
        for kind, pipeline, stage, lines in (
            (DEAL, "pipeline", "dealstage", self.deal_pipelines),
            (ORDER, "hs_pipeline", "hs_pipeline_stage", self.order_pipelines),
        ):
            self._set_choices(kind, pipeline, [(line.id, line.label) for line in lines])
            self._set_choices(kind, stage, [(s.id, f"{s.label} ({line.label})") for line in lines for s in line.stages])

    def _set_choices(self, kind: Kind, name: str, pairs: list[tuple[str, str]]) -> None:
        if kind in self.definitions:
            self.definitions[kind].live[name].options = choices(pairs)

    def now_ms(self) -> int:
        """The moment, in epoch ms."""
        return values.to_ms(self.clock.now())

    def kind(self, name: str) -> Kind:
        """An object type by any of its names; raises 400."""
        kind = BY_NAME.get(name)
        if kind is None or kind not in self.records:
            raise invalid(f"Unable to infer object type from: {name}")
        return kind

    def find(self, kind: Kind, record_id: str | int) -> Record:
        """A live record, a merged id leading to its winner; raises 404."""
        record = self.records[kind].resolved(record_id)
        if record is None:
            raise not_found(f"{kind.singular} {record_id}", str(record_id))
        return record

    # --- reading -------------------------------------------------------------------------------------------

    def reading(self, kind: Kind, name: str) -> Reading | None:
        """How to read a property, None when the type has no such property."""
        if name not in self.definitions[kind].live:
            return None
        computed = COMPUTED.get((kind, name)) or COMPUTED.get((None, name))
        if computed is not None:
            return computed
        return lambda _account, record: record.values.get(name)

    def rate(self, currency: str | None) -> Decimal | None:
        """What one unit is worth in the account's currency."""
        return Decimal(1) if currency in {None, "", self.currency} else self.rates.get(currency or "")

    def is_won(self, record: Record) -> bool:
        """Whether a deal stands in a won stage."""
        stage = self.stages.get(record.values.get("dealstage", ""))
        return stage is not None and stage.won

    # --- writing -------------------------------------------------------------------------------------------

    def checked(self, kind: Kind, record: Record | None, given: Mapping[str, str]) -> dict[str, str]:
        """The values to keep for what an app wrote; raises 400, 409. None is a record yet to be created."""
        if record is not None and (kind, record.id) in self.guarded:
            code = self.guarded[kind, record.id]
            raise invalid("A rule of this account requires another property first", code, ids=str(record.id))
        accepted: dict[str, str] = {}
        problems: list[ValueProblem] = []
        for name, text in given.items():
            try:
                accepted[name] = self._accept(kind, record, name, text)
            except values.BadValueError as bad:
                problems.append(ValueProblem(name, bad.code, bad.message))
        problems += self._stage_problems(kind, record, accepted)
        if problems:
            raise invalid_values(problems, self.portal_id)
        self._check_unique(kind, record, accepted)
        return accepted

    def _accept(self, kind: Kind, record: Record | None, name: str, text: str) -> str:
        definition = self.definitions[kind].live.get(name)
        if definition is None:
            raise values.BadValueError("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
        if definition.owner and text:
            return self._accept_owner(text)
        return definition.accept(text, "" if record is None else record.values.get(name, ""))

    def _accept_owner(self, text: str) -> str:
        owner = self.owners.get(number_of(text))
        if owner is None or owner.archived:
            raise values.BadValueError("INVALID_OWNER_ID", f"Owner {text} does not exist or is not active")
        return text

    def _stage_problems(self, kind: Kind, record: Record | None, accepted: Mapping[str, str]) -> list[ValueProblem]:
        if kind is not DEAL or not {"dealstage", "pipeline"} & set(accepted):
            return []
        known = {} if record is None else record.values
        pipeline = accepted.get("pipeline") or known.get("pipeline") or self.deal_pipelines[0].id
        stage = accepted.get("dealstage", known.get("dealstage", ""))
        stages = {s.id for line in self.deal_pipelines if line.id == pipeline for s in line.stages}
        if not stage or stage in stages:
            return []
        return [ValueProblem("dealstage", "INVALID_OPTION", f"{stage} is not a stage of pipeline {pipeline}")]

    def _check_unique(self, kind: Kind, record: Record | None, accepted: Mapping[str, str]) -> None:
        records = self.records[kind]
        for name, value in accepted.items():
            holder = records.holder(name, value) if value else None
            if holder is not None and (record is None or record.id != holder):
                raise Refused(409, "CONFLICT", f"{kind.singular.title()} already exists. Existing ID: {holder}")

    def check_required(self, kind: Kind, accepted: Mapping[str, str]) -> None:
        """What a new record must have; raises 400."""
        missing = [name for name in REQUIRED[kind] if not accepted.get(name)]
        if kind is COMPANY and not (accepted.get("name") or accepted.get("domain")):
            missing = ["name"]
        if missing:
            raise Refused(
                400,
                "VALIDATION_ERROR",
                f"Error creating {kind.singular.upper()}. Some required properties were not set.",
                context={"properties": missing},
                details=[
                    {"message": "required", "code": "MISSING_REQUIRED_PROPERTY", "context": {"propertyName": [name]}}
                    for name in missing
                ],
            )

    def create(self, kind: Kind, accepted: Mapping[str, str], author: Author) -> Record:
        """A new record with values that `checked` and `check_required` let through."""
        now_ms = self.now_ms()
        record = Record(self.records[kind].next_id(), {}, now_ms, now_ms)
        self._before(kind, record.id)
        self.records[kind].add(record)
        start = {"pipeline": self.deal_pipelines[0].id} if kind is DEAL else {}
        self._write(kind, record, {**start, **accepted}, author)
        self._tell("creation", kind, record.id, author)
        self._tell_properties(kind, record, {**start, **accepted}, author)
        return record

    def update(self, kind: Kind, record: Record, accepted: Mapping[str, str], author: Author) -> None:
        """Write values that `checked` let through. Always counts as a modification."""
        self._before(kind, record.id)
        changed = {name: text for name, text in accepted.items() if record.values.get(name, "") != text}
        self._write(kind, record, accepted, author)
        self._tell_properties(kind, record, changed, author)

    def archive(self, kind: Kind, record: Record, author: Author = UNKNOWN) -> None:
        """Into the recycling bin; search forgets it at once."""
        self.version += 1
        self.records[kind].archive(record, self.now_ms())
        self._tell("deletion", kind, record.id, author)

    def live_links(self, kind: Kind, record_id: int, target: Kind) -> dict[int, tuple[int, ...]]:
        """What a record is linked to, without what lies in the recycling bin; a restored one is linked as before."""
        linked, live = self.links.of(kind, record_id, target), self.records[target].live
        return {other: types for other, types in linked.items() if live(other) is not None}

    def restore(self, kind: Kind, record_id: int) -> Record:
        """Out of the recycling bin; raises 404."""
        record = self.records[kind].by_id.get(record_id)
        if record is None or record_id in self.records[kind].forward:
            raise not_found(kind.singular, str(record_id))
        self._before(kind, record_id)
        self.records[kind].restore(record, self.now_ms())
        self._after(kind, record)
        self._tell("restore", kind, record_id, UNKNOWN)
        return record

    def erase(self, kind: Kind, record: Record) -> None:
        """For good, links included."""
        self.version += 1
        self.links.forget(kind, record.id)
        self.records[kind].erase(record)
        if self.letters is not None:
            self.letters.tell_privacy(kind, record.id, UNKNOWN)

    def merge(self, kind: Kind, winner: Record, loser: Record, author: Author) -> None:
        """The winner keeps its values, takes the loser's where it has none, and all links."""
        taken = {name: value for name, value in loser.values.items() if name not in winner.values}
        self.records[kind].archive(loser, self.now_ms())
        self.records[kind].forward[loser.id] = winner.id
        winner.merged = (*winner.merged, *loser.merged, loser.id)
        self.links.move(kind, loser.id, winner.id)
        self.update(kind, winner, taken, author)
        facts = {"primaryObjectId": winner.id, "mergedObjectIds": [loser.id], "newObjectId": winner.id}
        self._tell("merge", kind, winner.id, author, **facts)

    def link(self, link: LinkType, source_id: int, target_id: int, author: Author) -> None:
        """Link two records, and tell."""
        self.links.add(link, source_id, target_id)
        word = f"{link.source.singular}_TO_{link.target.singular}".upper()
        ends = {"fromObjectTypeId": link.source.type_id, "fromObjectId": source_id}
        ends |= {"toObjectTypeId": link.target.type_id, "toObjectId": target_id}
        self._tell("associationChange", link.source, source_id, author, associationType=word, **ends)

    def _tell(self, what: str, kind: Kind, record_id: int, author: Author, **more: Any) -> None:
        if self.letters is not None:
            self.letters.tell(what, kind, record_id, author, **more)

    def _tell_properties(self, kind: Kind, record: Record, written: Mapping[str, str], author: Author) -> None:
        for name, text in written.items():
            self._tell("propertyChange", kind, record.id, author, propertyName=name, propertyValue=text)

    def touch(self) -> None:
        """Links or settings changed: search must not answer from memory."""
        self.version += 1

    def _before(self, kind: Kind, record_id: int) -> None:
        self.version += 1
        if self.behaviour.index_lag_s:
            seen_from = self.clock.monotonic() + self.behaviour.index_lag_s
            self.indexes[kind].before_write(record_id, seen_from)

    def _write(self, kind: Kind, record: Record, accepted: Mapping[str, str], author: Author) -> None:
        self.records[kind].write(record, accepted, author, max(self.now_ms(), record.updated_ms))
        self._after(kind, record)

    def _after(self, kind: Kind, record: Record) -> None:
        if not self.behaviour.index_lag_s:
            self.indexes[kind].after_write(record)


# --- calculated properties ---------------------------------------------------------------------------------


def _flag(value: bool) -> str:  # noqa: FBT001 - a yes or no is what it turns into text
    return "true" if value else "false"


def _closed(account: Account, record: Record) -> bool:
    stage = account.stages.get(record.values.get("dealstage", ""))
    return stage is not None and stage.closed


def _home_amount(account: Account, record: Record, name: str, currency: str) -> str | None:
    amount, rate = record.values.get(name), account.rate(record.values.get(currency))
    if amount is None or rate is None:
        return None
    return values.plain((Decimal(amount) * rate).quantize(Decimal("0.000001"), ROUND_HALF_UP))


def _deal_home(account: Account, record: Record) -> str | None:
    return _home_amount(account, record, "amount", "deal_currency_code")


def _when_won(reading: Reading, otherwise: str | None) -> Reading:
    return lambda account, record: reading(account, record) if account.is_won(record) else otherwise


def _primary_company(kind: Kind) -> Reading:
    link = PRIMARY_LINK[kind, COMPANY]

    def read(account: Account, record: Record) -> str | None:
        found = account.links.has(kind, record.id, COMPANY, link.type_id)
        return None if found is None else str(found)

    return read


def _completed_at(_account: Account, record: Record) -> str | None:
    if record.values.get("hs_task_status") != "COMPLETED":
        return None
    return values.iso(record.versions("hs_task_status")[0].at_ms)


COMPUTED: Mapping[tuple[Kind | None, str], Reading] = {
    (None, "hs_object_id"): lambda _, record: str(record.id),
    (None, "createdate"): lambda _, record: values.iso(record.created_ms),
    (None, "hs_createdate"): lambda _, record: values.iso(record.created_ms),
    (None, "lastmodifieddate"): lambda _, record: values.iso(record.updated_ms),
    (None, "hs_lastmodifieddate"): lambda _, record: values.iso(record.updated_ms),
    (None, "hs_merged_object_ids"): lambda _, record: ";".join(map(str, record.merged)) or None,
    (CONTACT, "associatedcompanyid"): _primary_company(CONTACT),
    (DEAL, "hs_primary_associated_company"): _primary_company(DEAL),
    (DEAL, "hs_is_closed"): lambda account, record: _flag(_closed(account, record)),
    (DEAL, "hs_is_closed_won"): lambda account, record: _flag(account.is_won(record)),
    (DEAL, "hs_is_closed_lost"): lambda account, record: _flag(_closed(account, record) and not account.is_won(record)),
    (DEAL, "hs_closed_won_date"): _when_won(lambda _, record: record.values.get("closedate"), None),
    (DEAL, "amount_in_home_currency"): _deal_home,
    (DEAL, "hs_closed_amount"): _when_won(lambda _, record: record.values.get("amount"), "0"),
    (DEAL, "hs_closed_amount_in_home_currency"): _when_won(_deal_home, "0"),
    (ORDER, "hs_homecurrency_amount"): lambda account, record: _home_amount(
        account, record, "hs_total_price", "hs_currency_code"
    ),
    (TASK, "hs_task_completion_date"): _completed_at,
}
