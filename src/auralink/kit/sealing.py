"""Secrets kept where others might read them: AES-256-GCM (NIST SP 800-38D) under keys derived (HKDF, RFC 5869) from one
secret of this installation. A sealed text names what it is about, so that one row's cannot be put into another's."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from auralink.kit.settings import Secret, Settings

_VERSION = b"\x01"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class SealingSettings(Settings):
    encryption_key: Secret = SecretStr("")
    """What secrets in the database are sealed with. Without it they cannot be opened again."""


class SealBroken(Exception):
    """Not sealed with this key, about something else, or altered. The message holds nothing of it."""


class Sealer:
    """`purpose` separates uses of one secret from each other."""

    def __init__(self, secret: str, purpose: str) -> None:
        derive = HKDF(SHA256(), _KEY_BYTES, salt=None, info=f"auralink/{purpose}".encode())
        self._cipher = AESGCM(derive.derive(secret.encode()))

    def seal(self, plain: str, *, about: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain.encode(), about.encode())

    def open(self, sealed: bytes, *, about: str) -> str:
        """Raises SealBroken."""
        body = sealed.removeprefix(_VERSION)
        if len(body) != len(sealed) - 1 or len(body) <= _NONCE_BYTES:
            raise SealBroken("not a sealed text")
        try:
            plain = self._cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], about.encode())
        except InvalidTag as error:
            raise SealBroken("sealed with another key, about something else, or altered") from error
        return plain.decode()
