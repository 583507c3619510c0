"""The standard fields of deals, contacts and companies, and of the lists that are filtered like them."""

from __future__ import annotations

from sandbox.bitrix24.fields import Field, derived, plain
from sandbox.bitrix24.rows import Deal
from sandbox.bitrix24.values import Kind


def _common() -> list[Field]:
    return [
        plain("ID", Kind.INTEGER, "id", writable=False),
        plain("ASSIGNED_BY_ID", Kind.USER, "assigned_by_id"),
        plain("CREATED_BY", Kind.USER, "created_by", old="CREATED_BY_ID", writable=False),
        plain("UPDATED_BY", Kind.USER, "updated_by", old="MODIFY_BY_ID", writable=False),
        plain("CREATED_TIME", Kind.DATETIME, "created", old="DATE_CREATE", writable=False),
        plain("UPDATED_TIME", Kind.DATETIME, "updated", old="DATE_MODIFY", writable=False),
        plain("LAST_ACTIVITY_TIME", Kind.DATETIME, "last_activity", writable=False),
        plain("OPENED", Kind.CHAR, "opened"),
        plain("SOURCE_ID", Kind.STRING, "source_id"),
        plain("TYPE_ID", Kind.STRING, "type_id"),
        plain("COMMENTS", Kind.STRING, "comments"),
        plain("ORIGINATOR_ID", Kind.STRING, "originator_id"),
        plain("ORIGIN_ID", Kind.STRING, "origin_id"),
    ]


def contact_fields() -> list[Field]:
    """`crm.item.*` with entityTypeId 3."""
    return [
        *_common(),
        plain("NAME", Kind.STRING, "name"),
        plain("LAST_NAME", Kind.STRING, "last_name"),
        plain("SECOND_NAME", Kind.STRING, "second_name"),
        plain("POST", Kind.STRING, "post"),
        plain("BIRTHDATE", Kind.DATE, "birthdate"),
        plain("COMPANY_ID", Kind.LINK, "company_id"),
        derived("COMPANY_IDS", Kind.LINKS, lambda row: (row.company_id,) if row.company_id else ()),
        plain("EXPORT", Kind.CHAR, "export"),
        derived("HAS_PHONE", Kind.CHAR, lambda row: bool(row.phones)),
        derived("HAS_EMAIL", Kind.CHAR, lambda row: bool(row.emails)),
    ]


def company_fields() -> list[Field]:
    """`crm.item.*` with entityTypeId 4."""
    return [
        *_common(),
        plain("TITLE", Kind.STRING, "title"),
        plain("INDUSTRY", Kind.STRING, "industry"),
        plain("REVENUE", Kind.DOUBLE, "revenue"),
        plain("CURRENCY_ID", Kind.STRING, "currency_id"),
        plain("EMPLOYEES", Kind.STRING, "employees"),
        plain("IS_MY_COMPANY", Kind.CHAR, "is_my_company"),
        derived("HAS_PHONE", Kind.CHAR, lambda row: bool(row.phones)),
        derived("HAS_EMAIL", Kind.CHAR, lambda row: bool(row.emails)),
    ]


def _primary(row: Deal) -> int | None:
    return row.contact_ids[0] if row.contact_ids else None


def deal_fields() -> list[Field]:
    """`crm.item.*` with entityTypeId 2."""
    return [
        *_common(),
        plain("TITLE", Kind.STRING, "title"),
        plain("CATEGORY_ID", Kind.INTEGER, "category_id"),
        plain("STAGE_ID", Kind.STRING, "stage_id"),
        derived("STAGE_SEMANTIC_ID", Kind.STRING, lambda row: row.semantic),
        derived("CLOSED", Kind.CHAR, lambda row: row.semantic != "P"),
        derived("IS_NEW", Kind.CHAR, lambda row: row.stage_id.rpartition(":")[2] == "NEW"),
        plain("IS_RECURRING", Kind.CHAR, "is_recurring", writable=False),
        plain("IS_RETURN_CUSTOMER", Kind.CHAR, "is_return_customer", writable=False),
        plain("IS_REPEATED_APPROACH", Kind.CHAR, "is_repeated_approach", writable=False),
        plain("OPPORTUNITY", Kind.DOUBLE, "opportunity"),
        plain("IS_MANUAL_OPPORTUNITY", Kind.CHAR, "is_manual_opportunity"),
        plain("TAX_VALUE", Kind.DOUBLE, "tax_value"),
        plain("CURRENCY_ID", Kind.STRING, "currency_id"),
        plain("COMPANY_ID", Kind.LINK, "company_id"),
        derived("CONTACT_ID", Kind.LINK, _primary),
        plain("CONTACT_IDS", Kind.LINKS, "contact_ids"),
        plain("BEGINDATE", Kind.DATE, "begindate"),
        plain("CLOSEDATE", Kind.DATE, "closedate"),
        plain("MOVED_TIME", Kind.DATETIME, "moved", writable=False),
        plain("MOVED_BY", Kind.USER, "moved_by", old="MOVED_BY_ID", writable=False),
        plain("LEAD_ID", Kind.LINK, "lead_id"),
    ]


