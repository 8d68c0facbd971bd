"""Deployment: appliances, machines, streams and operations. `fab --list` shows the tasks.

Each task is one call into a package. Without any settings they use the local cloud; what they
remember (ssh key, journal, logs) is in `.streamboss/clouds`.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial, wraps
from pathlib import Path
from typing import Any

from fabric.tasks import task as fabric_task
from invoke.exceptions import Exit

from appliances import by_hand, listing
from appliances import recipe as recipes
from appliances.baking import OnError
from appliances.builder import Builder
from appliances.deployment import env_file
from appliances.deployment.deploy import Deployment
from appliances.deployment.summary import leftover, summary
from appliances.errors import BuildError
from appliances.images import own
from appliances.progress import Progress
from appliances.services import Services
from appliances.telling import telling
from appliances.uses import by_definitions
from manager.client import ManagerClient, ManagerUnreachableError
from provision import desk, garbage, leases, prices, renewing, scrub
from provision.errors import ProvisionError
from provision.inventory import Inventory
from provision.machine import Machine, Role
from provision.site import Site
from streams.errors import StreamsError
from streams.settings import Settings, find_env_file
from tools import stack
from tools.commands import control, definitions, operations, streams
from tools.stack.state import State

HERE = Path(__file__).resolve().parent


def task(body: Callable[..., None]) -> Any:
    """Make a fab task of a function: an expected failure is one message and exit status 1."""

    @wraps(body)
    def run(*args: Any, **kwargs: Any) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up, as after ^C
        try:
            body(*args, **kwargs)
        except (ProvisionError, StreamsError) as error:
            raise Exit(f"fab: {error}", 1) from None
        except KeyboardInterrupt:
            raise Exit("fab: interrupted", 130) from None
        except BrokenPipeError:  # whoever read our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise Exit(code=1) from None

    return fabric_task(run)


@task
def build_appliance(
    _: Any,
    *,
    name: str = "",
    cloud: str = "",
    recipe: str = "",
    on_error: str = "cleanup",
    rebuild: bool = False,
    dry_run: bool = False,
) -> None:
    """Build an appliance's image, and boot-test it."""
    described = _recipe(name, recipe)
    with _site(cloud) as site:
        progress = Progress(site.log(f"build-{described.name}"))
        builder = Builder(site, described, _services, progress, _on_error(on_error))
        if dry_run:
            _print(*builder.plan(rebuild=rebuild))
            return
        with (
            _who_is_told(progress) as manager,
            telling(manager, described.name, site.cloud.name, builder.hours, progress) as told,
        ):
            image, new = builder.build(rebuild=rebuild)
            told.ended("done" if new else "unchanged", image=image.name)
    _print(f"image: {image.name} ({image.id}){'' if new else ', unchanged'}")


@task
def deploy_manager(_: Any, *, cloud: str = "", hours: str = "") -> None:
    """Launch a stream manager; again: upgrade it in place."""
    described = _recipe("stream-manager", "")
    folder = desk.state_folder(Path.cwd())
    with _site(cloud) as site:
        progress = Progress(site.log("deploy-manager"))
        stack_there = State.load(folder) is not None
        if note := env_file.check(folder / "env", site.cloud.name, stack=stack_there):
            progress.note(f"note: {note}")
        builder = Builder(site, described, _services, progress)
        wanted_h = _number("hours", hours) if hours else None
        done = Deployment(site, builder, progress, os.environ, folder / env_file.CA).run(wanted_h)
        env_file.write(folder / "env", done.machine, done.env)
        login = site.login(done.machine).command()
        _print(*summary(done, site.cloud.entry, login, folder / "env"))


@task
def run_appliance(
    _: Any, *, name: str, cloud: str = "", hours: str = "", size: str = "", newname: str = ""
) -> None:
    """Launch a machine of an appliance, by hand."""
    with _site(cloud) as site, _manager_if_there() as (manager, absent):
        if absent:
            _note(f"{absent}: the machine's agent will have nobody to work for")
        machine = by_hand.run(
            site,
            name,
            hours=_number("hours", hours) if hours else None,
            size=size or None,
            save_as=newname or None,
            manager=manager,
        )
        _print(f"handle: {machine.id}", *_times(machine), site.login(machine).command())


@task
def save_appliance(_: Any, *, handle: str, newname: str, cloud: str = "") -> None:
    """Save a machine as an appliance's image."""
    with _site_of(handle, cloud) as (site, machine):
        image = scrub.save(site, machine, newname)
    _print(f"image: {image.name} ({image.id})")


@task
def terminate(_: Any, *, handle: str, cloud: str = "") -> None:
    """Terminate a machine."""
    with _site_of(handle, cloud) as (site, machine), _manager_if_there() as (manager, _absent):
        is_manager = machine.role == Role.MANAGER
        by_hand.terminate(site, machine, None if is_manager else manager)
        left = leftover(site.cloud.machines()) if is_manager else []
    _print(f"terminated: {machine.id}", *left)
    path = desk.state_folder(Path.cwd()) / "env"
    if env_file.forget(path, machine):
        _print(f"removed: {path}, which led to it")


@task
def renew(_: Any, *, handle: str, hours: str, cloud: str = "") -> None:
    """Let a machine's lease end so many hours from now."""
    with _site_of(handle, cloud) as (site, machine):
        renewed, trouble = renewing.renew(site, machine, _number("hours", hours))
    _print(*_times(renewed), *([f"warning: {trouble}"] if trouble else []))


@task
def register_definition(_: Any, *, file: str) -> None:
    """Register a process definition, and print its id."""
    definitions.register(Path(file))


