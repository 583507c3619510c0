"""The tables.

Every primary key begins with the portal, so that isolation is visible, a portal can be erased by one column, and
the tables can be distributed by it.

No foreign keys: pages of one portal arrive from several readers at once and in any order (an order may mention
a contact not read yet), and erasing is by portal. Times are `timestamptz`, money is exact `numeric`.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

UNIT_PLACES = 6
"""Decimal places of `orders.units`: converted amounts are exact to a millionth of the base currency."""


class Base(DeclarativeBase):
    """Registry of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it off the class
        str: Text,
        datetime: DateTime(timezone=True),
        date: Date,
        Decimal: Numeric,
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
        bytes: LargeBinary,
        bool: Boolean,
    }


class Portal(Base):
    """One installed CRM account.

    `access` is encrypted (base URL and token). `fields` is the `FieldMap` of its cards. `settings` overrides the
    defaults of CONTRACT sections 2 and 8. `method` is the label of the version in force, such as `sales5@1`.
    `next_number` is the next dense customer number. `hook` is encrypted: what proves webhooks of the portal (amoCRM's
    secret in the path, Bitrix24's application token); `hook_fingerprint` finds the portal by amoCRM's secret.
    """

    __tablename__ = "portals"
    __table_args__ = (
        UniqueConstraint("name"),
        UniqueConstraint("crm", "account_id"),
        UniqueConstraint("hook_fingerprint"),
    )

    portal_id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    crm: Mapped[str]
    name: Mapped[str]
    account_id: Mapped[str]
    host: Mapped[str]
    web_url: Mapped[str] = mapped_column(server_default="")
    access: Mapped[bytes | None]
    state: Mapped[str] = mapped_column(server_default="active")
    state_reason: Mapped[str | None]
    time_zone: Mapped[str]
    currency: Mapped[str]
    language: Mapped[str]
    settings: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    rates: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    fields: Mapped[str | None]
    fields_checked_at: Mapped[datetime | None]
    method: Mapped[str | None]
    next_number: Mapped[int] = mapped_column(Integer, server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    info_at: Mapped[datetime | None]
    last_sync_at: Mapped[datetime | None]
    first_run_at: Mapped[datetime | None]
    hook: Mapped[bytes | None]
    hook_fingerprint: Mapped[str | None]


class CursorRow(Base):
    """How far each stream of a portal has been read; written in the transaction of the page it follows."""

    __tablename__ = "cursors"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    stream: Mapped[str] = mapped_column(primary_key=True)
    cursor: Mapped[str]
    moved_at: Mapped[datetime]


class BudgetRow(Base):
    """State of one lane of a portal's request budget (`adapters.budget`)."""

    __tablename__ = "budgets"
    __table_args__ = {"prefixes": ["UNLOGGED"]}  # noqa: RUF012 - a crash of the database may forget a few seconds

    portal_key: Mapped[str] = mapped_column(primary_key=True)
    lane: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[dict[str, Any]]


class ManagerRow(Base):
    """Staff."""

    __tablename__ = "managers"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    active: Mapped[bool]
    team_ids: Mapped[list[str]]


class TeamRow(Base):
    """Groups of staff."""

    __tablename__ = "teams"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    lead_id: Mapped[str | None]
    parent_id: Mapped[str | None]


class CustomerRow(Base):
    """Cards, without any personal detail. `number` is dense per portal.

    `seen` is false while only an order has mentioned the card. `recheck`: it vanished, and the orders that named it
    are to be read again. `card` holds our fields as the card held them when last read or written.
    """

    __tablename__ = "customers"
    __table_args__ = (
        UniqueConstraint("portal_id", "kind", "external_id"),
        Index("ix_customers_manager", "portal_id", "manager_id", "number"),
        Index("ix_customers_recheck", "portal_id", postgresql_where=text("recheck")),
    )

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str]
    external_id: Mapped[str]
    manager_id: Mapped[str | None]
    seen: Mapped[bool] = mapped_column(server_default=text("false"))
    gone: Mapped[bool] = mapped_column(server_default=text("false"))
    recheck: Mapped[bool] = mapped_column(server_default=text("false"))
    is_buyer: Mapped[bool] = mapped_column(server_default=text("true"))
    crm_updated_at: Mapped[datetime | None]
    card: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))


