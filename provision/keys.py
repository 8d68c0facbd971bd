"""The key pair with which a run logs in to its machines."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from provision.errors import ProvisionError

_NAME = "id_ed25519"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Where the private key is, and the public one as a line of `authorized_keys`."""

    path: Path
    public: str


def ensure(folder: Path, *, comment: str) -> KeyPair:
    """Return the key pair kept in `folder`, made now if there is none: ed25519, mode 0600.

    A crash leaves the whole pair or none.

    Raises:
        ProvisionError: the folder can't be written, or the file there is no such key, or open
            to others.
    """
    path = folder / _NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _write_new(path)
        return KeyPair(path, f"{_public(path)} {comment}")
    except OSError as error:
        raise ProvisionError(f"no ssh key in {folder}: {error.strerror}") from error


def _write_new(path: Path) -> None:
    """Write a new private key to `path`, unless somebody else does so at the same time."""
    text = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    draft = path.with_name(f"{_NAME}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # unlike a rename, it leaves a key that is already there
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _public(path: Path) -> str:
    """Return the public half, taken from the private one: two files could disagree."""
    if path.stat().st_mode & 0o077:
        raise ProvisionError(f"{path} can be read by others: chmod 600 it, or remove it")
    try:
        private = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    except ValueError as error:
        raise ProvisionError(f"{path} isn't an ssh key without a passphrase: remove it") from error
    public = private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return public.decode()
