"""What can go wrong when talking to a CRM, sorted by what the caller has to do about it.

::

    CRMError
    ├── Transient            the same call may succeed later; nothing is wrong with it
    │   ├── RateLimited      the CRM told us to slow down; the call was certainly not carried out
    │   ├── Unavailable      5xx, maintenance, portal moving; a write may have been carried out
    │   └── Interrupted      connection or time-out; a write may have been carried out
    │       └── TimedOut     it took the call and never answered: few more tries are worth the wait
    ├── AccessLost           nothing will work until a person acts: pause the portal and tell them
    │   ├── TokenExpired     renewable by the token's keeper, otherwise lost
    │   ├── ScopeMissing     a right or scope is not granted
    │   ├── Unpaid           the CRM's tariff or our subscription ended
    │   └── Blocked          the vendor has shut us out; hammering makes it worse
    ├── Rejected             this record is refused for good; its neighbours go on
    │   ├── Gone             the record does not exist any more
    │   ├── Conflict         it exists already, or somebody else holds it
    │   └── InvalidValue     a value does not fit the field
    ├── BatchRefused         the batch failed as a whole: halve it until the bad record stands alone
    ├── Malformed            the answer is not what the vendor documents: stop the run, keep the path
    └── Unsupported          our own planning mistake: the portal cannot do this

The class is the decision: nobody above the adapters reads a status code. Texts are one sentence for
an operator and never carry a token, a payload or a personal detail.
"""


class CRMError(Exception):
    """Base of everything an adapter raises. `status` is the HTTP status, where there was one."""

    def __init__(self, text: str, *, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Transient(CRMError):
    """May succeed later. `retry_after` is the wait in seconds that the CRM asked for, if it did."""

    def __init__(self, text: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(text, status=status)
        self.retry_after = retry_after


class RateLimited(Transient):
    """Told to slow down. `operation` names the method whose own budget is spent, if only that one is."""

    def __init__(
        self,
        text: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        operation: str | None = None,
    ) -> None:
        super().__init__(text, status=status, retry_after=retry_after)
        self.operation = operation


class Unavailable(Transient):
    """The CRM answered that it cannot serve now. `status` 413 or 504 on a bulk call: shrink the batch."""


class Interrupted(Transient):
    """No answer arrived. Read before writing again."""


class TimedOut(Interrupted):
    """No answer within the time we give it."""


class AccessLost(CRMError):
    """A person has to act; the portal is paused. The text says what to do."""


class TokenExpired(AccessLost):
    """The access token is refused."""


class ScopeMissing(AccessLost):
    """The token lacks a right. `scope` names it where the CRM does."""

    def __init__(self, text: str, *, status: int | None = None, scope: str | None = None) -> None:
        super().__init__(text, status=status)
        self.scope = scope


class Unpaid(AccessLost):
    """The account's tariff does not allow the call."""


class Blocked(AccessLost):
    """The vendor blocked the account or our address."""


class Rejected(CRMError):
    """One record is refused. `field` is the vendor's name of the offending field, where it is known."""

    def __init__(self, text: str, *, status: int | None = None, field: str | None = None) -> None:
        super().__init__(text, status=status)
        self.field = field


class Gone(Rejected):
    """The record is deleted or invisible."""


class Conflict(Rejected):
    """It exists already, or is locked by another writer."""


class InvalidValue(Rejected):
    """The CRM does not accept a value."""


class BatchRefused(CRMError):
    """A bulk call was refused as a whole. `bad` maps positions in the batch to (field, reason), where known."""

    def __init__(
        self,
        text: str,
        *,
        status: int | None = None,
        bad: dict[int, tuple[str | None, str]] | None = None,
    ) -> None:
        super().__init__(text, status=status)
        self.bad = bad or {}


class Malformed(CRMError):
    """The answer has another shape than documented. `path` says where, never what stood there."""

    def __init__(self, text: str, *, status: int | None = None, path: str = "") -> None:
        super().__init__(text, status=status)
        self.path = path


class Unsupported(CRMError):
    """The portal cannot do this; `Capabilities` said so before."""
