"""Settings: `.streamboss/env`, then the environment, then flags. Built once, passed down."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from streams import tls
from streams.access import CA_VARIABLE as S3_CA_VARIABLE
from streams.access import THRESHOLD_BYTES, ObjectStore, S3Access
from streams.errors import SettingsError

#: Folder of the embedded stack, and its file of settings.
STACK_FOLDER = ".streamboss"
ENV_FILE = f"{STACK_FOLDER}/env"
#: A CA of S3 travels with each operation; bundles of all the world's CAs are larger.
_CA_BYTES = 16 * 1024
_NUMBERS = ("STREAMBOSS_OBJECT_THRESHOLD", "STREAMBOSS_OBJECT_DAYS")


@dataclass(frozen=True, slots=True)
class Settings:
    """What tools and services need to reach the others. Secrets don't show in its repr."""

    amqp_urls: tuple[str, ...] = field(default=(), repr=False)
    #: one, or those of a cluster with commas between them
    broker_api_url: str | None = None
    manager_url: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database_url: str | None = field(default=None, repr=False)
    #: the CA of broker and manager; None: the system's
    ca_file: Path | None = None
    s3: S3Access = field(default_factory=S3Access)
    #: where archives are, and where outputs go that became objects
    bucket: str | None = None
    object_bucket: str | None = None
    #: buckets that everybody's operations may read, beside that one
    buckets: tuple[str, ...] = ()
    #: outputs of more bytes become objects; 0: none does
    object_threshold_bytes: int = THRESHOLD_BYTES
    #: how long such outputs are kept; None: until somebody removes them
    object_days: int | None = None

    @classmethod
    def load(cls, env: Mapping[str, str], folder: Path) -> "Settings":
        """Read the nearest `.streamboss/env` from `folder` upwards, overridden by `env`.

        Raises:
            SettingsError: a file or value that can't be understood; names every problem.
        """
        written = _nearest_env_file(folder)
        values = {**written, **env}
        urls = _listed(values.get("STREAMBOSS_AMQP_URL", ""))
        problems = [text for url in urls if (text := _amqp_problem(url))]
        apis = _listed(values.get("STREAMBOSS_BROKER_API_URL", ""))
        manager_url = values.get("STREAMBOSS_MANAGER_URL", "")
        https = {"STREAMBOSS_MANAGER_URL": [manager_url], "STREAMBOSS_BROKER_API_URL": apis}
        problems += [
            f"{name}: must begin with http:// or https://"
            for name, given in https.items()
            if not all(url.startswith(("http://", "https://")) for url in given if url)
        ]
        numbers = {name: _number(values, name, problems) for name in _NUMBERS}
        threshold = numbers["STREAMBOSS_OBJECT_THRESHOLD"]
        ca_file = _ca_file(values.get(tls.CA_VARIABLE), tls.CA_VARIABLE, problems)
        s3 = _s3_access(written, env, problems)
        if problems:
            raise SettingsError("; ".join(problems))
        return cls(
            amqp_urls=tuple(tls.with_ca(url, ca_file) for url in urls),
            ca_file=ca_file,
            broker_api_url=",".join(api.rstrip("/") for api in apis) or None,
            manager_url=manager_url.rstrip("/") or None,
            user=values.get("STREAMBOSS_USER") or None,
            password=values.get("STREAMBOSS_PASSWORD") or None,
            database_url=values.get("STREAMBOSS_DATABASE_URL") or None,
            s3=s3,
            bucket=values.get("STREAMBOSS_BUCKET") or None,
            object_bucket=values.get("STREAMBOSS_OBJECT_BUCKET") or None,
            buckets=tuple(values.get("STREAMBOSS_BUCKETS", "").replace(",", " ").split()),
            object_threshold_bytes=THRESHOLD_BYTES if threshold is None else threshold,
            object_days=numbers["STREAMBOSS_OBJECT_DAYS"] or None,
        )

    @property
    def objects(self) -> ObjectStore:
        """What operators need of S3, wherever they are.

        Raises:
            SettingsError: the CA's file is gone, or isn't one of a server's own CA.
        """
        return ObjectStore(
            replace(self.s3, ca_file=None),
            *(self.object_bucket, self.object_threshold_bytes, self.bucket, self.buckets),
            ca=_ca_of(self.s3),
        )

    def need_amqp(self) -> tuple[str, ...]:
        """Return the broker's addresses.

        Raises:
            SettingsError: none is set; says how to get one.
        """
        if not self.amqp_urls:
            raise SettingsError(
                "STREAMBOSS_AMQP_URL is not set: run 'streamboss up', or set it to your broker"
            )
        return self.amqp_urls

    def need_broker_api(self) -> str:
        """Return the management API's addresses, without `/api`, with commas between them.

        By default port 15672 wherever the broker is.
        """
        if self.broker_api_url:
            return self.broker_api_url
        hosts = dict.fromkeys(urlsplit(url).hostname or "127.0.0.1" for url in self.need_amqp())
        return ",".join(f"http://{host}:15672" for host in hosts)

    def need_bucket(self) -> str:
        """Return the bucket of archives.

        Raises:
            SettingsError: none is set; says how to get one.
        """
        if not self.bucket:
            raise SettingsError(
                "STREAMBOSS_BUCKET is not set: run 'streamboss up', or set it to the bucket of your"
                " archives, and AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"
            )
        return self.bucket

    def need_manager(self) -> str:
        """Return the manager's address.

        Raises:
            SettingsError: none is set; says how to get one.
        """
        if not self.manager_url:
            raise SettingsError(
                "STREAMBOSS_MANAGER_URL is not set: run 'streamboss up', or set it to your manager"
            )
        return self.manager_url


