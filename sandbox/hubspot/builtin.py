"""HubSpot's own properties, as far as this product reads or writes them. A table of facts.

Source: developers.hubspot.com, the guides of contacts, companies, deals, line items, tasks and orders, read
November 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sandbox.hubspot.definitions import Definition, choices
from sandbox.hubspot.kinds import (
    CALL,
    COMMUNICATION,
    COMPANY,
    CONTACT,
    DEAL,
    EMAIL,
    LINE_ITEM,
    MEETING,
    NOTE,
    ORDER,
    PRODUCT,
    TASK,
    Kind,
)

# name, type, fieldType; `*` after the name: the portal fills it, writing is refused.
_SHARED = "hs_object_id* number number|hubspot_owner_id enumeration select|hs_merged_object_ids* string text"
_ACTIVITY = "hs_createdate* datetime date|hs_lastmodifieddate* datetime date|hs_timestamp datetime date"
_BUILTIN: Mapping[Kind, str] = {
    CONTACT: "createdate* datetime date|lastmodifieddate* datetime date|email string text|firstname string text"
    "|lastname string text|phone string phonenumber|company string text|country string text"
    "|associatedcompanyid* number number|hs_additional_emails string text",
    COMPANY: "createdate* datetime date|hs_lastmodifieddate* datetime date|name string text|domain string text"
    "|phone string phonenumber|country string text|hs_parent_company_id* number number",
    DEAL: "createdate* datetime date|hs_lastmodifieddate* datetime date|dealname string text|amount number number"
    "|deal_currency_code enumeration select|dealstage enumeration radio|pipeline enumeration select"
    "|closedate datetime date|dealtype enumeration radio|amount_in_home_currency* number number"
    "|hs_closed_amount* number number|hs_closed_amount_in_home_currency* number number"
    "|hs_is_closed* bool booleancheckbox|hs_is_closed_won* bool booleancheckbox|hs_is_closed_lost* bool"
    " booleancheckbox|hs_closed_won_date* datetime date|hs_primary_associated_company* number number",
    PRODUCT: "createdate* datetime date|hs_lastmodifieddate* datetime date|name string text|description string"
    " textarea|price number number|hs_sku string text|hs_cost_of_goods_sold number number",
    LINE_ITEM: "createdate* datetime date|hs_lastmodifieddate* datetime date|name string text|hs_sku string text"
    "|hs_product_id number number|quantity number number|price number number|amount number number"
    "|hs_total_discount* number number|hs_line_item_currency_code enumeration select",
    TASK: "hs_createdate* datetime date|hs_lastmodifieddate* datetime date|hs_timestamp datetime date"
    "|hs_task_subject string text|hs_task_body string html|hs_task_status enumeration select"
    "|hs_task_priority enumeration select|hs_task_type enumeration select|hs_task_reminders string text"
    "|hs_task_completion_date* datetime date",
    ORDER: "createdate* datetime date|hs_createdate* datetime date|hs_lastmodifieddate* datetime date"
    "|hs_order_name string text|hs_currency_code enumeration select|hs_total_price number number"
    "|hs_external_order_id string text|hs_external_created_date datetime date|hs_processed_date datetime date"
    "|hs_pipeline enumeration select|hs_pipeline_stage enumeration select|hs_source_store string text"
    "|hs_fulfillment_status string text|hs_homecurrency_amount* number number|hs_exchange_rate number number",
    NOTE: f"{_ACTIVITY}|hs_note_body string html",
    CALL: f"{_ACTIVITY}|hs_call_title string text|hs_call_body string html|hs_call_direction enumeration select"
    "|hs_call_duration number number|hs_call_status enumeration select|hs_call_disposition string text"
    "|hs_call_from_number string text|hs_call_to_number string text",
    EMAIL: f"{_ACTIVITY}|hs_email_subject string text|hs_email_text string textarea"
    "|hs_email_direction enumeration select|hs_email_status enumeration select",
    MEETING: f"{_ACTIVITY}|hs_meeting_title string text|hs_meeting_body string html|hs_meeting_start_time datetime"
    " date|hs_meeting_end_time datetime date|hs_meeting_outcome enumeration select",
    COMMUNICATION: f"{_ACTIVITY}|hs_communication_body string html|hs_communication_channel_type enumeration select"
    "|hs_communication_logged_from enumeration select",
}
_CHOICES = {
    "hs_call_direction": ("INBOUND", "OUTBOUND"),
    "hs_call_status": (
        "BUSY", "CALLING_CRM_USER", "CANCELED", "COMPLETED", "CONNECTING", "FAILED", "IN_PROGRESS", "NO_ANSWER",
        "QUEUED", "RINGING",
    ),
    "hs_email_direction": ("EMAIL", "INCOMING_EMAIL", "FORWARDED_EMAIL"),
    "hs_email_status": ("BOUNCED", "FAILED", "SCHEDULED", "SENDING", "SENT"),
    "hs_meeting_outcome": ("SCHEDULED", "COMPLETED", "RESCHEDULED", "NO_SHOW", "CANCELED"),
    "hs_communication_channel_type": ("WHATS_APP", "LINKEDIN_MESSAGE", "SMS"),
    "hs_communication_logged_from": ("CRM",),
    "hs_task_status": ("NOT_STARTED", "COMPLETED", "IN_PROGRESS", "WAITING", "DEFERRED"),
    "hs_task_priority": ("NONE", "LOW", "MEDIUM", "HIGH"),
    "hs_task_type": ("TODO", "CALL", "EMAIL"),
    "dealtype": ("newbusiness", "existingbusiness"),
}  # fmt: skip


def builtin(kind: Kind) -> Iterable[Definition]:
    """The properties that HubSpot itself brings for one object type."""
    for entry in f"{_SHARED}|{_BUILTIN[kind]}".split("|"):
        name, type_, field_type = entry.split()
        read_only, name = name.endswith("*"), name.rstrip("*")
        yield Definition(
            name=name,
            label=name.replace("_", " ").capitalize(),
            type=type_,
            field_type=field_type,
            group=f"{kind.singular}information",
            options=choices((value, value.title()) for value in _CHOICES.get(name, ())),
            hubspot_defined=True,
            read_only=read_only,
            unique=(kind, name) == (CONTACT, "email"),
            owner=name == "hubspot_owner_id",
        )
