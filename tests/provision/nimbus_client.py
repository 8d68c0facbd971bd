"""cloud-client.sh: its options, its words, its exit statuses.

python -m tests.provision.nimbus_client STATE --run --name IMAGE --hours 2 --history-dir DIR ...
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.provision.nimbus_site import RefusedError, Site

LONGEST_HOURS = 336


def client(site: Site, arguments: list[str]) -> None:
    """Do one command of cloud-client's, and print what it prints."""
    options = _options(arguments)
    for action, act in (
        ("run", _client_run), ("status", _client_status), ("save", _client_save),
        ("terminate", _client_terminate), ("list", _client_list), ("delete", _client_delete),
    ):  # fmt: skip
        if action in options:
            act(site, options)
            return
    raise RefusedError("Problem: no action given")


def _options(arguments: list[str]) -> dict[str, str]:
    flags = {"run", "status", "save", "terminate", "list", "delete", "nospinner"}
    options, rest = dict[str, str](), list(arguments)
    while rest:
        name = rest.pop(0).removeprefix("--")
        options[name] = "" if name in flags else rest.pop(0)
    return options


def _client_run(site: Site, options: dict[str, str]) -> None:
    history = Path(options["history-dir"])
    if not history.is_dir():
        raise RefusedError(f"Problem: history directory does not exist: '{history}'")
    if "hours" not in options:
        raise RefusedError("Problem: Running requires '--hours'")
    handle = f"vm-{len(list(history.glob('vm-*'))) + 1:03}"
    print("Launching workspace.\n\nWorkspace Factory Service:\n    https://site:8443/wsrf\n")
    (history / handle).mkdir()
    _kill(site, "before")
    if options["name"] not in {i["name"] for i in site.all("images")}:
        raise RefusedError(f"Problem: image '{options['name']}' cannot be found")
    if float(options["hours"]) > LONGEST_HOURS:
        raise RefusedError("Resource request denied: Error creating workspace(s): duration")
    machine = site.launch(
        options["name"],
        hours=float(options["hours"]),
        newname=options.get("newname"),
        key=Path(options["ssh-pubkey"]).read_text() if "ssh-pubkey" in options else None,
    )
    (history / handle / "vw-epr.xml").write_text(machine["name"])
    _kill(site, "after")
    print(f'Creating workspace "{handle}"... done.\n\n\n       IP address: {machine["address"]}')
    print(f'\nWaiting for updates.\n\n"{handle}" reached target state: Running')
    print(f"\nRunning: '{handle}'")


def _client_status(site: Site, options: dict[str, str]) -> None:
    print("Querying for ALL instances.\n")
    handles = {
        path.read_text(): path.parent.name
        for path in Path(options["history-dir"]).glob("vm-*/vw-epr.xml")
    }
    for machine in site.all("machines"):
        print(f"[*] - Workspace #{machine['number']}. {machine['address']} [ vm.site.example ]")
        print(f"      State: Running\n      Duration: {machine['hours'] * 60:.0f} minutes.")
        if machine["name"] in handles:
            print(f"      Handle: {handles[machine['name']]}\n      Image: {machine['image']}\n")
        else:
            print("      No matching handle found in history directory.\n")


def _client_save(site: Site, options: dict[str, str]) -> None:
    machine = _of_handle(site, options)
    name = options.get("newname") or machine["image"]  # without a name it overwrites
    _kill(site, "save-before")
    site.put("images", name, saved_from=machine["name"])
    site.drop("machines", machine["name"])
    _kill(site, "save-after")
    print(
        "Saving workspace.\n\nThe image was successfully transferred to your repository directory"
    )


def _client_terminate(site: Site, options: dict[str, str]) -> None:
    site.drop("machines", _of_handle(site, options)["name"])
    print("Terminating workspace.\nDestroyed.")


def _client_list(site: Site, _options: dict[str, str]) -> None:
    for image in site.all("images"):
        print(f"[Image] '{image['name']}'                    Read/write")
        print("        Modified: Jan 13 2011 @ 14:15   Size: 576716800 bytes (~550 MB)\n")


def _client_delete(site: Site, options: dict[str, str]) -> None:
    if options["name"] not in {i["name"] for i in site.all("images")}:
        raise RefusedError(f"Problem: cannot delete, no such image: {options['name']}")
    site.drop("images", options["name"])


def _of_handle(site: Site, options: dict[str, str]) -> dict[str, Any]:
    try:
        name = (Path(options["history-dir"]) / options["handle"] / "vw-epr.xml").read_text()
        return next(m for m in site.all("machines") if m["name"] == name)
    except (OSError, StopIteration):
        raise RefusedError(f"Problem: cannot find handle '{options['handle']}'") from None


def _kill(site: Site, moment: str) -> None:
    """Kill whoever the test wants killed at this moment."""
    path = site.folder / f"kill-{moment}"
    if path.exists():
        os.kill(int(path.read_text()), signal.SIGKILL)


if __name__ == "__main__":
    try:
        client(Site(Path(sys.argv[1])), sys.argv[2:])
    except RefusedError as refusal:
        print(refusal)
        sys.exit(1)