def find_env_file(folder: Path) -> Path | None:
    """Return the nearest `.streamboss/env` from `folder` upwards, or None."""
    for place in (folder, *folder.parents):
        if (path := place / ENV_FILE).is_file():
            return path
    return None


def without_password(url: str) -> str:
    """Return `url` fit for a log or an error: scheme, host, port and path only."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def vhost_of(amqp_url: str) -> str:
    """Return the virtual host that an AMQP address names; `/` when it names none."""
    return unquote(urlsplit(amqp_url).path.removeprefix("/")) or "/"


def login_of(amqp_url: str) -> tuple[str, str]:
    """Return user and password of an AMQP address."""
    parts = urlsplit(amqp_url)
    return unquote(parts.username or "guest"), unquote(parts.password or "guest")


def _s3_access(written: Mapping[str, str], env: Mapping[str, str], problems: list[str]) -> S3Access:
    """Return how S3 is reached.

    A login belongs to its server: keys in the environment, meant for some cloud, aren't shown to
    the server of `.streamboss/env`, which names its own.
    """
    found = S3Access.of(written)
    if not (found.endpoint_url and found.access_key_id) or S3Access.of(env).endpoint_url:
        found = S3Access.of({**written, **env})
    ca_file = _ca_file(found.ca_file, S3_CA_VARIABLE, problems)
    return replace(found, ca_file=None if ca_file is None else str(ca_file))


def _ca_of(access: S3Access) -> str | None:
    """Return the CA of an S3 server of one's own, in PEM; AWS's is known everywhere."""
    if access.ca_file is None or access.endpoint_url is None:
        return None
    try:
        text = Path(access.ca_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{S3_CA_VARIABLE}: {access.ca_file}: {error}") from None
    if len(text) > _CA_BYTES:
        raise SettingsError(
            f"{S3_CA_VARIABLE}: {access.ca_file}: agents get it with each operation: name a file"
            f" with the CA of {without_password(access.endpoint_url)} alone"
        )
    return text


def _listed(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _number(values: Mapping[str, str], name: str, problems: list[str]) -> int | None:
    text = values.get(name, "").strip()
    if text and not (text.isascii() and text.isdigit()):
        problems.append(f"{name}: must be a whole number, 0 or more")
        return None
    return int(text) if text else None


def _ca_file(text: str | None, variable: str, problems: list[str]) -> Path | None:
    if not text:
        return None
    try:
        tls.context(text, variable=variable)
    except SettingsError as error:
        problems.append(str(error))
    return Path(text).absolute()


def _amqp_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        legal = parts.scheme in {"amqp", "amqps"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        legal = False
    if legal:
        return None
    return "STREAMBOSS_AMQP_URL: must look like amqp://user:password@host:5672/vhost"


def _nearest_env_file(folder: Path) -> dict[str, str]:
    path = find_env_file(folder)
    if path is None or not os.access(path, os.R_OK):
        return {}
    values = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise SettingsError(f"{path}, line {number}: {error}") from None
        for word in words:
            name, equals, value = word.partition("=")
            if equals:
                values[name] = value
            elif word != "export":
                raise SettingsError(f"{path}, line {number}: expected NAME=VALUE")
    return values