class OrderRow(Base):
    """Deals, order objects and imported orders in any state.

    `customer`, `day`, `units` and `weight` are derived (`mirror.DERIVE`): the customer's number, the day of `at` in
    the portal's time zone as days since 1970-01-01, the amount in the base currency in units of 10**-6, and what the
    row counts as. `customer` is null for rows that do not count, so the scoring index holds only those that do.
    """

    __tablename__ = "orders"
    __table_args__ = (
        Index(
            "ix_orders_scoring",
            "portal_id",
            "customer",
            "day",
            postgresql_include=["units", "weight", "at"],
            postgresql_where=text("customer IS NOT NULL"),
        ),
        Index("ix_orders_contact", "portal_id", "contact_id"),
        Index("ix_orders_company", "portal_id", "company_id"),
        Index(
            "ix_orders_uncounted",
            "portal_id",
            "status",
            postgresql_where=text("customer IS NULL AND NOT gone AND status <> 'lost'"),
        ),
    )

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    at: Mapped[datetime | None]
    amount: Mapped[Decimal | None]
    currency: Mapped[str | None]
    company_id: Mapped[str | None]
    contact_id: Mapped[str | None]
    manager_id: Mapped[str | None]
    pipeline_id: Mapped[str | None]
    stage_id: Mapped[str | None]
    deal_id: Mapped[str | None]
    created_at: Mapped[datetime | None]
    crm_updated_at: Mapped[datetime | None]
    gone: Mapped[bool] = mapped_column(server_default=text("false"))
    customer: Mapped[int | None] = mapped_column(Integer)
    day: Mapped[int | None] = mapped_column(Integer)
    units: Mapped[int] = mapped_column(BigInteger, server_default="0")
    weight: Mapped[int] = mapped_column(SmallInteger, server_default="0")


class OrderLineRow(Base):
    """Products of an order."""

    __tablename__ = "order_lines"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    product_id: Mapped[str | None]
    name: Mapped[str | None]
    quantity: Mapped[Decimal]
    price: Mapped[Decimal | None]
    discount: Mapped[Decimal | None]


class MethodRow(Base):
    """Method versions. `body` and `digest` never change; `state` goes draft → reviewed → published → retired.

    `notes` has the release notes by language. `origin` says where the draft came from, `reason` why it was made.
    """

    __tablename__ = "methods"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    body: Mapped[str]
    digest: Mapped[str]
    weak: Mapped[list[str]]
    state: Mapped[str] = mapped_column(server_default="published")
    author: Mapped[str | None]
    reviewer: Mapped[str | None]
    approver: Mapped[str | None]
    reason: Mapped[str | None]
    origin: Mapped[str | None]
    notes: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    drafted_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    reviewed_at: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    effective_from: Mapped[date | None]

    @property
    def label(self) -> str:
        """Such as sales5@1."""
        return f"{self.name}@{self.version}"


class ReleaseRow(Base):
    """A version let out: to `all`, to `managers` or `teams` (`ids`), or as a `shadow` beside the live one.

    `state` is `waiting` until the portal's day is `effective_from`, then `active`, then `over`. `replaced` is the
    version that was in force before a release to all.
    """

    __tablename__ = "releases"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    release_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    method: Mapped[str]
    scope: Mapped[str]
    ids: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    effective_from: Mapped[date]
    state: Mapped[str]
    replaced: Mapped[str | None]
    made_by: Mapped[str]
    made_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class RunRow(Base):
    """One run: scoring, its plan and what became of it. `counts` has the figures of `run --json`."""

    __tablename__ = "runs"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    as_of: Mapped[date]
    method: Mapped[str | None]
    state: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    counts: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))


class ScoreRow(Base):
    """The current score of each scored customer, as the last run computed it.

    `segment_on` is the day (since 1970-01-01) as of which it came into its segment. `held_segment` is the segment
    that the thresholds alone would give, where the method's rules of stability hold it back. `orders_sum` is a sum
    over all his orders on that day, 0 where the method has no such rules: another sum means that something happened.
    """

    __tablename__ = "scores"
    __table_args__ = (
        Index("ix_scores_segment", "portal_id", "segment", "customer"),
        {"postgresql_with": {"fillfactor": 60}},  # R changes daily: rows stay in their pages, indexes untouched
    )

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    customer: Mapped[int] = mapped_column(Integer, primary_key=True)
    r: Mapped[int] = mapped_column(Integer)
    f: Mapped[int] = mapped_column(Integer)
    m: Mapped[Decimal]
    code: Mapped[str]
    segment: Mapped[str]
    segment_previous: Mapped[str | None]
    method: Mapped[str]
    quality: Mapped[int] = mapped_column(SmallInteger)
    causes: Mapped[int] = mapped_column(Integer)
    churn_risk: Mapped[bool]
    upsell: Mapped[bool]
    changed_at: Mapped[datetime]
    run_id: Mapped[str]
    orders_total: Mapped[int] = mapped_column(Integer)
    last_day: Mapped[int] = mapped_column(Integer)
    segment_on: Mapped[int] = mapped_column(Integer, server_default="0")
    held_segment: Mapped[str | None]
    orders_sum: Mapped[int] = mapped_column(BigInteger, server_default="0")


