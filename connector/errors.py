"""What can go wrong in the service itself, sorted by the exit status it ends with.

::

    ConnectorError
    ├── WrongUse         exit 2: wrong words or wrong input; nothing was done
    │   ├── Misconfigured    settings are missing or wrong; all of them are named
    │   ├── UnknownPortal    no portal of that name
    │   ├── SchemaBehind     the database has an older schema: run migrate
    │   └── UnsafePlan       a plan touches more cards than allowed without --force
    └── Interruption     exit 3: work is kept, the next call goes on from there
        ├── PortalPaused     the portal waits for a person
        ├── PortalBusy       another process works on the portal
        ├── LockLost         the connection that held the portal broke: another process may work on it now
        └── DatabaseAway     the database cannot be reached

CRM errors (`adapters.errors`) end with exit 3 as well. The text is one sentence an operator can act on.
"""


class ConnectorError(Exception):
    """Base of the service's own errors."""


class WrongUse(ConnectorError):
    """Wrong words or wrong input; nothing was done."""


class Misconfigured(WrongUse):
    """Settings are missing or wrong."""


class UnknownPortal(WrongUse):
    """No portal of that name."""


class SchemaBehind(WrongUse):
    """The database has an older schema than this version."""


class UnsafePlan(WrongUse):
    """The plan changes a larger share of the known cards than the portal allows."""


class Interruption(ConnectorError):
    """Work is kept; the next call goes on from there."""


class PortalPaused(Interruption):
    """The portal waits for a person."""


class PortalBusy(Interruption):
    """Another process works on the portal."""


class LockLost(Interruption):
    """The connection that held the portal broke; another process may work on it now."""


class DatabaseAway(Interruption):
    """The database cannot be reached."""
