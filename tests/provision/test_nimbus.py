"""Nimbus by both its ends, against a site that refuses what a real one refuses."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from provision.attempts import Status
from provision.cloud import Cloud
from provision.entries import Limits, NimbusEntry
from provision.errors import Kind, ProvisionError
from provision.garbage import collect
from provision.inventory import Inventory
from provision.journal import Journal
from provision.machine import Role, State
from provision.recovery import recover
from provision.secrets import Secrets
from tests.embedded import ROOT
from tests.provision.baking import KEY
from tests.provision.nimbus_front import KEY as ACCESS_KEY
from tests.provision.nimbus_front import serve
from tests.provision.nimbus_site import Site

SECRETS = Secrets(
    {"STREAMBOSS_SECRET_HOTEL_KEY": ACCESS_KEY, "STREAMBOSS_SECRET_HOTEL_SECRET": "s"}
)


@dataclass
class Hotel:
    """A site, and what the inventory says of it."""

    site: Site
    port: int
    folder: Path

    def entry(self, *, client: bool) -> NimbusEntry:
        """Return its entry, with cloud-client or without."""
        return NimbusEntry(
            kind="nimbus",
            host="localhost",
            port=self.port,
            ca_file=self.folder / "ca.pem",
            cloud_client=self.folder / "cloud-client.sh" if client else None,
            credentials="hotel",
            sizes={"small": "m1.small"},
            limits=Limits(hours=744, machines=8, user_data_bytes=5000, calls_per_s=1000),
        )

    def cloud(self, journal: Journal, *, client: bool = True, owner: str = "us") -> Cloud:
        """Return our face of it."""
        inventory = Inventory.model_validate(
            {
                "defaults": {"cloud": "hotel", "owner": owner},
                "clouds": {"hotel": self.entry(client=client)},
            }
        )
        cloud = Cloud.open(inventory, None, journal=journal, secrets=SECRETS)
        return Cloud(cloud.account, journal, grace_s=0.5, interval_s=0.05)


@pytest.fixture
def hotel(tmp_path: Path) -> Iterator[Hotel]:
    """A site with one image, behind TLS of its own authority."""
    _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    site = Site(tmp_path / "site")
    site.put("images", "debian-7.gz")
    program = tmp_path / "cloud-client.sh"
    program.write_text(
        f"#!/bin/sh\ncd {ROOT}\n"
        f'exec {sys.executable} -S -m tests.provision.nimbus_client {site.folder} "$@"\n'
    )
    program.chmod(0o755)
    server = serve(site, context)
    yield Hotel(site, server.server_address[1], tmp_path)
    server.shutdown()
    server.server_close()


def _certificate(folder: Path) -> None:
    """Write a certificate for localhost that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(secret)


def test_the_quickstarts_way_run_save_and_run_what_was_saved(
    hotel: Hotel, journal: Journal
) -> None:
    cloud = hotel.cloud(journal)
    launched = cloud.launch("debian-7.gz", name="stream-agent", hours=300, public_key=KEY)
    assert launched.id == "vm-001"
    (machine,) = hotel.site.all("machines")
    assert (machine["hours"], machine["key"].strip()) == (300, KEY)
    ready = cloud.wait_ready(launched)
    assert (ready.host, ready.state) == (machine["address"], State.RUNNING)
    assert ready.lease is not None
    assert ready.lease.ends_at > datetime.now(UTC) + timedelta(hours=299)
    image = cloud.save(ready, "my-operation")
    assert image.available
    assert hotel.site.all("machines") == [], "Nimbus ends what it saves"
    cloud.terminate(ready)
    again = cloud.launch("my-operation", name="my-operation", hours=0.5)
    assert again.id == "vm-002"
    cloud.terminate(again)
    cloud.images.delete(image)
    assert [i["name"] for i in hotel.site.all("images")] == ["debian-7.gz"]


def test_a_name_at_launch_is_the_image_at_the_end(hotel: Hotel, journal: Journal) -> None:
    hotel.cloud(journal).launch("debian-7.gz", name="m", hours=2, save_as="my-operation")
    (machine,) = hotel.site.all("machines")
    assert machine["newname"] == "my-operation"


def test_user_data_go_through_the_front_end_for_a_day_at_most(
    hotel: Hotel, journal: Journal
) -> None:
    cloud = hotel.cloud(journal)
    launched = cloud.launch("debian-7.gz", name="m", hours=24, user_data="#cloud-config\n")
    assert launched.id.startswith("i-")
    assert [m.id for m in cloud.machines()] == [launched.id]
    with pytest.raises(ProvisionError, match=r"EC2 front end, which ends machines after 24 hours"):
        cloud.launch("debian-7.gz", name="n", hours=25, user_data="#cloud-config\n")
    assert len(hotel.site.all("machines")) == 1
    cloud.terminate(launched)


