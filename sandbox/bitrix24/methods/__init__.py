"""The methods of the API, a module for each family, and the one table of them all."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.bitrix24.calls import Method
from sandbox.bitrix24.methods import (
    activities,
    cards,
    directory,
    events,
    items,
    old_cards,
    people,
    placements,
    robots,
    sales,
    system,
    tasks,
    userfields,
)


def all_methods() -> Mapping[str, Method]:
    """Every method by its lower-case name."""
    families = (
        *items.METHODS,
        *old_cards.METHODS,
        *userfields.METHODS,
        *directory.METHODS,
        *people.METHODS,
        *activities.METHODS,
        *tasks.METHODS,
        *sales.METHODS,
        *cards.METHODS,
        *robots.METHODS,
        *placements.METHODS,
    )
    names = sorted(method.name for method in families)
    return {method.name: method for method in (*families, *events.METHODS, *system.methods(names))}
