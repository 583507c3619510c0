"""Listens: turns what a CRM posts into notices that something changed. Knows no database and sends nothing.

Everything but `blueprint` is functions over bytes and knows no web framework.
"""
