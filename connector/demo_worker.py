"""The demo's background process: a worker that ends with the demo, however that ends.

The demo holds the other end of our standard input: it closes with the demo's process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Thread

from connector.config import from_environment
from connector.worker import work

_STOP_S = 30.0


@contextmanager
def background(environ: Mapping[str, str]) -> Iterator[None]:
    """A worker with these settings for a while; it is gone afterwards."""
    # a session of its own: Ctrl-C is for the demo, which stops it when the pages are closed
    child = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, env=dict(environ), start_new_session=True
    )
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdin is not None:
            child.stdin.close()


def main() -> int:
    """Work until standard input ends, or a signal comes."""
    Thread(target=_stop_at_eof, name="standard input", daemon=True).start()
    return work(from_environment(os.environ))


def _stop_at_eof() -> None:
    while os.read(sys.stdin.fileno(), 4096):  # not the buffered reader: it would be held while the process ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
