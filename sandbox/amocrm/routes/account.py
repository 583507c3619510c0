"""The account itself: its settings, users, roles, currencies, pipelines and loss reasons."""

from __future__ import annotations

from typing import Any

from sandbox.amocrm.account import TASK_TYPES
from sandbox.amocrm.calls import Call, hal, nothing, page_answer, whole_list
from sandbox.amocrm.problems import Problem
from sandbox.amocrm.query import included, window
from sandbox.amocrm.router import Route
from sandbox.amocrm.rows import LOST, WON, Pipeline, Stage
from sandbox.amocrm.views import view_user
from sandbox.web import Answer

_SYMBOLS = {"RUB": "₽", "USD": "$", "EUR": "€", "GBP": "£"}


def get_account(call: Call) -> Answer:
    """https://www.amocrm.ru/developers/content/crm_platform/account-info; parts only when `with` names them."""
    account, wanted = call.account, included(call.query)
    settings = account.settings
    body: dict[str, Any] = {
        "id": settings.id,
        "name": settings.name,
        "subdomain": settings.subdomain,
        "created_at": 1_400_000_000,
        "created_by": 0,
        "updated_at": 1_400_000_000,
        "updated_by": 0,
        "current_user_id": account.token_user_id,
        "country": "RU",
        "currency": settings.currency,
        "currency_symbol": _SYMBOLS.get(settings.currency, settings.currency),
        "customers_mode": settings.customers_mode,
        "is_unsorted_on": True,
        "is_loss_reason_enabled": settings.is_loss_reason_enabled,
        "is_helpbot_enabled": False,
        "is_technical_account": True,
        "contact_name_display_order": 1,
        "_links": {"self": {"href": f"{call.base}/account"}},
    }
    extras: dict[str, Any] = {
        "version": 15,
        "uuid": "5b1ad1ce-0000-4000-8000-000000000001",
        "amojo_id": "5b1ad1ce-0000-4000-8000-000000000002",
        "drive_url": "https://drive.example",
        "is_api_filter_enabled": settings.is_api_filter_enabled,
        "invoices_settings": {"lang": "ru", "invoices_catalog_id": None},
    }
    body |= {name: value for name, value in extras.items() if name in wanted}
    parts = {name: part for name, part in _parts(call).items() if name in wanted}
    return hal(body | ({"_embedded": parts} if parts else {}))


def _parts(call: Call) -> dict[str, Any]:
    settings = call.account.settings
    offset = call.account.clock.now().astimezone(settings.zone).strftime("%z")
    return {
        "amojo_rights": {"can_direct": True, "can_create_groups": True},
        "users_groups": [{"id": group.id, "name": group.name, "uuid": None} for group in call.account.groups.values()],
        "task_types": [
            {"id": one, "name": name, "color": None, "icon_id": None, "code": code}
            for one, (name, code) in TASK_TYPES.items()
        ],
        "entity_names": {"leads": {"ru": {"gender": "f"}}},
        "datetime_settings": {
            "date_pattern": "d.m.Y H:i",
            "short_date_pattern": "d.m.Y",
            "time_format": "H:i:s",
            "timezone": settings.timezone,
            "timezone_offset": f"{offset[:3]}:{offset[3:5]}",
        },
    }


def list_users(call: Call) -> Answer:
    """Users, for administrators only; 50 a page by default."""
    _admins_only(call)
    at, wanted = window(call.query), included(call.query)
    users = sorted(call.account.users.values(), key=lambda user: user.id)
    part = users[at.start : at.start + at.limit]
    views = [view_user(call.account, user, wanted, call.base) for user in part]
    return page_answer(call, "users", views, at, more=len(users) > at.start + at.limit, total=len(users))


def get_user(call: Call) -> Answer:
    """One user, for administrators only."""
    _admins_only(call)
    user = call.account.users.get(call.number("id"))
    return hal(view_user(call.account, user, included(call.query), call.base)) if user else nothing()


def _admins_only(call: Call) -> None:
    if not call.account.token_is_admin():
        raise Problem(403, "Administrator rights are required")


def list_roles(call: Call) -> Answer:
    """No roles are made here."""
    _admins_only(call)
    return nothing()


def list_currencies(call: Call) -> Answer:
    """Codes and symbols; there are no rates."""
    rows = [{"id": at, "code": code, "symbol": symbol} for at, (code, symbol) in enumerate(_SYMBOLS.items(), 1)]
    return whole_list(call, "currencies", rows)


def list_pipelines(call: Call) -> Answer:
    """All pipelines, archived ones too, on one page."""
    return whole_list(call, "pipelines", [_view_pipeline(call, one) for one in call.account.pipelines.values()])


def get_pipeline(call: Call) -> Answer:
    """One pipeline."""
    pipeline = call.account.pipelines.get(call.number("id"))
    return hal(_view_pipeline(call, pipeline)) if pipeline else nothing()


def list_stages(call: Call) -> Answer:
    """The stages of one pipeline."""
    pipeline = call.account.pipelines.get(call.number("id"))
    if pipeline is None:
        return nothing()
    return whole_list(call, "statuses", [_view_stage(call, pipeline, stage) for stage in pipeline.stages])


def _view_pipeline(call: Call, pipeline: Pipeline) -> dict[str, Any]:
    return {
        "id": pipeline.id,
        "name": pipeline.name,
        "sort": pipeline.sort,
        "is_main": pipeline.is_main,
        "is_unsorted_on": True,
        "is_archive": pipeline.is_archive,
        "account_id": call.account.settings.id,
        "_links": {"self": {"href": f"{call.base}/leads/pipelines/{pipeline.id}"}},
        "_embedded": {"statuses": [_view_stage(call, pipeline, stage) for stage in pipeline.stages]},
    }


def _view_stage(call: Call, pipeline: Pipeline, stage: Stage) -> dict[str, Any]:
    return {
        "id": stage.id,
        "name": stage.name,
        "sort": stage.sort,
        "is_editable": stage.id not in {WON, LOST} and stage.type == 0,
        "pipeline_id": pipeline.id,
        "color": "#c1c1c1",
        "type": stage.type,
        "account_id": call.account.settings.id,
        "_links": {"self": {"href": f"{call.base}/leads/pipelines/{pipeline.id}/statuses/{stage.id}"}},
    }


def list_loss_reasons(call: Call) -> Answer:
    """Why leads are lost; nothing where the account has switched reasons off."""
    if not call.account.settings.is_loss_reason_enabled:
        return nothing()
    rows = [{"id": one.id, "name": one.name, "sort": one.sort} for one in call.account.loss_reasons.values()]
    return whole_list(call, "loss_reasons", rows)


ROUTES = (
    Route("GET", "account", get_account),
    Route("GET", "users", list_users),
    Route("GET", "users/{id:int}", get_user),
    Route("GET", "roles", list_roles),
    Route("GET", "currencies", list_currencies),
    Route("GET", "leads/pipelines", list_pipelines),
    Route("GET", "leads/pipelines/{id:int}", get_pipeline),
    Route("GET", "leads/pipelines/{id:int}/statuses", list_stages),
    Route("GET", "leads/loss_reasons", list_loss_reasons),
)
