"""EC2, and what speaks as EC2 does: libcloud's driver with what private clouds need mended.

libcloud takes an answer in an unknown XML namespace for an empty one, numbers tags from 0, calls a
missing `<return>` a failure, makes images without tags and leaves their snapshots behind.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from libcloud.common.types import InvalidCredsError, MalformedResponseError
from libcloud.compute.base import Node, NodeImage, VolumeSnapshot
from libcloud.compute.drivers import ec2

from provision.classify import classify
from provision.errors import Kind

_REFUSED = (
    "AuthFailure",
    "InvalidClientTokenId",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
)


class AnyNamespaceResponse(ec2.EC2Response):
    """An answer in whatever namespace; an error with its code and message."""

    def parse_body(self) -> Any:
        """Return the answer's XML, moved to the namespace that libcloud looks for."""
        body: Any = super().parse_body()  # type: ignore[no-untyped-call]
        if isinstance(body, ET.Element):
            for element in body.iter():
                element.tag = f"{{{ec2.NAMESPACE}}}{_local(element)}"
        return body

    def parse_error(self) -> str:
        """Return `Code: message`."""
        try:
            root = ET.fromstring(str(self.body))  # noqa: S314 expat refuses entity bombs
        except ET.ParseError:
            raise MalformedResponseError(f"HTTP {self.status}, not XML") from None
        words = {_local(element): (element.text or "").strip() for element in root.iter()}
        code, text = words.get("Code", str(self.status)), words.get("Message", "")
        if code in _REFUSED:
            raise InvalidCredsError(f"{code}: {text}")
        return f"{code}: {text}"


class Connection(ec2.EC2Connection):
    """A connection that trusts an authority of its own, not one of the whole process."""

    responseCls = AnyNamespaceResponse
    #: certificate authority of a private cloud; None: those that the system trusts
    ca_file: Path | None = None

    def connect(self, *args: Any, **kwargs: Any) -> None:
        """Open the session."""
        super().connect(*args, **kwargs)  # type: ignore[no-untyped-call]
        session: Any = self.connection
        if self.ca_file is not None:
            session.ca_cert = str(self.ca_file)


class Mended(ec2.BaseEC2NodeDriver):
    """What is wrong for every EC2-like cloud, put right. Goes before libcloud's own class."""

    connectionCls = Connection

    def trust(self, ca_file: Path | None) -> None:
        """Trust the authority that the inventory names."""
        connection: Any = self.connection
        connection.ca_file = ca_file
        connection.connect()

    def create_image(  # type: ignore[override]
        self,
        node: Node,
        name: str,
        description: str | None = None,
        ex_metadata: Mapping[str, str] | None = None,
    ) -> NodeImage:
        """Make an image of a stopped machine, tagged from the first moment on."""
        params = {
            "Action": "CreateImage",
            "InstanceId": node.id,
            "Name": name,
            "Description": description or name,
            "NoReboot": "true",
        }
        if ex_metadata:
            params["TagSpecification.1.ResourceType"] = "image"
            params |= _tags(ex_metadata, prefix="TagSpecification.1.")
        answer = self.connection.request(self.path, params=params).object
        image_id = answer.findtext(f"{{{ec2.NAMESPACE}}}imageId")
        extra = {"state": "pending", "tags": dict(ex_metadata or {})}
        return NodeImage(id=image_id, name=name, driver=self, extra=extra)

    def list_images(  # type: ignore[override]
        self, location: object = None, ex_owner: str | None = "self", **filters: Any
    ) -> list[NodeImage]:
        """Return the account's own images; with `ex_owner` somebody else's."""
        libclouds: Any = super()
        return list(libclouds.list_images(location, ex_owner=ex_owner, **filters))

    def ex_delete_part(self, part: str) -> bool:
        """Delete a snapshot that an image stood on."""
        libclouds: Any = super()
        libclouds.destroy_volume_snapshot(VolumeSnapshot(part, driver=self))
        return True

    def ex_create_tags(self, resource: Node | NodeImage, tags: Mapping[str, str]) -> bool:
        """Add to and replace a machine's or image's tags."""
        params = {"Action": "CreateTags", "ResourceId.1": resource.id, **_tags(tags)}
        self.connection.request(self.path, params=params)
        return True

    def ex_ensure_group(
        self, name: str, cidr: str, ports: Sequence[int] = (22,), members: str | None = None
    ) -> None:
        """Make sure that there is a security group `name` which lets in to `ports` from `cidr`.

        And from machines in the group `members`.
        """
        asks: tuple[dict[str, str], ...] = (
            {"Action": "CreateSecurityGroup", "GroupName": name, "GroupDescription": name},
            {
                "Action": "AuthorizeSecurityGroupIngress",
                "GroupName": name,
                **_permissions(cidr, ports, members),
            },
        )
        for params in asks:
            try:
                self.connection.request(self.path, params=params)
            except Exception as error:
                if ".Duplicate" not in str(error):  # there already
                    raise

    def ex_groups(self) -> list[str]:
        """Return the names of all security groups."""
        params = {"Action": "DescribeSecurityGroups"}
        answer = self.connection.request(self.path, params=params).object
        return [e.text or "" for e in answer.iter(f"{{{ec2.NAMESPACE}}}groupName")]

    def ex_delete_group(self, name: str) -> bool:
        """Delete a security group; DependencyViolation while a machine still has it."""
        params = {"Action": "DeleteSecurityGroup", "GroupName": name}
        try:
            self.connection.request(self.path, params=params)
        except Exception as error:
            if classify(error) is not Kind.GONE:
                raise
        return True

    def _get_boolean(self, element: Any) -> bool:
        """Newer moto, and clouds beside EC2, leave `<return>` out of what went well."""
        return bool(element.findtext(f"{{{ec2.NAMESPACE}}}return") != "false")


class Ec2Driver(Mended, ec2.EC2NodeDriver):
    """Amazon EC2, or something that speaks as it does."""

    connectionCls = Connection  # libcloud's own class sets it, too


class EucalyptusDriver(Mended, ec2.EucNodeDriver):
    """Eucalyptus."""

    connectionCls = Connection  # type: ignore[assignment]

    def ex_describe_addresses(self, nodes: list[Node]) -> dict[str | None, list[str]]:
        """Take the addresses from the listing itself, which has them."""
        return {node.id: [] for node in nodes}


def _tags(tags: Mapping[str, str], prefix: str = "") -> dict[str, str]:
    """Return request parameters for `tags`, numbered from 1 as EC2 wants them."""
    numbered = enumerate(sorted(tags.items()), start=1)
    return {
        f"{prefix}Tag.{number}.{part}": text
        for number, pair in numbered
        for part, text in zip(("Key", "Value"), pair, strict=True)
    }


def _permissions(cidr: str, ports: Sequence[int], members: str | None) -> dict[str, str]:
    """Return request parameters that let `cidr`, and the machines in `members`, in to `ports`."""
    parameters = dict[str, str]()
    for number, port in enumerate(ports, start=1):
        part = f"IpPermissions.{number}."
        parameters |= {
            f"{part}IpProtocol": "tcp",
            f"{part}FromPort": str(port),
            f"{part}ToPort": str(port),
            f"{part}IpRanges.1.CidrIp": cidr,
        }
        if members:
            parameters[f"{part}Groups.1.GroupName"] = members
    return parameters


def _local(element: ET.Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]
