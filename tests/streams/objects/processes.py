"""Processes of their own that speak to S3."""

from pathlib import Path

from streams.access import S3Access


def environment(access: S3Access) -> dict[str, str]:
    """Return the environment of a process that reaches S3 so."""
    return {
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "AWS_ENDPOINT_URL_S3": access.endpoint_url or "",
        "AWS_ACCESS_KEY_ID": access.access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": access.secret_access_key or "",
    }
