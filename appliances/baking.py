"""One machine becomes one image: launch, install, scrub, save; undone in reverse on failure."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum

from appliances import installing, machines
from appliances.errors import BuildError
from appliances.progress import Progress
from appliances.steps import Step, left
from provision import agent as stream_agent
from provision.errors import ProvisionError
from provision.machine import (
    AGENT,
    APPLIANCE,
    ATTEMPT,
    BASE,
    HASH,
    Image,
    Machine,
    Role,
    State,
)
from provision.scrub import scrub
from provision.site import Site
from provision.ssh import Shell

_KEPT_ANSWERS_S = 30.0


class OnError(StrEnum):
    """What becomes of the machine when a step fails on it."""

    CLEANUP = "cleanup"
    KEEP = "keep"  # for two hours: somebody may look, and the next build goes on


@dataclass(frozen=True)
class Baking:
    """What is baked: `steps` on a machine from `base`, saved as `name`.

    `secrets` are values that must not be in the image.
    """

    site: Site
    appliance: str
    base: Image
    steps: Sequence[Step]
    name: str
    content: str
    size: str
    hours: float
    progress: Progress
    on_error: OnError
    variables: Mapping[str, str] = field(repr=False)
    secrets: Sequence[str] = field(repr=False)

    def run(self) -> Image:
        """Return the new image, not yet tried; the machine that it was made of is gone.

        Raises:
            BuildError: a step failed; says what is left, if anything is.
            ProvisionError: the cloud or the machine said no; nothing is left.
        """
        with ExitStack() as undo:
            machine, shell, todo = self._begin(undo)
            try:
                installing.install(shell, todo, self.variables, self.progress)
            except ProvisionError as error:
                raise self._failed(machine, error) from error
            agent = stream_agent.is_on(shell)
            with self.progress.step("record what went in"):
                self._record(shell)
            with self.progress.step("scrub"):
                key = self.site.key.public.split()[1]
                scrub(shell, [*self.secrets, key])
            with self.progress.step(f"save {self.name}"):
                return self._save(machine, agent=agent)

    def _record(self, shell: Shell) -> None:
        built_from = {
            "appliance": self.appliance,
            "content": self.content,
            "base": self.base.name,
        }
        text = installing.record(shell, built_from)
        file = self.site.contents(self.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        self.progress.note(f"what went in: {file}")

    def _begin(self, undo: ExitStack) -> tuple[Machine, Shell, Sequence[Step]]:
        """Return the machine, a shell on it, and what is to be done there."""
        kept = self._kept()
        if kept:
            begun = self._resumed(kept, undo)
            if begun:
                return begun
            self.progress.note(f"{kept.id}, kept from a failed build, is of no use: launching anew")
            self.site.cloud.terminate(kept)
        with self.progress.step(f"launch {self.size} from {self.base.name}"):
            machine = machines.launch(
                self.site,
                self.base,
                appliance=self.appliance,
                role=Role.BUILD,
                size=self.size,
                hours=self.hours,
            )
        undo.callback(self._end, machine)
        return machine, self._shell(machine, undo), self.steps

    def _resumed(
        self, kept: Machine, undo: ExitStack
    ) -> tuple[Machine, Shell, Sequence[Step]] | None:
        """Go on with a machine that an earlier build left half done, if it fits."""
        with ExitStack() as own:
            try:
                shell = self._shell(kept, own, timeout_s=_KEPT_ANSWERS_S)
                todo = left(self.steps, installing.done(shell))
            except ProvisionError:
                return None
            if todo is None:
                return None
            undo.callback(self._end, kept)
            undo.push(own.pop_all())
        done = len(self.steps) - len(todo)
        self.progress.note(f"going on with {kept.id}: {done} of {len(self.steps)} steps are done")
        return kept, shell, todo

    def _shell(self, machine: Machine, stack: ExitStack, timeout_s: float | None = None) -> Shell:
        with self.progress.step(f"log in to {machine.id}"):
            shell = stack.enter_context(self.site.shell(machine, timeout_s=timeout_s))
            installing.booted(shell)
        return shell

    def _kept(self) -> Machine | None:
        """Return the machine that a failed build of the same appliance on the same base kept."""
        kept = {a.id for a in self.site.cloud.journal.attempts().values() if a.kept and not a.live}
        for machine in self.site.cloud.machines():
            same = machine.tags.get(APPLIANCE) == self.appliance and machine.image == self.base.id
            fits = machine.role == Role.BUILD and machine.state is State.RUNNING
            if same and fits and machine.tags.get(ATTEMPT) in kept:
                return machine
        return None

    def _failed(self, machine: Machine, error: ProvisionError) -> BuildError:
        lines = [self.progress.shown(str(error))]
        if self.progress.log:
            lines.append(f"log: {self.progress.log}")
        if self.on_error is OnError.KEEP:
            kept = self.site.cloud.renew(machine, machines.HOURS)
            self.site.cloud.journal.keep(machine.tags[ATTEMPT])
            until = f"{kept.lease.ends_at.astimezone():%H:%M}" if kept.lease else "its lease ends"
            lines.append(f"{machine.id} is kept until {until}; the next build goes on there")
            lines.append(self.site.login(machine).command())
        return BuildError("\n".join(lines))

    def _end(self, machine: Machine) -> None:
        attempt = self.site.cloud.journal.attempts().get(machine.tags.get(ATTEMPT, ""))
        if self.on_error is OnError.KEEP and attempt and attempt.kept:
            return
        with self.progress.step(f"terminate {machine.id}"):
            self.site.cloud.terminate(machine)

    def _save(self, machine: Machine, *, agent: bool) -> Image:
        tags = {
            APPLIANCE: self.appliance,
            HASH: self.content,
            BASE: self.base.id,
            AGENT: "yes" if agent else "no",
        }
        return self.site.cloud.save(machine, self.name, tags=tags, role=Role.CANDIDATE)
