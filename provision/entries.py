"""What the inventory says of each cloud and appliance: the models behind its YAML."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from provision import capabilities
from provision.capabilities import Capability

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


def _bare_host(value: str) -> str:
    if "/" in value or ":" in value:
        raise ValueError("a host name or address alone; scheme, port and path have their own keys")
    return value


def _beside_the_inventory(value: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return Path(folder) / value if folder else value


#: A path is relative to the inventory's folder.
FilePath = Annotated[Path, AfterValidator(_beside_the_inventory)]
Host = Annotated[str, Field(min_length=1), AfterValidator(_bare_host)]
Port = Annotated[int, Field(ge=1, le=65535)]
Hours = Annotated[float, Field(gt=0, allow_inf_nan=False)]
#: In whatever currency the inventory has in mind.
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Strict):
    """What a cloud, or whoever pays for it, allows us."""

    hours: Hours = 8784  # a year
    machines: Annotated[int, Field(ge=1)] = 20
    price_per_day: Price | None = None  # for machines of the manager's, within any 24 hours
    user_data_bytes: Annotated[int, Field(ge=0)] = 16384
    calls_per_s: Annotated[float, Field(gt=0, le=1000)] = 5


class Ssh(_Strict):
    """How to log in to machines of a cloud; `cidr`: from where the cloud's firewall lets ssh in."""

    user: Annotated[str, Field(min_length=1)] = "root"
    timeout_s: Annotated[float, Field(gt=0)] = 600
    cidr: Annotated[str, Field(pattern=r"^[0-9.]+/[0-9]+$")] | None = None


class ImageQuery(_Strict):
    """The newest image that fits: a name with `*` for any text, of one owner or of anybody."""

    name: Annotated[str, Field(min_length=1)]
    owner: str | None = None


class _Entry(_Strict):
    """What all kinds share. `credentials` names secrets: NAME-key and NAME-secret."""

    credentials: Name | None = None
    rank: int = 100  # where machines go first, if several clouds may have them: the lowest
    hours: Hours | None = None  # of a lease that names none; else the inventory's default
    images: dict[str, str | ImageQuery] = Field(default_factory=dict)
    sizes: dict[str, str] = Field(default_factory=dict)
    prices: dict[str, Price] = Field(default_factory=dict)  # an hour, by size
    limits: Limits = Limits()
    ssh: Ssh = Ssh()
    #: how machines there reach what runs beside us (broker, S3); None: as we do
    services_host: Host | None = None
    #: for how long such a cloud may not list what it has just created, and between two looks
    grace_s: ClassVar[float] = 60
    interval_s: ClassVar[float] = 2


class LocalEntry(_Entry):
    """Machines on this computer."""

    kind: Literal["local"]
    services_host: Host | None = "10.0.2.2"
    #: where podman serves, if it isn't this computer's own; a manager on a machine has one
    socket: str | None = None
    # podman lists at once, and `ex_busy` says what is under way
    grace_s: ClassVar[float] = 2
    interval_s: ClassVar[float] = 0.2

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this cloud can do."""
        return capabilities.LOCAL


class NimbusEntry(_Entry):
    """A Nimbus cloud: its EC2 front end, and cloud-client for leases and saving."""

    kind: Literal["nimbus"]
    host: Host
    port: Port = 8444
    secure: bool = True
    ca_file: FilePath | None = None
    cloud_client: FilePath | None = None
    cloud_client_conf: FilePath | None = None  # its --conf: one client serves several clouds
    front_end_hours: Hours = 24  # after which the site ends what its EC2 front end launched
    # what a stock Nimbus allows; its front end takes requests of 8 KiB at most, as one GET
    limits: Limits = Limits(hours=336, user_data_bytes=5000, calls_per_s=2)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this cloud can do."""
        client = capabilities.CLOUD_CLIENT if self.cloud_client else frozenset()
        return capabilities.NIMBUS | client


class Ec2Entry(_Entry):
    """Amazon EC2, or with `host` something that speaks as it does."""

    kind: Literal["ec2"]
    region: str = "us-east-1"
    host: Host | None = None
    port: Port | None = None
    path: str = "/"
    secure: bool = True
    ca_file: FilePath | None = None
    security_groups: tuple[str, ...] = ()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this cloud can do."""
        return capabilities.EC2


class EucalyptusEntry(_Entry):
    """A Eucalyptus cloud."""

    kind: Literal["eucalyptus"]
    host: Host
    port: Port = 8773
    path: str = "/services/compute"
    secure: bool = True
    ca_file: FilePath | None = None
    security_groups: tuple[str, ...] = ()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this cloud can do."""
        return capabilities.EUCALYPTUS


class OpenstackEntry(_Entry):
    """An OpenStack cloud, by Keystone 3 with a user's password or an application credential."""

    kind: Literal["openstack"]
    auth_url: Annotated[str, Field(pattern=r"^https?://")]
    auth: Literal["password", "application-credential"] = "password"
    project: str | None = None
    domain: str = "Default"
    region: str | None = None
    networks: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this cloud can do."""
        return capabilities.OPENSTACK


class LibcloudEntry(_Entry):
    """Any other driver of libcloud, by its provider name or as `package.module.Class`."""

    kind: Literal["libcloud"]
    driver: Annotated[str, Field(min_length=1)]
    arguments: dict[str, Any] = Field(default_factory=dict)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What every driver can do; what more this one can, its own methods say."""
        return frozenset()


#: The models by the word that chooses them.
KINDS: dict[str, type[BaseModel]] = {
    "local": LocalEntry,
    "nimbus": NimbusEntry,
    "ec2": Ec2Entry,
    "eucalyptus": EucalyptusEntry,
    "openstack": OpenstackEntry,
    "libcloud": LibcloudEntry,
}
CloudEntry = Annotated[
    LocalEntry | NimbusEntry | Ec2Entry | EucalyptusEntry | OpenstackEntry | LibcloudEntry,
    Field(discriminator="kind"),
]


class ApplianceEntry(_Strict):
    """An appliance that we keep: where its recipe is, and how its machines are launched."""

    recipe: FilePath | None = None
    size: str = "small"
    hours: Hours | None = None
    #: operations at once on a machine; None: as many as its agent thinks fit, 2 for each core
    slots: Annotated[int, Field(ge=1, le=10_000)] | None = None
    #: a machine that the manager launched ends after so long without work
    idle_minutes: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10
    #: so many of its machines are kept, also without work
    warm: Annotated[int, Field(ge=0, le=10_000)] = 0
    #: image names or ids by cloud, where it isn't one that we built
    images: dict[str, str] = Field(default_factory=dict)


class Defaults(_Strict):
    """What holds where nothing else is said. `owner`: None is user and host."""

    cloud: str = "local"
    owner: Name | None = None
    hours: Hours = 24
    min_image_age_hours: Annotated[float, Field(ge=0)] = 24