class ShadowScoreRow(Base):
    """What a version released as a shadow would give each customer; never written to a card."""

    __tablename__ = "shadow_scores"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    customer: Mapped[int] = mapped_column(Integer, primary_key=True)
    method: Mapped[str]
    code: Mapped[str]
    segment: Mapped[str]
    churn_risk: Mapped[bool]
    upsell: Mapped[bool]
    day: Mapped[int] = mapped_column(Integer)


class HistoryRow(Base):
    """A customer's score from a day on (days since 1970-01-01), until the next row; one row for a change, not a day.

    R is the shown day less `last_day`. `segment` is null from the day on which the customer has no score any more.
    """

    __tablename__ = "score_history"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    customer: Mapped[int] = mapped_column(Integer, primary_key=True)
    day: Mapped[int] = mapped_column(Integer, primary_key=True)
    last_day: Mapped[int] = mapped_column(Integer)
    f: Mapped[int] = mapped_column(Integer)
    m: Mapped[Decimal]
    code: Mapped[str]
    segment: Mapped[str | None]
    method: Mapped[str]
    churn_risk: Mapped[bool]
    upsell: Mapped[bool]


class MoveRow(Base):
    """A customer left one segment for another, or its upsell window opened or closed, in a run.

    `cause` says why a segment changed, see `connector.store.move_causes`.
    """

    __tablename__ = "moves"
    __table_args__ = (Index("ix_moves_run", "portal_id", "run_id"),)

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    customer: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    as_of: Mapped[date]
    was: Mapped[str]
    now: Mapped[str]
    method: Mapped[str]
    handled: Mapped[bool] = mapped_column(server_default=text("false"))
    cause: Mapped[str | None]


class ChangeRow(Base):
    """One card of a run's plan: what to put there, what stood there before, and its final word."""

    __tablename__ = "changes"
    __table_args__ = (
        Index("ix_changes_open", "portal_id", "state", postgresql_where=text("state = 'planned'")),
        Index("ix_changes_settled", "portal_id", "settled_at"),
    )

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[str] = mapped_column(primary_key=True)
    customer: Mapped[int] = mapped_column(Integer, primary_key=True)
    values: Mapped[dict[str, Any]]
    before: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(server_default="planned")
    field: Mapped[str | None]
    reason: Mapped[str | None]
    written_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]


class CardEventRow(Base):
    """Somebody else's hand on one of our fields."""

    __tablename__ = "card_events"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    event_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    customer: Mapped[int] = mapped_column(Integer)
    field: Mapped[str]
    expected: Mapped[Any] = mapped_column(JSONB(none_as_null=False), nullable=True)
    found: Mapped[Any] = mapped_column(JSONB(none_as_null=False), nullable=True)
    seen_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class TaskRow(Base):
    """Tasks, one per customer, rule and event. `key` is also in the CRM's task, where a lost one is found again."""

    __tablename__ = "tasks"
    __table_args__ = (
        UniqueConstraint("portal_id", "customer", "rule", "event_key"),
        Index("ix_tasks_open", "portal_id", "state", postgresql_where=text("state IN ('planned', 'sending')")),
        Index("ix_tasks_raised", "portal_id", "raised_on"),
    )

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    customer: Mapped[int] = mapped_column(Integer)
    rule: Mapped[str]
    event_key: Mapped[str]
    run_id: Mapped[str]
    manager_id: Mapped[str | None]
    title: Mapped[str]
    body: Mapped[str]
    priority: Mapped[str]
    due_at: Mapped[datetime]
    raised_on: Mapped[date]
    state: Mapped[str] = mapped_column(server_default="planned")
    external_id: Mapped[str | None]
    reason: Mapped[str | None]
    settled_at: Mapped[datetime | None]


class AuditRow(Base):
    """Who did what to settings, methods and cards."""

    __tablename__ = "audit"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    entry_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    actor: Mapped[str]
    action: Mapped[str]
    detail: Mapped[dict[str, Any]]