def test_without_cloud_client_what_it_alone_can_is_refused(hotel: Hotel, journal: Journal) -> None:
    cloud = hotel.cloud(journal, client=False)
    with pytest.raises(ProvisionError, match=r"without cloud_client .* after 24 hours, not 744"):
        cloud.launch("debian-7.gz", name="m", hours=744)
    machine = cloud.launch("debian-7.gz", name="m", hours=24)
    with pytest.raises(ProvisionError, match="hotel: this cloud can't save machines as images"):
        cloud.save(machine, "my-operation")
    cloud.terminate(machine)


def test_more_hours_than_the_site_allows_is_the_sites_refusal(
    hotel: Hotel, journal: Journal
) -> None:
    cloud = hotel.cloud(journal)
    with pytest.raises(ProvisionError, match=r"--run: .*Resource request denied") as caught:
        cloud.launch("debian-7.gz", name="m", hours=744)
    assert caught.value.kind is not Kind.RETRY
    assert not journal.attempts() or all(a.thing != "machine" for a in journal.attempts().values())


def test_a_lease_that_the_cloud_keeps_cant_be_renewed(hotel: Hotel, journal: Journal) -> None:
    cloud = hotel.cloud(journal)
    machine = cloud.launch("debian-7.gz", name="m", hours=2)
    with pytest.raises(ProvisionError, match="save this one, and launch it anew"):
        cloud.renew(machine, 10)


def test_machines_of_others_in_the_same_account_arent_ours(
    hotel: Hotel, journal: Journal, tmp_path: Path
) -> None:
    with Journal(tmp_path / "elsewhere" / "journal") as theirs:
        foreign = hotel.cloud(theirs, owner="them")
        foreign.launch("debian-7.gz", name="theirs", hours=2)
        foreign.launch("debian-7.gz", name="theirs", hours=2, user_data="x")
    ours = hotel.cloud(journal)
    assert len(ours.account.machines()) == 2
    assert ours.machines() == []
    recover(ours)
    collect(ours, {}, min_age=timedelta(0), dry_run=False)
    assert len(hotel.site.all("machines")) == 2


def test_wrong_credentials_are_said_without_showing_them(hotel: Hotel, journal: Journal) -> None:
    cloud = hotel.cloud(journal, client=False)
    driver = cloud.account.driver
    driver.connection.user_id = driver.connection.signer.access_key = "wrong"
    with pytest.raises(ProvisionError, match="the credentials are refused") as caught:
        cloud.check()
    assert caught.value.kind is Kind.AUTH
    assert "wrong" not in str(caught.value)


def test_an_authority_that_isnt_named_isnt_trusted(hotel: Hotel, journal: Journal) -> None:
    cloud = hotel.cloud(journal, client=False)
    cloud.account.driver.connection.connection.ca_cert = None
    with pytest.raises(ProvisionError, match="its TLS certificate isn't trusted"):
        cloud.check()


_LAUNCH = """
import sys
from pathlib import Path
from provision.journal import Journal
from provision.machine import Role
from tests.provision.test_nimbus import Hotel
from tests.provision.nimbus_site import Site
folder, port, role, save = sys.argv[1:]
hotel = Hotel(Site(Path(folder) / "site"), int(port), Path(folder))
cloud = hotel.cloud(Journal(Path(folder) / "journal"))
machine = cloud.launch("debian-7.gz", name="m", hours=2, role=Role(role))
if save:
    cloud.save(machine, save, role=Role.CANDIDATE)
"""


def _killed(hotel: Hotel, moment: str, role: Role, save: str = "") -> None:
    """Run a child that launches, and perhaps saves, and is killed at a moment."""
    child = subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, str(hotel.folder), str(hotel.port), role, save],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    marker = hotel.site.folder / f"kill-{moment}"
    marker.write_text(str(child.pid))
    assert child.wait(timeout=60) == -9
    marker.unlink()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("role", [Role.BUILD, Role.FLEET])
def test_a_launch_killed_within_cloud_client_is_found_again(
    hotel: Hotel, journal: Journal, moment: str, role: Role
) -> None:
    _killed(hotel, moment, role)
    cloud = hotel.cloud(journal)
    recover(cloud)
    left = [m.id for m in cloud.machines()]
    assert left == ([] if role is Role.BUILD else ["vm-001"])
    assert len(hotel.site.all("machines")) == len(left)
    assert len([a for a in journal.attempts().values() if a.thing == "machine"]) == len(left)
    assert cloud.launch("debian-7.gz", name="next", hours=1).id == "vm-002"


@pytest.mark.parametrize("moment", ["save-before", "save-after"])
def test_a_save_killed_within_cloud_client_is_found_again(
    hotel: Hotel, journal: Journal, moment: str
) -> None:
    _killed(hotel, moment, Role.BUILD, save="my-operation")
    cloud = hotel.cloud(journal)
    recover(cloud)
    assert hotel.site.all("machines") == []
    (attempt,) = journal.attempts().values()
    assert (attempt.name, attempt.status) == ("my-operation", Status.DONE)
    image = cloud.account.find_image("my-operation")
    assert image.tags["streamboss:owner"] == "us"
