"""The key that signs checkpoints: Ed25519, made once, readable to its owner alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_project.domain.core.errors import AuditBroken
from pipeline_project.ports.files import Files
from resources.keys.key_files import keys_at

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PRIVATE, PUBLIC = "audit_ed25519.pem", "checkpoints.pub.pem"


def signing_key(folder: Path | str) -> Ed25519PrivateKey:
    """The private key at a place, made when it is missing; processes that make it at once end up with one.

    Raises:
        AuditBroken: the file is no such key.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    def new_key() -> bytes:
        return Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    key_files = keys_at(folder)
    try:
        key = serialization.load_pem_private_key(key_files.made_once(PRIVATE, new_key), password=None)
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise AuditBroken(f"{key_files.where(PRIVATE)} is no Ed25519 key; put the right one back from your backup")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a file.

    Raises:
        AuditBroken: the file is missing or no such key.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise AuditBroken(f"there is no public key at {path}; name the one that checkpoints are checked with") from None
    return public_key_of(content, str(path))


def public_key_of(content: bytes, place: str) -> Ed25519PublicKey:
    """The public key in a file's content.

    Raises:
        AuditBroken: it is no such key; the message names its place.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = serialization.load_pem_public_key(content)
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise AuditBroken(f"{place} is no Ed25519 public key; name the one that checkpoints are checked with")
    return key


def publish(key: Ed25519PublicKey, files: Files) -> None:
    """Puts the public key beside the checkpoints, unless one lies there."""
    if files.stamp(PUBLIC) is None:
        files.create(PUBLIC, pem_of(key))


def pem_of(key: Ed25519PublicKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