class InboxRow(Base):
    """A record that a webhook spoke of and that has not been looked at since; `times` counts the events.

    `not_before` and `reason`: it could not be read and is set aside until then. `erase`: what is kept of it shall go.
    """

    __tablename__ = "inbox"
    __table_args__ = (Index("ix_inbox_first_at", "portal_id", "first_at"),)

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    resource: Mapped[str] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    is_deletion: Mapped[bool]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    times: Mapped[int] = mapped_column(Integer)
    not_before: Mapped[datetime | None]
    reason: Mapped[str | None]
    erase: Mapped[bool] = mapped_column(server_default=text("false"))


class ArrivalRow(Base):
    """A delivery for one portal as it was accepted: `count` words `resource:id:more`, with a space in between.

    `more` has `d` for a deletion and `e` for what shall be erased. Rows are only added, and taken out by a drain.
    """

    __tablename__ = "arrivals"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    arrival_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    arrived_at: Mapped[datetime]
    records: Mapped[str]
    count: Mapped[int] = mapped_column(Integer)


class WorkRow(Base):
    """One kind of background work of a portal, or, as portal 0, of the service itself.

    `due_at` is the next moment of its schedule. `asked_at` says since when work is wanted, and is empty when none is;
    `progressed_at` is when some of it was last done, `done_at` when all of it was. `stage` is where it stands between
    two chunks. `failures` in a row, with the last `error`, decide when it is tried again and when it is given up.
    """

    __tablename__ = "work"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    job: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime | None]
    asked_at: Mapped[datetime | None]
    progressed_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    stage: Mapped[str | None]
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    failed_at: Mapped[datetime | None]
    error: Mapped[str | None]


class AlertRow(Base):
    """Something is not as it should be, or was: one row per portal, kind and subject, changed when its state changes.

    `since` is when it took its present state, `last_at` when it was last looked at, `told` the state told last.
    """

    __tablename__ = "alerts"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    about: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    since: Mapped[datetime]
    last_at: Mapped[datetime]
    detail: Mapped[dict[str, Any]]
    told: Mapped[str] = mapped_column(server_default="closed")


class NoticeRow(Base):
    """What is to be told of alerts whose state changed together, through one channel; an outbox.

    `state` is `waiting`, `sent` or `failed`. A notice is never changed, so that sending it again says the same.
    """

    __tablename__ = "alert_notices"
    __table_args__ = (Index("ix_alert_notices_waiting", "due_at", postgresql_where=text("state = 'waiting'")),)

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    notice_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    channel: Mapped[str]
    changes: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(server_default="waiting")
    made_at: Mapped[datetime]
    due_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(Integer, server_default="0")
    settled_at: Mapped[datetime | None]
    reason: Mapped[str | None]


class FactRow(Base):
    """A sum of what a run did to the cards: how many records of a kind, about what, and why (`store.delivery`)."""

    __tablename__ = "delivery_facts"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    about: Mapped[str] = mapped_column(primary_key=True)
    why: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date]
    count: Mapped[int] = mapped_column(BigInteger)


class LetterRow(Base):
    """A card that the CRM refused, or that we did not send, and that has not been written since.

    `times` counts the runs that tried, `run_id` is the last of them.
    """

    __tablename__ = "dead_letters"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    customer: Mapped[int] = mapped_column(Integer, primary_key=True)
    state: Mapped[str]
    field: Mapped[str | None]
    reason: Mapped[str | None]
    run_id: Mapped[str]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    times: Mapped[int] = mapped_column(Integer)


class RequestRow(Base):
    """How many requests a portal was sent in an hour, by operation and kind of answer. No payload, no record's id.

    `status` is `2xx`, `3xx`, `4xx`, `429`, `5xx`, or `none` where no answer came; `ms` is their time together.
    """

    __tablename__ = "request_log"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    operation: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    ms: Mapped[int] = mapped_column(BigInteger)


class InstallCodeRow(Base):
    """An installation told to us without a browser, of which we do not know yet what portal it is.

    `sealed` has the code and the account's host, and after the exchange the grant; `portal_key` is the CRM and the
    fingerprint of the code.
    """

    __tablename__ = "install_codes"

    portal_key: Mapped[str] = mapped_column(primary_key=True)
    crm: Mapped[str]
    sealed: Mapped[bytes]
    received_at: Mapped[datetime]
    not_before: Mapped[datetime]


