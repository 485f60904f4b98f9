"""The key that signs checkpoints: Ed25519, made once, readable to its owner alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_project.domain.core.errors import AuditBroken
from resources.files.small_files import made_once, write_whole

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PRIVATE, PUBLIC = "audit_ed25519.pem", "checkpoints.pub.pem"


def signing_key(folder: Path) -> Ed25519PrivateKey:
    """The private key in a folder, made when it is missing; processes that make it at once end up with one.

    Raises:
        AuditBroken: the file is no such key.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    def new_key() -> bytes:
        return Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    path = folder / PRIVATE
    try:
        key = serialization.load_pem_private_key(made_once(path, new_key), password=None)
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise AuditBroken(f"{path} is no Ed25519 key; put the right one back from your backup of the keys")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a file.

    Raises:
        AuditBroken: the file is missing or no such key.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except FileNotFoundError:
        raise AuditBroken(f"there is no public key at {path}; name the one that checkpoints are checked with") from None
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise AuditBroken(f"{path} is no Ed25519 public key; name the one that checkpoints are checked with")
    return key


def publish(key: Ed25519PublicKey, folder: Path) -> Path:
    """Puts the public key beside the checkpoints, unless one lies there."""
    path = folder / PUBLIC
    if not path.exists():
        write_whole(path, pem_of(key), 0o644, replace=False)
    return path


def pem_of(key: Ed25519PublicKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