@task
def create_stream(_: Any, *, name: str) -> None:
    """Create a stream."""
    streams.create_stream(name)


@task
def create_operation(_: Any, *, name: str, definition: str, input: str, output: str) -> None:  # noqa: A002 the contract's
    """Create an operation, and streams that it lacks."""
    operations.create_operation(name, int(_number("definition", definition)), input, output)


@task
def launch_operation(_: Any, *, name: str) -> None:
    """Run an operation even if nobody consumes."""
    control.launch(name)


@task
def stop_operation(_: Any, *, name: str) -> None:
    """Pause an operation: its messages wait."""
    control.stop(name)


@task
def remove_operation(_: Any, *, name: str) -> None:
    """Remove an operation and what waits for it."""
    operations.remove_operation(name)


@task
def clouds(_: Any) -> None:
    """Show the clouds, what each can do, if it answers."""
    known = _inventory()

    def ask(name: str) -> None:
        with _site(name) as site:
            site.cloud.check()

    _print(*listing.clouds(known.clouds.items(), ask))


@task
def images(_: Any, *, cloud: str = "", contents: str = "") -> None:
    """List our images, or what went into one, by its name."""
    with _site(cloud) as site:
        if contents:
            _print(listing.contents(site.contents(contents)))
        else:
            _print(*listing.images(own(site.cloud)))


@task
def nodes(_: Any, *, cloud: str = "") -> None:
    """List our machines: where, whose, until when."""
    with _site(cloud) as site:
        found = site.cloud.machines()
        _print(*listing.machines(found, prices.of_machines(site.cloud, found)))


@task
def collect_garbage(_: Any, *, cloud: str = "", dry_run: bool = False) -> None:
    """Remove what nobody needs any more, and say why."""
    with _site(cloud) as site, _manager_if_there() as (manager, absent):
        named = by_definitions(manager.list("definitions") if manager else ())
        needed = {**named, **garbage.inventory_uses(site.inventory, site.cloud.name)}
        hours = site.inventory.defaults.min_image_age_hours
        garbage.collect(
            site.cloud,
            needed,
            min_age=timedelta(hours=hours),
            dry_run=dry_run,
            say=_print,
            save=partial(scrub.save_ended, site, say=_note),
            unasked=absent,
        )
        if manager:
            by_hand.forget_ended(site, manager, dry_run=dry_run, say=_print)


def _print(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _number(flag: str, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise BuildError(f"--{flag} {word}: must be a number") from None


def _times(machine: Machine) -> list[str]:
    return [leases.announcement(machine.lease)] if machine.lease else []


def _inventory() -> Inventory:
    return desk.find_inventory(os.environ, Path.cwd())


def _recipe(name: str, file: str) -> recipes.Recipe:
    """Return the recipe in `file`, or of the appliance called `name`: ours, or the inventory's."""
    wanted = name or ("" if file else "stream-agent")
    path = Path(file) if file else _inventory().appliance(wanted).recipe
    found = recipes.load(path or HERE / "appliances" / wanted / "recipe.yaml")
    if wanted not in ("", found.name):
        raise BuildError(f"{path}: its name is {found.name!r}, not {wanted!r}")
    return found


def _on_error(word: str) -> OnError:
    try:
        return OnError(word)
    except ValueError:
        raise BuildError(f"--on-error {word}: must be {' or '.join(OnError)}") from None


@contextmanager
def _site(cloud: str) -> Iterator[Site]:
    """Give a cloud of the inventory, by default its default one, with a journal of this run."""
    env, here = os.environ, Path.cwd()
    with desk.opened(cloud or None, env=env, folder=here) as opened:
        yield Site(opened, _inventory(), secrets=desk.secrets_at(env, here))


@contextmanager
def _site_of(handle: str, cloud: str) -> Iterator[tuple[Site, Machine]]:
    """Give one of our machines, and where it is."""
    with _site(cloud) as site:
        yield site, site.cloud.machine(handle)


@contextmanager
def _manager_if_there() -> Iterator[tuple[ManagerClient | None, str]]:
    """Give the manager that is set, if it answers; else what to say of it, if one is set."""
    settings = Settings.load(os.environ, Path.cwd())
    if settings.manager_url is None:
        yield None, ""
        return
    with ManagerClient(settings) as manager:
        try:
            manager.list("nodes")
        except ManagerUnreachableError:
            yield None, f"the manager at {settings.manager_url} doesn't answer"
            return
        yield manager, ""


@contextmanager
def _who_is_told(progress: Progress) -> Iterator[ManagerClient | None]:
    """Give the manager that hears of a build, if one is set; it needn't answer."""
    settings = Settings.load(os.environ, Path.cwd())
    if settings.manager_url is None:
        yield None
        return
    with ManagerClient(settings) as manager:
        progress.note(f"this build is shown at {settings.manager_url}/builds/")
        yield manager


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")


@contextmanager
def _services() -> Iterator[Services]:
    """Give the manager that is set, or that of the embedded stack, brought up and left running."""
    ours = find_env_file(Path.cwd())
    if "STREAMBOSS_MANAGER_URL" not in os.environ and (ours is None or _is_embedded(ours)):
        stack.up(Path.cwd())
    settings = Settings.load(os.environ, Path.cwd())
    with ManagerClient(settings) as manager:
        yield Services(manager, settings.need_amqp())


def _is_embedded(path: Path) -> bool:
    """Say whether a file of settings leads to the embedded stack beside it."""
    state = State.load(path.parent)
    return state is not None and Settings.load({}, path.parent).manager_url == state.manager_url
