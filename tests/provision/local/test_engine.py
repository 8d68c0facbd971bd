"""podman that says no, or nothing: what becomes of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.drivers.local import LocalNodeDriver, engine
from provision.errors import Kind, ProvisionError
from tests.provision.local.machines import debian, left, small
from tests.provision.local.test_crashes import program


@pytest.fixture
def podman(path_with: Path) -> Iterator[Path]:
    """Where a test puts a podman of its own."""
    engine.check_storage.cache_clear()
    yield path_with / "podman"
    engine.check_storage.cache_clear()


def test_a_podman_that_hangs_is_ended(podman: Path) -> None:
    program(podman, f"#!/bin/sh\necho $$ >{podman}.pid\nexec sleep 100\n")
    with pytest.raises(ProvisionError, match=r"podman ps: no end after 0\.5 s") as slow:
        engine.OURS.run("ps", timeout_s=0.5)
    assert slow.value.kind is Kind.RETRY
    pid = podman.with_suffix(".pid").read_text().strip()
    assert not Path("/proc", pid).exists()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Error: no such container i-0", Kind.GONE),
        ("Error: localhost/streamboss/image:img-0: image not known", Kind.GONE),
        ("Error: cannot listen on the TCP port: address already in use", Kind.RETRY),
        ("Error: writing blob: write /var/x: no space left on device", Kind.CAPACITY),
        ("Error: something else", Kind.FATAL),
    ],
)
def test_what_podman_says_decides_what_to_do(podman: Path, text: str, kind: Kind) -> None:
    program(podman, f"#!/bin/sh\necho noise >&2\necho '{text}' >&2\nexit 125\n")
    with pytest.raises(ProvisionError) as refused:
        engine.OURS.run("start", "i-0")
    assert str(refused.value) == f"podman start i-0: {text.removeprefix('Error: ')}"
    assert refused.value.kind is kind


def test_whole_copies_of_images_are_refused(driver: LocalNodeDriver, podman: Path) -> None:
    image = debian(driver)
    program(podman, "#!/bin/sh\necho vfs\n")
    with pytest.raises(ProvisionError, match=r'set driver = "overlay" in storage\.conf'):
        driver.create_node("x", small(driver), image)


def test_a_port_that_somebody_else_took_first_is_no_trouble(
    driver: LocalNodeDriver, podman: Path
) -> None:
    # Given a podman that finds the port taken, once, when the machine is half made
    program(
        podman,
        "#!/bin/bash\n"
        f'if [[ " $* " == *" run "* && ! -e {podman}.once ]]; then\n'
        f"    touch {podman}.once\n"
        '    $(command -v -p podman) "$@" >/dev/null\n'
        "    echo 'Error: cannot listen on the TCP port: address already in use' >&2\n"
        "    exit 126\n"
        "fi\n"
        'exec $(command -v -p podman) "$@"\n',
    )
    node = driver.create_node("lucky", small(driver), debian(driver))
    assert podman.with_suffix(".once").exists()
    assert str(node.state) == "running"
    driver.destroy_node(node)
    assert not left(driver)
