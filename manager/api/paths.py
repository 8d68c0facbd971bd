"""Parts of paths. One that no name could be is answered as what isn't there: 404."""

from typing import Annotated

from fastapi import Path

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
