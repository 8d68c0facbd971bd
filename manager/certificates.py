"""A CA of one's own, and the certificate that it gives to broker and manager of one machine.

The CA's key stays where it was made. Clients need `ca.pem` alone, which is no secret.
"""

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from streams.errors import SettingsError

CA, CA_KEY, CERTIFICATE, KEY = "ca.pem", "ca.key", "server.pem", "server.key"
_CA_DAYS, _DAYS = 3650, 397
#: A certificate that ends sooner is made anew.
_RENEWED = timedelta(days=_DAYS / 2)
#: Clocks may differ.
_SKEW = timedelta(hours=1)
_CURVE = ec.SECP256R1


def ensure(folder: Path, hosts: Sequence[str]) -> bool:
    """Have a CA and a certificate for these names and addresses in `folder`.

    The CA is made once; the certificate when it isn't for exactly these, or nears its end. A crash
    leaves the old files or the new ones.

    Returns:
        Whether the certificate is a new one.

    Raises:
        SettingsError: the folder can't be written, or what is there can't be read.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / CA).exists():
            _make_ca(folder)
        if _is_good(folder, hosts):
            return False
        _issue(folder, hosts)
    except OSError as error:
        raise SettingsError(f"certificates in {folder}: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"certificates in {folder}: {error}") from None
    return True


def _is_good(folder: Path, hosts: Sequence[str]) -> bool:
    if not (folder / CERTIFICATE).exists() or not (folder / KEY).exists():
        return False
    there = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
    key = serialization.load_pem_private_key((folder / KEY).read_bytes(), None)
    named = there.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    ours = _load_ca(folder)[0]
    return (
        named == _names(hosts)
        and there.issuer == ours.subject
        and there.public_key() == key.public_key()
        and there.not_valid_after_utc - datetime.now(UTC) > _RENEWED
    )


def _make_ca(folder: Path) -> None:
    key = ec.generate_private_key(_CURVE())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"streamboss {os.urandom(4).hex()}")])
    made = (
        _begun(name, name, key.public_key(), _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(folder / CA_KEY, _pem(key), 0o600)
    _write(folder / CA, made.public_bytes(serialization.Encoding.PEM), 0o644)


def _issue(folder: Path, hosts: Sequence[str]) -> None:
    ca, ca_key = _load_ca(folder)
    key = ec.generate_private_key(_CURVE())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "streamboss")])
    made = (
        _begun(name, ca.subject, key.public_key(), _DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_names(hosts), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    # the folder's group may read it: broker and manager are two users
    _write(folder / KEY, _pem(key), 0o640)
    _write(folder / CERTIFICATE, made.public_bytes(serialization.Encoding.PEM), 0o644)


def _load_ca(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = serialization.load_pem_private_key((folder / CA_KEY).read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{CA_KEY} isn't a key of ours")  # noqa: TRY004 - a file, no argument
    return x509.load_pem_x509_certificate((folder / CA).read_bytes()), key


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_name(host) for host in dict.fromkeys(hosts)])


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.chmod(mode)  # whatever the umask took away
    part.replace(path)
