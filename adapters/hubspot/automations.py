"""Answers to workflow actions that wait. The actions and the card are the app's files: there is nothing to register.

https://developers.hubspot.com/docs/apps/developer-platform/add-features/custom-workflow-actions (read 2026-11). The
batch's behaviour with one unknown callback is not documented, so a refused batch is sent call by call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.batches import chunks
from adapters.contract import CallAnswer, Outcome
from adapters.errors import BatchRefused, Rejected, ScopeMissing
from adapters.hubspot.client import Client, Json

CALLS = 50
_REFUSALS = (Rejected, BatchRefused, ScopeMissing)


class HubSpotAutomations:
    """See `contract.Automations`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def ensure(self, base_url: str, *, renew: bool) -> Mapping[str, str]:  # noqa: ARG002 - the Protocol's words
        """Nothing to look at: HubSpot has it from the app's files."""
        return {}

    def answer(self, answers: Sequence[CallAnswer]) -> list[Outcome]:
        """See `contract.Automations.answer`."""
        return [outcome for part in chunks(answers, CALLS) for outcome in self._answer(list(part))]

    def _answer(self, answers: Sequence[CallAnswer]) -> list[Outcome]:
        try:
            self._client.complete([_input(answer) for answer in answers])
        except _REFUSALS as error:
            if len(answers) == 1:
                return [Outcome(ok=False, reason=str(error))]
            return [outcome for answer in answers for outcome in self._answer([answer])]
        return [Outcome(ok=True) for _ in answers]


def _input(answer: CallAnswer) -> Json:
    outputs = {"hs_execution_state": "SUCCESS", **answer.values}
    return {"callbackId": answer.token, "outputFields": outputs, "typedOutputs": {}}
