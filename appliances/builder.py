"""Building an appliance: find it unchanged, or bake it, try it, promote it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from appliances import images, machines
from appliances.baking import Baking, OnError
from appliances.boot_test import BootTest
from appliances.errors import BuildError
from appliances.progress import Progress
from appliances.recipe import Recipe
from appliances.services import Open
from appliances.steps import Step, content_hash, steps
from provision import prices
from provision.capabilities import Capability
from provision.machine import AGENT, ROLE, Image, Role
from provision.site import Site


@dataclass(frozen=True)
class Builder:
    """Builds one recipe on one cloud.

    `services`: a manager to try the image with, opened when it is needed.
    """

    site: Site
    recipe: Recipe
    services: Open = field(repr=False)
    progress: Progress
    on_error: OnError = OnError.CLEANUP

    @cached_property
    def base(self) -> Image:
        """The image that it starts from."""
        return images.base_of(self.site.cloud, self.recipe)

    @cached_property
    def steps(self) -> list[Step]:
        """What is installed."""
        return steps(self.recipe, self.site.packages)

    @cached_property
    def content(self) -> str:
        """The hash of what the image will hold."""
        return content_hash(self.recipe, self.steps, self.base)

    @property
    def size(self) -> str:
        """The size of the machines that it takes."""
        return self.recipe.size or self.site.inventory.appliance(self.recipe.name).size

    @property
    def hours(self) -> float:
        """How long the machine that it is baked on may live."""
        return self.recipe.hours or machines.HOURS

    def plan(self, *, rebuild: bool = False) -> list[str]:
        """Return what `build` would do, and what it would cost; a line each. Changes nothing.

        Raises:
            ProvisionError: what `build` would stop at before it launches anything.
        """
        self._check()
        tried, untried = self._found(rebuild=rebuild)
        if tried:
            return [f"unchanged: {tried.name} ({tried.id}); nothing to do"]
        tests = ["boot-test", "promote"]
        bake = [f"launch {self.size} from {self.base.name}", *(s.title for s in self.steps)]
        todo = tests if untried else [*bake, "scrub", "save", "terminate", *tests]
        head = f"{self.recipe.name} on {self.site.cloud.name}, content {self.content}:"
        return [head, *(f"  {line}" for line in todo), f"estimated price: {self._price()}"]

    def build(self, *, rebuild: bool = False) -> tuple[Image, bool]:
        """Return the appliance's image, and whether it is a new one: not if nothing has changed.

        Raises:
            ProvisionError: a step failed; what was launched is terminated, or kept as asked for.
        """
        with self.progress.step(f"preflight: {self.recipe.name} on {self.site.cloud.name}"):
            secrets = self._check()
            self.progress.hide(secrets.values())
            tried, untried = self._found(rebuild=rebuild)
        if tried:
            return tried, False
        image = untried or self._baking(secrets).run()
        self._try(image)
        with self.progress.step(f"promote {image.name}"):
            return self.site.cloud.images.tag(image, {ROLE: Role.IMAGE}), True

    def _check(self) -> Mapping[str, str]:
        """Find what can be wrong before anything is launched; return the secrets."""
        cloud = self.site.cloud
        if Capability.SNAPSHOT not in cloud.account.can:
            raise BuildError(f"{cloud.name}: this cloud can't save machines as images")
        _ = self.content  # the base is there, and all sources
        cloud.lease(self.hours)
        return self.site.secret_values(self.recipe.secrets)

    def _found(self, *, rebuild: bool) -> tuple[Image | None, Image | None]:
        """Return the image that is there already, tried or untried; none if it must be anew."""
        if rebuild:
            return None, None
        return images.by_hash(self.site.cloud, self.recipe.name, self.content)

    def _baking(self, secrets: Mapping[str, str]) -> Baking:
        return Baking(
            site=self.site,
            appliance=self.recipe.name,
            base=self.base,
            steps=self.steps,
            name=images.free_name(self.site.cloud, f"{self.recipe.name}-{self.content}"),
            content=self.content,
            size=self.size,
            hours=self.hours,
            progress=self.progress,
            on_error=self.on_error,
            variables={**self.recipe.environment, **secrets},
            secrets=list(secrets.values()),
        )

    def _try(self, image: Image) -> None:
        """Boot-test an image; one that fails is deleted, or kept untried for the next build."""
        test = BootTest(self.site, self.recipe, self.size, self.services, self.progress)
        try:
            test.run(image, agent=image.tags.get(AGENT) == "yes")
        except BaseException:
            if self.on_error is OnError.CLEANUP:
                with self.progress.step(f"delete {image.name}"):
                    self.site.cloud.images.delete(image)
            raise

    def _price(self) -> str:
        price = prices.hourly(self.site.cloud, self.size)
        if price is None:
            return f"unknown: {self.site.cloud.name} doesn't tell what {self.size} costs"
        return "nothing" if price == 0 else f"{2 * price:.2f}, for two machines of an hour each"
