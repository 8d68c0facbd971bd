"""How machines, images and volumes of the local cloud are labelled in podman."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

CLOUD = "streamboss.cloud"  # which of the local clouds it belongs to
NAME = "streamboss.name"  # what people call it; encoded as in a URL
IMAGE = "streamboss.image"  # a machine's: the id of its image
SIZE = "streamboss.size"  # a machine's
TAGS = "streamboss.tags"
OF = "streamboss.of"  # a volume's: the machine or image that it belongs to
BASE = "streamboss.base"  # a base image's: the hash of its recipe

#: Images are podman images of this name, with our id for a tag.
REPOSITORY = "localhost/streamboss/image"


def written(tags: Mapping[str, str]) -> str:
    """Return `tags` as the text of one label.

    One, because a snapshot inherits its machine's labels and can replace them, but not remove any.
    Encoded as in a URL: see `changes`.
    """
    return urlencode(sorted(tags.items()), safe=":")


def read(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that `written` wrote into the labels."""
    return dict(parse_qsl(labels.get(TAGS, ""), keep_blank_values=True))


def options(labels: Mapping[str, str]) -> list[str]:
    """Return podman's options for `labels`."""
    return [f"--label={key}={value}" for key, value in labels.items()]


def changes(labels: Mapping[str, str]) -> list[str]:
    """Return the options with which `podman commit` and `import` label an image.

    Values must not hold spaces, quotes or `$`: podman reads these options as a shell would.
    """
    return [f"--change=LABEL {key}={value}" for key, value in labels.items()]


def of_row(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels in a row of one of podman's lists, which may say null."""
    return dict(row.get("Labels") or {})


def reference(image_id: str) -> str:
    """Return podman's name for one of our images."""
    return f"{REPOSITORY}:{image_id}"


def image_id(row: Mapping[str, Any]) -> str:
    """Return our id of the image in a row of `podman images`; empty for a nameless one."""
    marks = (str(name).partition(f"{REPOSITORY}:") for name in row.get("Names") or ())
    return next((mark for head, _, mark in marks if not head and mark), "")
