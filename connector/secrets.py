"""Encryption of tokens at rest. Only this module sees keys."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from connector.config import Config
from connector.errors import Misconfigured

_KEY_FILE = "encryption.key"


class Vault:
    """Encrypts with the newest key and decrypts with any of them."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        each = [Fernet(_fernet_key(key)) for key in keys]
        self._first = each[0]
        self._fernet = MultiFernet(each)

    def seal(self, secret: dict[str, str]) -> bytes:
        """The stored form of a portal's access."""
        return self._fernet.encrypt(json.dumps(secret).encode())

    def open(self, sealed: bytes) -> dict[str, str]:
        """Read what `seal` wrote; raises `Misconfigured` when no key fits."""
        try:
            opened = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise Misconfigured("none of ENCRYPTION_KEYS opens the stored token: put the old key back") from None
        return {str(key): str(value) for key, value in opened.items()}

    def is_newest(self, sealed: bytes) -> bool:
        """Whether the first key opens it; raises `Misconfigured` when no key does."""
        try:
            self._first.decrypt(sealed)
        except InvalidToken:
            self.open(sealed)
            return False
        return True

    def renew(self, sealed: bytes) -> bytes:
        """The same secret under the first key; raises `Misconfigured` when no key opens it."""
        return self.seal(self.open(sealed))


def vault_of(config: Config) -> Vault:
    """The vault with the configured keys, or outside production with a key kept in `var_dir` (mode 600)."""
    if config.encryption_keys:
        return Vault(config.encryption_keys)
    config.require_secrets()
    try:
        return Vault((_kept_key(config.var_dir / _KEY_FILE),))
    except OSError as error:
        raise Misconfigured(
            f"the key cannot be kept in {config.var_dir} ({error.strerror}): set VAR_DIR to a directory that can be"
            " written, or set ENCRYPTION_KEYS"
        ) from None


def _kept_key(path: Path) -> str:
    """The key in a file; made the first time. Two processes that start at once agree on one key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        descriptor, name = tempfile.mkstemp(dir=path.parent)
        fresh = Path(name)
        with os.fdopen(descriptor, "w") as file:
            file.write(Fernet.generate_key().decode())
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text().strip()


def _fernet_key(key: str) -> bytes:
    """A Fernet key as it is; any other text (at least 16 characters) is stretched into one."""
    try:
        if len(base64.urlsafe_b64decode(key)) == 32:
            return key.encode()
    except ValueError:
        pass
    if len(key) < 16:
        raise Misconfigured("each of ENCRYPTION_KEYS must have at least 16 characters")
    return base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())
