"""The command line: words → jobs → words, and the exit status that says how it went."""

from connector.cli.main import main

__all__ = ["main"]
