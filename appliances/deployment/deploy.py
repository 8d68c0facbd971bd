"""Deploying a manager: launched once, told what it must know, upgraded in place from then on."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from appliances import installing
from appliances.builder import Builder
from appliances.deployment import buckets, env_file, host, settings
from appliances.deployment.host import Handed
from appliances.errors import BuildError
from appliances.progress import Progress
from appliances.wheels import Wheels
from provision import renewing
from provision.errors import ProvisionError
from provision.machine import APPLIANCE, PORTS, PROTECT, Image, Machine, Role, State
from provision.site import Site
from provision.ssh import Shell
from provision.user_data import (
    LEASE_FILE,
    lease_file,
    lease_files,
    reachable,
    told_by_ssh,
    user_data,
)
from streams.access import CA_VARIABLE as S3_CA_VARIABLE
from streams.access import S3Access
from streams.errors import ObjectError
from streams.objects import Objects

_NAME = "manager"
_SHORT_S = 60


@dataclass(frozen=True)
class Deployed:
    """A manager that is ready. `env`: how tools reach it. `changed`: what was done, in words."""

    machine: Machine
    env: Mapping[str, str] = field(repr=False)
    changed: str


@dataclass(frozen=True)
class Deployment:
    """The manager of one cloud.

    `builder` makes its image, where there is none; `environment` is of whoever deploys: it may
    name an S3 server.
    """

    site: Site
    builder: Builder = field(repr=False)
    progress: Progress
    environment: Mapping[str, str] = field(repr=False)
    #: where the CA of its machine is kept here
    ca_file: Path

    def run(self, hours: float | None) -> Deployed:
        """Launch a manager, or bring the one that is there up to date; return it when it is ready.

        Interrupted, or killed, it leaves at most a machine that is listed and leased: the next run
        goes on with it.

        Args:
            hours: of its lease, from now on; None: the inventory's, or as it is.

        Raises:
            BuildError: the manager doesn't get ready; with its last words.
            ProvisionError: the cloud or the machine said no. A machine just launched is gone.
        """
        there = self._find()
        if there is None:
            return self._begin(hours)
        machine = self._awake(there)
        if hours is not None:
            machine = renewing.renew(self.site, machine, hours)[0]
        with self._shell(machine) as shell:
            env, told = self._hand(machine, shell)
            done = self._upgrade(shell) or ("told anew" if told else "unchanged")
            self._wait_ready(env, shell)
        return Deployed(machine, env, done)

    def _begin(self, hours: float | None) -> Deployed:
        image = self._image(hours)
        with self.progress.step(f"launch {self.builder.size} from {image.name}"):
            machine = self._launch(image, hours)
        try:
            machine = self.site.cloud.wait_ready(machine)
            with self._shell(machine) as shell:
                env, _ = self._hand(machine, shell)
                self._wait_ready(env, shell)
        except BaseException:
            with self.progress.step(f"terminate {machine.id}"):
                self.site.cloud.terminate(machine)
            raise
        return Deployed(machine, env, "launched")

    def _find(self) -> Machine | None:
        found = [m for m in self.site.cloud.machines() if m.role == Role.MANAGER]
        if len(found) > 1:
            ids = ", ".join(machine.id for machine in found)
            raise BuildError(
                f"{self.site.cloud.name}: several managers: {ids}: terminate all but one"
            )
        return found[0] if found else None

    def _awake(self, machine: Machine) -> Machine:
        if machine.state is not State.STOPPED:
            return self.site.cloud.wait_ready(machine)
        with self.progress.step(f"start {machine.id}"):
            return self.site.cloud.start(machine)

    def _image(self, hours: float | None) -> Image:
        """Return the image to launch, built if there is none of this content."""
        self.site.cloud.lease(self._hours(hours), Role.MANAGER)
        return self.builder.build()[0]

    def _hours(self, hours: float | None) -> float | None:
        known = self.site.inventory.appliance(self.builder.recipe.name)
        return known.hours if hours is None else hours

    def _launch(self, image: Image, hours: float | None) -> Machine:
        cloud = self.site.cloud
        lease = cloud.lease(self._hours(hours), Role.MANAGER)
        can = cloud.account.can
        return cloud.launch(
            image.id,
            name=_NAME,
            size=self.builder.size,
            hours=self._hours(hours),
            role=Role.MANAGER,
            user_data=user_data(can, self.site.key.public, lease_files(lease)),
            public_key=self.site.key.public,
            tags={
                APPLIANCE: self.builder.recipe.name,
                PORTS: ",".join(map(str, settings.PORTS)),
                PROTECT: "it holds a manager's data",
            },
        )

    @contextmanager
    def _shell(self, machine: Machine) -> Iterator[Shell]:
        with ExitStack() as stack:
            with self.progress.step(f"log in to {machine.id}"):
                shell = stack.enter_context(self.site.shell(machine))
                installing.booted(shell)
            yield shell

    def _hand(self, machine: Machine, shell: Shell) -> tuple[Mapping[str, str], bool]:
        """Tell a machine what it must know; return how tools reach it, and whether that is new."""
        site = self.site
        if told_by_ssh(site.cloud.account.can) and machine.lease:
            told = lease_file(machine.lease, datetime.now(UTC))
            shell.put_text(told[LEASE_FILE], LEASE_FILE, mode=0o600)
        with self.progress.step("first boot: broker, database, passwords"):
            first = host.first_settings(shell)
        self._check_tls(first, machine)
        with self.progress.step("certificate"):
            ca = host.certify(shell, settings.hosts(first, machine, site.cloud.entry))
            env_file.put(self.ca_file, ca, mode=0o644)
        s3 = settings.borrowed_s3(self.environment)
        with self.progress.step("hand over settings and credentials"):
            gate = site.cloud.open_gate(machine)
            if gate:
                host.check_gate(shell)
            handed = Handed(
                settings.of_manager(first, machine, site.cloud.entry, self._seen_there(s3)),
                settings.inventory(site.inventory, site.cloud.name, host.GATE if gate else None),
                settings.secrets_file(site.inventory, site.secrets),
                self._ca_of(s3),
            )
            host.own_s3(shell, wanted=not s3)
            return settings.of_users(first, machine, s3, self.ca_file), host.hand(shell, handed)

    @staticmethod
    def _check_tls(first: Mapping[str, str], machine: Machine) -> None:
        if settings.is_in_the_clear(first):
            raise BuildError(
                f"{machine.id} is of an older image and serves in the clear, which no upgrade in"
                " place can mend: back it up, 'fab terminate', deploy, restore:"
                " docs/operating.md, 'From a manager in the clear', has the commands"
            )

    @staticmethod
    def _ca_of(s3: Mapping[str, str]) -> str:
        file = s3.get(S3_CA_VARIABLE)
        try:
            return Path(file).read_text(encoding="utf-8") if file else ""
        except (OSError, UnicodeDecodeError) as error:
            raise BuildError(f"{S3_CA_VARIABLE}: {file}: {error}") from None

    def _seen_there(self, s3: Mapping[str, str]) -> Mapping[str, str]:
        name, cloud = "AWS_ENDPOINT_URL_S3", self.site.cloud
        return {**s3, name: reachable(cloud.name, cloud.entry, s3[name])} if s3 else {}

    def _upgrade(self, shell: Shell) -> str:
        """Let the machine run the packages of now; return what was done, nothing if it does."""
        python = self.builder.recipe.python
        wheels = Wheels(python, self.site.packages) if python else None
        if wheels is None or host.has_version(shell, wheels):
            return ""
        with self.progress.step("install the new version beside the old one"):
            name = host.install(shell, wheels)
        with self.progress.step("back up the database, migrate, switch"):
            host.switch(shell, name)
        return "upgraded"

    def _wait_ready(self, env: Mapping[str, str], shell: Shell) -> None:
        url = env["STREAMBOSS_MANAGER_URL"]
        with self.progress.step("wait for /readyz") as on_line:
            try:
                host.wait_ready(url, self.ca_file, on_line)
            except ProvisionError as error:
                said = host.last_words(shell)
                raise BuildError(f"{error}; its last words:\n{said}") from error
        self._make_buckets(env)

    def _make_buckets(self, env: Mapping[str, str]) -> None:
        """Make the buckets that the settings name; what hinders that hinders nothing else."""
        named = [env[name] for name in ("STREAMBOSS_BUCKET", "STREAMBOSS_OBJECT_BUCKET")]
        try:
            buckets.make(Objects(S3Access.of(env)), named)
        except (ObjectError, ProvisionError) as error:
            self.progress.note(f"s3: {error}; objects and archives wait for that")