def activity_fields() -> list[Field]:
    """`crm.activity.*`."""
    return [
        plain("ID", Kind.INTEGER, "id", writable=False),
        plain("OWNER_ID", Kind.INTEGER, "owner_id", writable=False),
        plain("OWNER_TYPE_ID", Kind.INTEGER, "owner_type_id", writable=False),
        plain("TYPE_ID", Kind.INTEGER, "type_id", writable=False),
        plain("PROVIDER_ID", Kind.STRING, "provider_id", writable=False),
        plain("PROVIDER_TYPE_ID", Kind.STRING, "provider_type_id", writable=False),
        plain("DIRECTION", Kind.INTEGER, "direction", writable=False),
        plain("START_TIME", Kind.DATETIME, "start"),
        plain("END_TIME", Kind.DATETIME, "end"),
        plain("SUBJECT", Kind.STRING, "subject"),
        plain("DESCRIPTION", Kind.STRING, "description"),
        plain("CREATED", Kind.DATETIME, "created", writable=False),
        plain("LAST_UPDATED", Kind.DATETIME, "updated", writable=False),
        plain("DEADLINE", Kind.DATETIME, "deadline"),
        plain("COMPLETED", Kind.CHAR, "completed"),
        derived("STATUS", Kind.INTEGER, lambda row: 2 if row.completed else 1),
        plain("RESPONSIBLE_ID", Kind.USER, "responsible_id"),
        plain("AUTHOR_ID", Kind.USER, "author_id", writable=False),
    ]


def task_fields() -> list[Field]:
    """`tasks.task.*`: filters in UPPER, answers in camelCase."""
    return [
        plain("ID", Kind.INTEGER, "id", writable=False),
        plain("TITLE", Kind.STRING, "title"),
        plain("DESCRIPTION", Kind.STRING, "description"),
        plain("RESPONSIBLE_ID", Kind.USER, "responsible_id"),
        plain("CREATED_BY", Kind.USER, "created_by"),
        plain("DEADLINE", Kind.DATETIME, "deadline"),
        plain("PRIORITY", Kind.INTEGER, "priority"),
        plain("STATUS", Kind.INTEGER, "status"),
        derived("REAL_STATUS", Kind.INTEGER, lambda row: row.status),
        plain("XML_ID", Kind.STRING, "xml_id"),
        plain("GROUP_ID", Kind.INTEGER, "group_id"),
        plain("CREATED_DATE", Kind.DATETIME, "created", writable=False),
        plain("CHANGED_DATE", Kind.DATETIME, "updated", writable=False),
        plain("AUDITORS", Kind.LINKS, "auditors"),
    ]


def move_fields() -> list[Field]:
    """`crm.stagehistory.list`."""
    return [
        plain("ID", Kind.INTEGER, "id", writable=False),
        plain("TYPE_ID", Kind.INTEGER, "kind", writable=False),
        plain("OWNER_ID", Kind.INTEGER, "owner_id", writable=False),
        plain("CREATED_TIME", Kind.DATETIME, "created", writable=False),
        plain("CATEGORY_ID", Kind.INTEGER, "category_id", writable=False),
        plain("STAGE_SEMANTIC_ID", Kind.STRING, "semantic", writable=False),
        plain("STAGE_ID", Kind.STRING, "stage_id", writable=False),
    ]


def order_fields() -> list[Field]:
    """`sale.order.list`."""
    return [
        plain("ID", Kind.INTEGER, "id", writable=False),
        plain("PRICE", Kind.DOUBLE, "price", writable=False),
        plain("CURRENCY", Kind.STRING, "currency", writable=False),
        plain("PAYED", Kind.CHAR, "payed", writable=False),
        plain("CANCELED", Kind.CHAR, "canceled", writable=False),
        plain("DATE_INSERT", Kind.DATETIME, "created", writable=False),
        plain("DATE_UPDATE", Kind.DATETIME, "updated", writable=False),
        plain("RESPONSIBLE_ID", Kind.USER, "responsible_id", writable=False),
        plain("COMPANY_ID", Kind.LINK, "company_id", writable=False),
        derived("ACCOUNT_NUMBER", Kind.STRING, lambda row: str(row.id)),
        derived("STATUS_ID", Kind.STRING, lambda row: "F" if row.payed else "N"),
        derived("USER_ID", Kind.INTEGER, lambda _row: 1),
    ]


def product_row_fields() -> list[Field]:
    """`crm.item.productrow.list`; the owner is named by the method's own two filters."""
    return [
        plain("ID", Kind.INTEGER, "id", writable=False),
        plain("OWNER_ID", Kind.INTEGER, "owner_id", writable=False),
        derived("OWNER_TYPE", Kind.STRING, lambda _row: "D"),
        plain("PRODUCT_ID", Kind.INTEGER, "product_id", writable=False),
        plain("PRODUCT_NAME", Kind.STRING, "product_name", writable=False),
        plain("PRICE", Kind.DOUBLE, "price", writable=False),
        derived("PRICE_ACCOUNT", Kind.DOUBLE, lambda row: row.price),
        derived("PRICE_EXCLUSIVE", Kind.DOUBLE, lambda row: row.price),
        derived("PRICE_NETTO", Kind.DOUBLE, lambda row: row.price + row.discount_sum),
        derived("PRICE_BRUTTO", Kind.DOUBLE, lambda row: row.price + row.discount_sum),
        plain("QUANTITY", Kind.DOUBLE, "quantity", writable=False),
        derived("DISCOUNT_TYPE_ID", Kind.INTEGER, lambda _row: 1),
        plain("DISCOUNT_SUM", Kind.DOUBLE, "discount_sum", writable=False),
        derived("TAX_RATE", Kind.DOUBLE, lambda _row: None),
        derived("TAX_INCLUDED", Kind.CHAR, lambda _row: False),
        derived("MEASURE_CODE", Kind.INTEGER, lambda _row: 796),
        derived("TYPE", Kind.INTEGER, lambda _row: 1),
        derived("SORT", Kind.INTEGER, lambda row: row.id * 10),
    ]
