"""libcloud drivers: registered once, made from an inventory entry, one for each thread.

Every driver is a libcloud `NodeDriver`. Where the clouds differ, ours follow EC2's:

* `create_node(name=, size=, image=, ex_metadata={tag: value}, ex_userdata=text)`; and, where the
  capability is there, `ex_clienttoken=`, `ex_keyname=`, `ex_security_groups=[name, ...]`.
* `create_image(node, name, description=, ex_metadata={tag: value})` returns a NodeImage; it may
  come `pending`. `delete_image(image)`.
* `ex_create_tags(resource, {tag: value})` adds to and replaces tags of a node or image.
* `ex_get_console_output(node)["output"]`: what the machine wrote while it booted, or None.
* Node: `state`, `public_ips`, `private_ips`, `created_at` (aware) or `extra["launch_time"]` (ISO),
  `extra["tags"]`, `extra["image_id"]`, `extra["instance_type"]`, `extra["ssh_port"]` (22 if
  absent), `extra["client_token"]`.
* NodeImage: `id`, `name`, `extra["tags"]`, `extra["state"]` (`available` if absent, `pending`,
  `failed`), `extra["creation_date"]` (ISO).
* `list_nodes` also shows what is half made, `destroy_node` is done twice without an error.
"""

import inspect
import threading
from pathlib import Path
from typing import Any

from libcloud.compute.base import NodeDriver
from libcloud.compute.providers import DRIVERS, get_driver, set_driver

from provision.capabilities import Capability
from provision.entries import (
    CloudEntry,
    Ec2Entry,
    EucalyptusEntry,
    LibcloudEntry,
    LocalEntry,
    NimbusEntry,
    OpenstackEntry,
)
from provision.errors import ProvisionError
from provision.secrets import Secrets

#: Our own drivers: provider name, module, class. Registered when first asked for.
_OURS = {
    "local": ("streamboss-local", "provision.drivers.local", "LocalNodeDriver"),
    "ec2": ("streamboss-ec2", "provision.drivers.ec2like", "Ec2Driver"),
    "eucalyptus": ("streamboss-eucalyptus", "provision.drivers.ec2like", "EucalyptusDriver"),
    "nimbus": ("streamboss-nimbus", "provision.drivers.nimbus", "NimbusDriver"),
    "openstack": ("streamboss-openstack", "provision.drivers.openstack", "OpenstackDriver"),
}
_registering = threading.Lock()


def driver_for(name: str, entry: CloudEntry, secrets: Secrets, state: Path) -> Any:
    """Return a new driver for a cloud. libcloud's aren't thread-safe: one for each thread.

    Args:
        name: the cloud's name in the inventory.
        entry: what the inventory says of it.
        secrets: where its credentials are.
        state: folder for what a driver itself must remember (cloud-client's history).

    Raises:
        SecretError: credentials that aren't there.
        ProvisionError: arguments that no such cloud has.
    """
    try:
        return _made(name, entry, secrets, state)
    except (ValueError, TypeError) as error:
        raise ProvisionError(f"clouds: {name}: {error}") from error


def capabilities_of(entry: CloudEntry, driver: Any) -> frozenset[Capability]:
    """Return what a cloud can do; of any other driver of libcloud's, what its methods show."""
    if not isinstance(entry, LibcloudEntry):
        return entry.capabilities
    known = inspect.signature(driver.create_node).parameters
    shown = {
        Capability.SNAPSHOT: _overridden(driver, "create_image"),
        Capability.TAGS: "ex_metadata" in known,
        Capability.USER_DATA: "ex_userdata" in known,
        Capability.CLIENT_TOKEN: "ex_clienttoken" in known,
        Capability.STOP: _overridden(driver, "stop_node") and _overridden(driver, "start_node"),
    }
    return frozenset(capability for capability, has in shown.items() if has)


def _overridden(driver: Any, method: str) -> bool:
    return getattr(type(driver), method, None) is not getattr(NodeDriver, method, None)


