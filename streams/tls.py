"""TLS from the client's side: whose certificates count, and what is wrong with one in words.

An address names its CA as RabbitMQ's own clients do, `amqps://...?cacertfile=PATH`; without one,
those of the system count. Certificates and host names are always checked.
"""

import ssl
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from streams.errors import SettingsError

CA_VARIABLE = "STREAMBOSS_CA_FILE"
_PARAMETER = "cacertfile"
#: OpenSSL's own numbers (x509_vfy.h).
_NOT_YET, _EXPIRED, _HOST, _ADDRESS = 9, 10, 62, 64


def context(ca_file: str | Path | None, *, variable: str = CA_VARIABLE) -> ssl.SSLContext:
    """Return what trusts the CAs in a PEM file alone, or without one the system's.

    `variable` is the setting that names the file.

    Raises:
        SettingsError: no such file, or no certificate in it.
    """
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:
        why = "no certificates in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingsError(f"{variable}: {ca_file}: {why}") from None


def context_for(url: str, ca_file: Path | None) -> ssl.SSLContext:
    """Return what an HTTP client for `url` needs: without TLS one that trusts nobody, at no cost.

    Raises:
        SettingsError: no such file, or no certificate in it.
    """
    if urlsplit(url).scheme == "https":
        return context(ca_file)
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def with_ca(url: str, ca_file: Path | None) -> str:
    """Return an AMQP address that names this CA, if it is one with TLS and names none itself."""
    parts = urlsplit(url)
    if ca_file is None or parts.scheme != "amqps" or parted(url)[1]:
        return url
    query = [*parse_qsl(parts.query), (_PARAMETER, str(ca_file))]
    return parts._replace(query=urlencode(query)).geturl()


def parted(url: str) -> tuple[str, str | None]:
    """Return an AMQP address without its CA, and that CA's file."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query)
    files = [value for name, value in query if name == _PARAMETER]
    if not files:
        return url, None
    rest = urlencode([(name, value) for name, value in query if name != _PARAMETER])
    return parts._replace(query=rest).geturl(), files[-1]


def problem(error: BaseException, *, variable: str = CA_VARIABLE) -> str | None:
    """Say what an error of TLS, or one that came of it, means and what to do; None: another one.

    `variable` is the setting that names the server's CA.
    """
    found: BaseException | None = error
    while found is not None and not isinstance(found, ssl.SSLError):
        found = found.__cause__ or found.__context__
    return None if found is None else f"TLS: {_in_words(found, variable)}"


def _in_words(error: ssl.SSLError, variable: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        match error.verify_code:
            case code if code in {_HOST, _ADDRESS}:
                return f"the certificate is another host's: {error.verify_message}"
            case code if code in {_EXPIRED, _NOT_YET}:
                return f"{error.verify_message}: renew it there, or set the clock here"
        return (
            f"no CA that we know signed its certificate ({error.verify_message}):"
            f" set {variable} to its CA's file"
        )
    if error.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}:
        return "what listens there doesn't speak it: check scheme and port"
    return str(error.reason or error)
