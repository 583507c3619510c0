"""A strict emulator of Bitrix24's REST API (version 2) behind an inbound webhook.

Written from the vendor's documents (`bitrix24/b24restdocs`). Two limits, under these names: `bucket` (50 requests,
2 leak out a second, a batch is one) and `operating` (480 simulated seconds of work for each method in 600).
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.bitrix24.methods import all_methods
from sandbox.bitrix24.portal import Portal
from sandbox.bitrix24.seed import new_state
from sandbox.bitrix24.service import Costs, Service
from sandbox.clock import Clock, RealClock
from sandbox.faults import Faults
from sandbox.limits import LeakyBucket, Limits, OperatingTime
from sandbox.shop import Shop

__all__ = ["SCOPES", "Costs", "Portal", "create_portal", "documented_limits"]

SCOPES = ("crm", "task", "user", "department", "sale", "bizproc", "placement")


def documented_limits() -> Limits:
    """The vendor's limits for plans below Enterprise."""
    return Limits(bucket=LeakyBucket(50, 2.0), operating=OperatingTime(480.0, 600.0))


def create_portal(
    shop: Shop,
    *,
    clock: Clock | None = None,
    limits: bool | Limits = True,
    faults: Faults | None = None,
    token: str = "sandbox-bitrix24-token",  # noqa: S107 - no secret: the sandbox's own
    costs: Costs | None = None,
    scopes: Iterable[str] = SCOPES,
) -> Portal:
    """A portal with the shop inside. `token` is the webhook's secret; `costs` are seconds of work per command."""
    own_clock = clock or RealClock()
    rules = limits if isinstance(limits, Limits) else documented_limits() if limits else Limits.off()
    return Portal(
        Service(
            state=new_state(shop, own_clock.now(), set(scopes)),
            methods=all_methods(),
            secret=token,
            clock=own_clock,
            limits=rules,
            faults=faults or Faults.none(),
            costs=costs or Costs(),
        )
    )
