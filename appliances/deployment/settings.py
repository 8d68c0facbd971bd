"""What a deployed manager is told, and what its users' tools are told. Pure."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from provision.entries import ApplianceEntry, CloudEntry, LocalEntry
from provision.inventory import Inventory
from provision.machine import Machine
from provision.secrets import Secrets
from streams.access import CA_VARIABLE as S3_CA_VARIABLE
from streams.access import S3Access
from streams.tls import CA_VARIABLE

Env = Mapping[str, str]

AMQP, HTTP, S3 = 5671, 8081, 8333
#: What others reach on a manager's machine, besides ssh; all of it by TLS.
PORTS = (AMQP, HTTP, S3)
#: On the machine.
INVENTORY = "/etc/streamboss/inventory"
#: The CA of an S3 server that somebody else runs.
S3_CA = "/etc/streamboss/s3-ca.pem"
_ADDRESSES = {
    "STREAMBOSS_AMQP_URL": AMQP,
    "STREAMBOSS_MANAGER_URL": HTTP,
    "AWS_ENDPOINT_URL_S3": S3,
}
_BUCKETS = {"STREAMBOSS_BUCKET": "archives", "STREAMBOSS_OBJECT_BUCKET": "outputs"}
_OBJECTS = (*_BUCKETS, "STREAMBOSS_OBJECT_THRESHOLD", "STREAMBOSS_OBJECT_DAYS")
#: Of use on the machine alone.
_PRIVATE = ("STREAMBOSS_DATABASE_URL", "STREAMBOSS_BROKER_API_URL", "STREAMBOSS_INVENTORY")
#: What an entry of the inventory holds that is on the computer of whoever deploys.
_LEFT_HERE = {"cloud_client", "cloud_client_conf", "ca_file"}


def of_manager(first: Env, machine: Machine, entry: CloudEntry, s3: Env) -> dict[str, str]:
    """Return the settings of a manager on `machine`; agents hear of the same addresses.

    On a cloud that publishes ports these are the published ones, as its machines reach them;
    elsewhere those of the machine itself.

    Args:
        first: what its first boot made.
        machine: where it is.
        entry: what the inventory says of its cloud.
        s3: an S3 server that somebody else runs; empty: its own.
    """
    told = first
    if machine.ports and entry.services_host:
        told = _reached(first, entry.services_host, machine.port)
    theirs = {**s3, S3_CA_VARIABLE: S3_CA} if S3_CA_VARIABLE in s3 else s3
    return {**_with_s3(told, theirs), "STREAMBOSS_INVENTORY": INVENTORY}


def of_users(first: Env, machine: Machine, s3: Env, ca_file: Path) -> dict[str, str]:
    """Return the settings of tools that are to talk to the manager on `machine`, from here.

    `ca_file` holds the machine's CA, here.
    """
    cas = {CA_VARIABLE: str(ca_file), S3_CA_VARIABLE: str(ca_file)}
    told = _with_s3({**_reached(first, str(machine.host), machine.port), **cas}, s3)
    return {name: value for name, value in told.items() if name not in _PRIVATE}


def is_in_the_clear(first: Env) -> bool:
    """Say whether a machine serves without TLS, as those of older images do."""
    return urlsplit(first["STREAMBOSS_AMQP_URL"]).scheme == "amqp"


def hosts(first: Env, machine: Machine, entry: CloudEntry) -> list[str]:
    """Return all names and addresses by which a manager's machine is reached."""
    own = urlsplit(first["STREAMBOSS_AMQP_URL"]).hostname
    found = ("localhost", "127.0.0.1", own, machine.host, entry.services_host)
    return list(dict.fromkeys(host for host in found if host))


def borrowed_s3(env: Env) -> dict[str, str]:
    """Return the S3 server that `env` names by its address, with its buckets; empty if none.

    Keys alone don't count: they may be meant for some cloud.
    """
    access = S3Access.of(env)
    if not access.endpoint_url:
        return {}
    named = {name: env[name] for name in _OBJECTS if env.get(name)}
    return {**access.environment(), **_BUCKETS, **named}


def inventory(known: Inventory, cloud: str, gate: str | None) -> str:
    """Return the inventory of a manager on a machine of `cloud`, as YAML.

    It has the owner's name in it: theirs are the same machines as ours. Recipes, and programs
    that only this computer has, are left out.
    """
    clouds = {name: _entry(entry) for name, entry in known.clouds.items()}
    if gate and isinstance(known.clouds[cloud], LocalEntry):
        clouds[cloud]["socket"] = gate
    # another local cloud would be podman of the machine itself
    kept = {n: e for n, e in clouds.items() if e["kind"] != "local" or "socket" in e}
    appliances = {name: _appliance(entry, kept) for name, entry in known.appliances.items()}
    defaults = known.defaults.model_dump(mode="json", exclude_none=True)
    default = known.defaults.cloud if known.defaults.cloud in kept else next(iter(kept), cloud)
    defaults |= {"owner": known.owner, "cloud": default}
    whole = {"defaults": defaults, "clouds": kept, "appliances": appliances}
    return json.dumps(whole, indent=1) + "\n"  # which is YAML, too


def secrets_file(known: Inventory, secrets: Secrets) -> str:
    """Return the credentials of the inventory's clouds that are there, as lines `name=value`.

    Raises:
        SecretError: a file of secrets lies open to others.
    """
    lines = []
    for name, entry in known.clouds.items():
        if not isinstance(entry, LocalEntry):
            parts = [f"{entry.credentials or name}-{part}" for part in ("key", "secret", "token")]
            found = ((part, secrets.find(part)) for part in parts)
            lines += [f"{part}={value}\n" for part, value in found if value]
    return "".join(dict.fromkeys(lines))


def parse(text: str) -> dict[str, str]:
    """Return the settings in a file of lines `NAME=value`."""
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, equals, value in pairs if equals}


def written(env: Env) -> str:
    """Return settings as systemd reads them."""
    return "".join(f"{name}={value}\n" for name, value in sorted(env.items()))


def _with_s3(env: Env, s3: Env) -> dict[str, str]:
    """Return `env` with another S3 server, if one is named; our own CA isn't that one's."""
    own = {name: value for name, value in env.items() if not s3 or name != S3_CA_VARIABLE}
    return {**own, **s3}


def _entry(entry: CloudEntry) -> dict[str, Any]:
    dumped = entry.model_dump(mode="json", exclude=_LEFT_HERE, exclude_defaults=True)
    return {**dumped, "kind": entry.kind}


def _appliance(entry: ApplianceEntry, clouds: Collection[str]) -> dict[str, Any]:
    dumped = entry.model_dump(mode="json", exclude={"recipe"}, exclude_defaults=True)
    images = {cloud: image for cloud, image in entry.images.items() if cloud in clouds}
    return {**dumped, "images": images}


def _reached(env: Env, host: str, port: Callable[[int], int]) -> dict[str, str]:
    """Return `env` with the addresses of the machine's services as somebody else reaches them."""
    told = dict(env)
    for name, number in _ADDRESSES.items():
        parts = urlsplit(env[name])
        login, at, _ = parts.netloc.rpartition("@")
        told[name] = parts._replace(netloc=f"{login}{at}{host}:{port(number)}").geturl()
    return told