class CallRow(Base):
    """A robot's or a workflow action's call on one record; kept for a while, so that it is not done twice.

    `call_key` is the fingerprint of the CRM's own token of the call, `sealed` that token while somebody waits for our
    answer. `resource` and `external_id` are the card or deal it runs on; `outcome` is how the answer was taken.
    """

    __tablename__ = "calls"
    __table_args__ = (Index("ix_calls_open", "portal_id", "asked_at", postgresql_where=text("answered_at IS NULL")),)

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    call_key: Mapped[str] = mapped_column(primary_key=True)
    action: Mapped[str]
    resource: Mapped[str]
    external_id: Mapped[str]
    sealed: Mapped[bytes | None]
    asked_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    outcome: Mapped[str | None]


class SpentTokenRow(Base):
    """A one-time token of a widget's call that was used; needless once the token has ended."""

    __tablename__ = "spent_tokens"

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    token_key: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime]


class ApiTokenRow(Base):
    """A token of scripts, for one portal or, as portal 0, for all. `digest` is the SHA-256 of the token.

    `token_id` is the part of the token that finds it, and what people call it by; it opens nothing.
    """

    __tablename__ = "api_tokens"
    __table_args__ = (UniqueConstraint("token_id"),)

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    token_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    digest: Mapped[bytes]
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class OccasionRow(Base):
    """One customer, one rule, one event: open from its first task to its end. Its facts are `OccasionEventRow`s.

    `key` is its first task's. `playbook` and `policy` are the versions it began under. `task_key` is the step under
    way; `manager_id`, `due_at` and `task_state` (`open`, `done`, `gone`) are that task's as the CRM held it last.
    `look_at` is when something about it may change by itself: null for an ended one and where only a person can.
    `stop` and `result` say how it ended, `reason` what a person gave as his.
    """

    __tablename__ = "occasions"
    __table_args__ = (
        Index("ix_occasions_open", "portal_id", "customer", postgresql_where=text("ended_at IS NULL")),
        Index("ix_occasions_look", "portal_id", "look_at", postgresql_where=text("ended_at IS NULL")),
        Index("ix_occasions_started", "portal_id", "started_at"),
    )

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    customer: Mapped[int] = mapped_column(Integer)
    rule: Mapped[str]
    event_key: Mapped[str]
    work_class: Mapped[str]
    big: Mapped[bool]
    quality: Mapped[int] = mapped_column(SmallInteger)
    playbook: Mapped[str]
    policy: Mapped[str]
    priority: Mapped[str]
    manager_id: Mapped[str | None]
    task_key: Mapped[str]
    due_at: Mapped[datetime]
    task_state: Mapped[str] = mapped_column(server_default="open")
    started_at: Mapped[datetime]
    look_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    stop: Mapped[str | None]
    result: Mapped[str | None]
    reason: Mapped[str | None]


class OccasionEventRow(Base):
    """A line of an occasion's log; only ever added. `source` names the fact, so that none is put down twice.

    `number` counts the lines of an occasion. `body` is the rest of the event, see `connector.sla.logbook`.
    """

    __tablename__ = "occasion_events"
    __table_args__ = (UniqueConstraint("portal_id", "occasion", "source"),)

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    occasion: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    customer: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime]
    kind: Mapped[str]
    source: Mapped[str]
    body: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))


class SlaNoticeRow(Base):
    """Somebody was told of a deadline: one for each clock, window and tier. `key` is also that of the task that tells.

    A digest has no occasion and no customer.
    """

    __tablename__ = "sla_notices"
    __table_args__ = (Index("ix_sla_notices_made", "portal_id", "made_at"),)

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    tier: Mapped[str]
    recipient: Mapped[str]
    rule: Mapped[str]
    occasion: Mapped[str | None]
    customer: Mapped[int | None] = mapped_column(Integer)
    made_at: Mapped[datetime]
    until: Mapped[datetime | None]


class TaskChangeRow(Base):
    """What one of our tasks has to become in the CRM, or a note for a card: decided here, sent once, settled.

    `what` is `change` (absolute values in `body`, so that repeating is harmless) or `note` (looked for before it is
    made). `state` is `planned`, `sent` or `refused`.
    """

    __tablename__ = "task_changes"
    __table_args__ = (
        Index("ix_task_changes_planned", "portal_id", "change_id", postgresql_where=text("state = 'planned'")),
        UniqueConstraint("portal_id", "source"),
    )

    portal_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    change_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    source: Mapped[str]
    task_key: Mapped[str]
    customer: Mapped[int] = mapped_column(Integer)
    what: Mapped[str]
    body: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(server_default="planned")
    made_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    external_id: Mapped[str | None]
    reason: Mapped[str | None]