def _made(name: str, entry: CloudEntry, secrets: Secrets, state: Path) -> Any:
    match entry:
        case LocalEntry():
            return _class(entry.kind)(name, entry.socket, state / "gates" / name)
        case Ec2Entry():
            return _ec2(name, entry, secrets)
        case EucalyptusEntry():
            driver = _class(entry.kind)(
                *_login(name, entry, secrets), entry.secure, entry.host, entry.path, entry.port
            )
            driver.trust(entry.ca_file)
            return driver
        case NimbusEntry():
            return _nimbus(name, entry, secrets, state)
        case OpenstackEntry():
            return _openstack(name, entry, secrets)
        case LibcloudEntry():
            return _any_other(name, entry, secrets)


def _ec2(name: str, entry: Ec2Entry, secrets: Secrets) -> Any:
    key, secret = _login(name, entry, secrets)
    driver = _class(entry.kind)(
        key,
        secret,
        secure=entry.secure,
        host=entry.host,
        port=entry.port,
        region=entry.region,
        token=secrets.find(f"{entry.credentials}-token"),
        signature_version="4",
        timeout=60,
    )
    driver.path = entry.path
    driver.trust(entry.ca_file)
    return driver


def _nimbus(name: str, entry: NimbusEntry, secrets: Secrets, state: Path) -> Any:
    key, secret = _login(name, entry, secrets)
    driver = _class(entry.kind)(
        key, secret, secure=entry.secure, host=entry.host, port=entry.port, timeout=60
    )
    driver.prepare(entry, state / "cloud-client" / name, name)
    return driver


def _openstack(name: str, entry: OpenstackEntry, secrets: Secrets) -> Any:
    key, secret = _login(name, entry, secrets)
    version = "3.x_password" if entry.auth == "password" else "3.x_appcred"
    driver = _class(entry.kind)(
        key,
        secret,
        ex_force_auth_url=entry.auth_url,
        ex_force_auth_version=version,
        ex_tenant_name=entry.project,
        ex_domain_name=entry.domain,
        ex_force_service_region=entry.region,
        timeout=60,
    )
    driver.prepare(entry)
    return driver


def _any_other(name: str, entry: LibcloudEntry, secrets: Secrets) -> Any:
    """Return any driver of libcloud's. It would take and ignore misspelt arguments: we don't."""
    driver_class = _by_name(name, entry.driver)
    known = inspect.signature(driver_class.__init__).parameters
    unknown = sorted(set(entry.arguments) - set(known))
    if unknown:
        there = ", ".join(sorted(set(known) - {"self", "args", "kwargs"}))
        raise ProvisionError(
            f"clouds: {name}: arguments: {', '.join(unknown)}: not of {entry.driver}'s;"
            f" there are: {there}"
        )
    login = _login(name, entry, secrets) if entry.credentials else ()
    return driver_class(*login, **entry.arguments)


def _by_name(name: str, driver: str) -> Any:
    """Return a driver's class, by provider name or as `package.module.Class`."""
    try:
        if "." in driver:
            module, _, klass = driver.rpartition(".")
            return _registered(f"streamboss:{driver}", module, klass)
        return get_driver(driver.lower())
    except (ImportError, AttributeError, KeyError):
        raise ProvisionError(
            f"clouds: {name}: driver: libcloud knows no {driver!r};"
            " give a provider's name, as 'gce', or package.module.Class"
        ) from None


def _class(kind: str) -> Any:
    return _registered(*_OURS[kind])


def _registered(provider: str, module: Any, klass: Any) -> Any:
    with _registering:  # a second registration is an error to libcloud
        if provider not in DRIVERS:
            set_driver(provider, module, klass)
    return get_driver(provider)


def _login(name: str, entry: CloudEntry, secrets: Secrets) -> tuple[str, str]:
    names = entry.credentials or name
    return secrets.need(f"{names}-key"), secrets.need(f"{names}-secret")
