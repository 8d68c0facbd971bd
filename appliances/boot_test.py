"""Trying a saved image: it boots, its agent answers, its checks pass, a sample goes through."""

from contextlib import ExitStack
from dataclasses import dataclass

from appliances import installing, machines, sample
from appliances.errors import BuildError
from appliances.progress import Progress
from appliances.recipe import Recipe
from appliances.services import Open, Services, joined, wait_for_node
from provision import agent as stream_agent
from provision.machine import Image
from provision.site import Site
from provision.ssh import CommandError
from provision.user_data import agent_file

_AGENT_S = 120.0


@dataclass(frozen=True)
class BootTest:
    """How to try an image of `recipe`."""

    site: Site
    recipe: Recipe
    size: str
    services: Open
    progress: Progress

    def run(self, image: Image, *, agent: bool) -> None:
        """Launch a machine from `image`, try all that can be tried, and terminate it.

        `agent`: whether it has one, which then must answer.

        Raises:
            BuildError: a check failed, or the sample's answer is wrong.
            ProvisionError: it doesn't boot, or its agent doesn't answer.
        """
        with ExitStack() as stack:
            if not agent:
                self._check(stack, image, {})
                return
            node = f"boot-test-{self.site.cloud.journal.run}"
            opened = stack.enter_context(self.services())
            config = stack.enter_context(joined(opened.manager, node, node))
            cloud = self.site.cloud
            self._check(stack, image, agent_file(cloud.name, cloud.entry, config))
            self._try_agent(opened, node)

    def _check(self, stack: ExitStack, image: Image, files: dict[str, str]) -> None:
        """Launch a machine that lives as long as `stack`, and run the recipe's checks on it."""
        machine = stack.enter_context(
            machines.tester(
                self.site,
                image,
                appliance=self.recipe.name,
                size=self.size,
                files=files,
                progress=self.progress,
            )
        )
        with self.progress.step("boot test: log in"):
            shell = stack.enter_context(self.site.shell(machine))
            installing.booted(shell)
            stream_agent.tell(self.site.cloud.account.can, shell, files)
            installing.set_variables(shell, self.recipe.environment)
        for entry in self.recipe.checks:
            with self.progress.step(f"boot test: check: {entry.command}") as on_line:
                try:
                    installing.run(shell, entry.command, timeout_s=entry.timeout_s, on_line=on_line)
                except CommandError as error:
                    raise BuildError(f"check failed: {error}") from error

    def _try_agent(self, opened: Services, node: str) -> None:
        with self.progress.step("boot test: the agent answers over AMQP"):
            wait_for_node(opened.manager, node, timeout_s=_AGENT_S)
        wanted = self.recipe.sample
        if wanted:
            with self.progress.step(f"boot test: a sample goes through {wanted.exec!r}"):
                sample.send(opened, wanted, application=node, node=node)
