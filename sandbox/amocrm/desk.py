"""What people do in the CRM's own pages, and what tests look at: no HTTP, no limits, no API rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from threading import RLock
from typing import Any

from sandbox.amocrm.account import Account
from sandbox.amocrm.changes import CardChange, apply_change, create_card, read_change
from sandbox.amocrm.links import Target, tie, untie
from sandbox.amocrm.rows import WON, Card, Contact, Field, Kind, Lead, Stored
from sandbox.amocrm.tasks import check_task, edit_task
from sandbox.amocrm.values import view_stored
from sandbox.amocrm.views import view_card, view_task

ALL_PARTS = frozenset({"contacts", "leads", "customers", "loss_reason", "catalog_elements"})


class Desk:
    """The account as its staff see it. Every method may be called while the portal is being served."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.lock = RLock()

    # --- looking -----------------------------------------------------------------------------------------------

    def card(self, kind: Kind, card_id: int) -> dict[str, Any] | None:
        """A card with all its parts, None when it is gone."""
        with self.lock:
            card = self.account.card(kind, card_id)
            return None if card is None else view_card(self.account, kind, card, ALL_PARTS, "")

    def card_values(self, kind: Kind, card_id: int) -> dict[str, Any]:
        """Filled custom fields by code (by name where there is none): strings, bools, unix seconds.

        An option shows its code, or its text where it has none; a field with several values shows a list.
        """
        with self.lock:
            book = self.account.books[kind]
            values = self._card(kind, card_id).values
            return {
                book.fields[field_id].code or book.fields[field_id].name: self._shown(kind, stored)
                for field_id, stored in values.items()
            }

    def _shown(self, kind: Kind, stored: tuple[Stored, ...]) -> Any:
        shown = [
            (view.get("enum_code") or view["value"]) if one.value is None else view["value"]
            for one, view in zip(stored, view_stored(stored, self.account.books[kind]), strict=True)
        ]
        return shown[0] if len(shown) == 1 else shown

    def tasks(self, kind: Kind | None = None, card_id: int | None = None) -> list[dict[str, Any]]:
        """Tasks as the API shows them, by id: all, of a kind, or of one card."""
        with self.lock:
            return [
                view_task(self.account, task, "")
                for task in self.account.tasks
                if kind in {None, task.entity_type} and card_id in {None, task.entity_id}
            ]

    # --- cards -------------------------------------------------------------------------------------------------

    def edit_card(self, kind: Kind, card_id: int, values: Mapping[str, Any], *, user_id: int | None = None) -> None:
        """Type values into custom fields, by code or name; None empties one.

        Given a `user_id` a person does it, and fields that only the API may write raise `PermissionError`;
        without, it is another integration, which may write them all.
        """
        with self.lock:
            items = []
            for name, value in values.items():
                field = self._field(kind, name)
                if field.is_api_only and user_id is not None:
                    raise PermissionError(f"{name} can be written through the API only")
                given = None if value is None else [{"value": value}]
                items.append({"field_id": field.id, "values": given})
            self._change(kind, card_id, {"custom_fields_values": items}, user_id or 0)

    def set_attributes(self, kind: Kind, card_id: int, *, user_id: int = 0, **attributes: Any) -> None:
        """Change names, prices, owners, stages: the keys that PATCH knows. A price may have kopecks."""
        with self.lock:
            card = self._card(kind, card_id)
            change = self._read(kind, attributes, card)
            apply_change(self.account, kind, card, change, by=user_id)

    def add_card(self, kind: Kind, *, user_id: int = 0, **attributes: Any) -> int:
        """Make a lead, contact or company from the keys that POST knows; a price may have kopecks. Returns its id."""
        with self.lock:
            return create_card(self.account, kind, self._read(kind, attributes, None), by=user_id).id

    def win_lead(self, lead_id: int, closed_at: int | None = None, *, user_id: int = 0) -> None:
        """Close as won, now or at a given unix second."""
        given = {"status_id": WON} | ({} if closed_at is None else {"closed_at": closed_at})
        with self.lock:
            self._change("leads", lead_id, given, user_id)

    def reopen_lead(self, lead_id: int, *, user_id: int = 0) -> None:
        """Put a closed lead back on the first stage of its pipeline."""
        with self.lock:
            lead = self._card_as_lead(lead_id)
            stages = self.account.pipelines[lead.pipeline_id].stages
            first = next(stage.id for stage in stages if stage.type == 0)
            self._change("leads", lead_id, {"status_id": first}, user_id)

    def delete_leads(self, lead_ids: Sequence[int], *, user_id: int = 0) -> None:
        """Move to the trash: gone from lists, seen with `only_deleted`."""
        with self.lock:
            for lead_id in lead_ids:
                lead = self._card_as_lead(lead_id)
                self.account.touch("leads", lead, by=user_id)
                self.account.leads.hide(lead)
                lead.is_deleted = True
                self.account.tell("lead_deleted", "leads", lead_id, user_id)

    def restore_leads(self, lead_ids: Sequence[int], *, user_id: int = 0) -> None:
        """Take out of the trash, with the old ids."""
        with self.lock:
            for lead_id in lead_ids:
                lead = self.account.leads.rows[lead_id]
                lead.is_deleted, lead.updated_at, lead.updated_by = False, self.account.now(), user_id
                self.account.leads.add(lead)
                self.account.tell("lead_restored", "leads", lead_id, user_id)

    def delete_contact(self, contact_id: int, *, user_id: int = 0) -> None:
        """Gone, and gone from its leads."""
        self._delete("contacts", contact_id, user_id)

    def delete_company(self, company_id: int, *, user_id: int = 0) -> None:
        """Gone, and gone from its leads and people."""
        self._delete("companies", company_id, user_id)

    def merge_contacts(self, winner_id: int, loser_id: int, *, user_id: int = 0) -> None:
        """The loser's id disappears, its leads and empty-on-the-winner values move; `entity_merged` tells.

        Leads keep their `updated_at`: the vendor does not say that a merge touches them.
        """
        with self.lock:
            account = self.account
            winner, loser = self._card("contacts", winner_id), self._card("contacts", loser_id)
            for lead_id in list(account.lead_ids_of["contacts", loser_id]):
                lead = account.leads.rows[lead_id]
                was_main = lead.main_contact_id == loser_id
                untie(account, "leads", lead, Target("contacts", loser_id))
                tie(account, "leads", lead, Target("contacts", winner_id, is_main=was_main))
            for company_id in loser.company_ids if isinstance(loser, Contact) else ():
                tie(account, "contacts", winner, Target("companies", company_id))
            winner.values = {**loser.values, **winner.values}
            self._forget("contacts", loser)
            account.touch("contacts", winner, by=user_id)
            account.tell("entity_merged", "contacts", winner_id, user_id)
            if account.rules.merge_deletes and account.told is not None:
                account.told("contact_deleted", "contact", loser_id)

    def complete_task(self, task_id: int, result: str, *, user_id: int = 0) -> None:
        """Close a task with a result."""
        with self.lock:
            task = self.account.tasks.rows[task_id]
            item = {"is_completed": True, "result": {"text": result}}
            edit_task(self.account, task, check_task(self.account, item, task), by=user_id)

    # --- settings ----------------------------------------------------------------------------------------------

    def deactivate_user(self, user_id: int) -> None:
        """The user stays on cards, but can be given nothing new."""
        with self.lock:
            self.account.users[user_id].is_active = False

    def give_token_to(self, user_id: int) -> None:
        """Whose rights the token carries from now on."""
        with self.lock:
            self.account.token_user_id = user_id

    def switch_api_filter(self, *, on: bool) -> None:
        """Buy or cancel the option that makes list filters work."""
        with self.lock:
            self.account.settings.is_api_filter_enabled = on

    def switch_paid(self, *, on: bool) -> None:
        """Unpaid accounts refuse writes with 402 and still read."""
        with self.lock:
            self.account.settings.is_paid = on

    def delete_field(self, kind: Kind, name: str) -> None:
        """Delete a custom field, named by code or name, with its values."""
        with self.lock:
            self.account.forget_field(kind, self._field(kind, name).id)

    def rename_field(self, kind: Kind, name: str, new_name: str) -> None:
        """Give a custom field another name; its id and code stay."""
        with self.lock:
            self._field(kind, name).name = new_name

    def rename_option(self, kind: Kind, name: str, old: str, new: str) -> None:
        """Give an option another text; its id and code stay."""
        with self.lock:
            option = next(one for one in self._field(kind, name).options or [] if one.value == old)
            option.value = new

    # --- inside ------------------------------------------------------------------------------------------------

    def _card(self, kind: Kind, card_id: int) -> Card:
        card = self.account.card(kind, card_id)
        if card is None:
            raise LookupError(f"no {kind} {card_id} here")
        return card

    def _card_as_lead(self, lead_id: int) -> Lead:
        card = self._card("leads", lead_id)
        assert isinstance(card, Lead)  # noqa: S101 - the table of leads holds nothing else
        return card

    def _field(self, kind: Kind, name: str) -> Field:
        book = self.account.books[kind]
        found = book.by_code(name) or next((one for one in book.fields.values() if one.name == name), None)
        if found is None:
            raise LookupError(f"no field {name} on {kind}")
        return found

    def _read(self, kind: Kind, attributes: Mapping[str, Any], card: Card | None) -> CardChange:
        """As the API checks it, except that people may type kopecks."""
        price = attributes.get("price")
        others = {key: value for key, value in attributes.items() if key != "price"}
        change = read_change(self.account, kind, others, card)
        if price is not None:
            change.attributes["price"] = Decimal(price)
        return change

    def _change(self, kind: Kind, card_id: int, item: Mapping[str, Any], by: int) -> None:
        card = self._card(kind, card_id)
        apply_change(self.account, kind, card, read_change(self.account, kind, item, card), by=by)

    def _delete(self, kind: Kind, card_id: int, by: int) -> None:
        with self.lock:
            self._forget(kind, self._card(kind, card_id))
            self.account.tell("contact_deleted" if kind == "contacts" else "company_deleted", kind, card_id, by)

    def _forget(self, kind: Kind, card: Card) -> None:
        account = self.account
        for lead_id in list(account.lead_ids_of[kind, card.id]):
            untie(account, "leads", account.leads.rows[lead_id], Target(kind, card.id))
        if isinstance(card, Contact):
            for company_id in card.company_ids:
                account.contact_ids_of[company_id].pop(card.id, None)
        else:
            for contact_id in list(account.contact_ids_of[card.id]):
                untie(account, "contacts", account.contacts.rows[contact_id], Target("companies", card.id))
        account.table(kind).drop(card)
