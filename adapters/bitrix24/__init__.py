"""Bitrix24, REST v2."""
