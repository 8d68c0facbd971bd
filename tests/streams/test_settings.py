"""Settings: the file, then the environment."""

from pathlib import Path

import pytest

from manager import certificates
from streams.access import S3Access
from streams.errors import SettingsError
from streams.settings import Settings, login_of, vhost_of, without_password


def test_the_file_is_found_upwards_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".streamboss").mkdir()
    (tmp_path / ".streamboss" / "env").write_text(
        "# made by up\nSTREAMBOSS_AMQP_URL='amqp://u:p@127.0.0.1:1/, amqp://u:p@127.0.0.2:1/'\n"
        "export STREAMBOSS_USER=from-file\nSTREAMBOSS_PASSWORD='a b'\n"
    )
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    settings = Settings.load({"STREAMBOSS_USER": "from-environment"}, below)
    assert settings.user == "from-environment"
    assert settings.password == "a b"
    assert settings.need_amqp() == ("amqp://u:p@127.0.0.1:1/", "amqp://u:p@127.0.0.2:1/")
    assert settings.need_broker_api() == "http://127.0.0.1:15672,http://127.0.0.2:15672"


def test_keys_of_some_cloud_are_not_shown_to_the_server_of_the_stack(tmp_path: Path) -> None:
    file = tmp_path / ".streamboss" / "env"
    file.parent.mkdir()
    file.write_text(
        "AWS_ENDPOINT_URL_S3=http://127.0.0.1:9\nAWS_ACCESS_KEY_ID=ours\n"
        "AWS_SECRET_ACCESS_KEY=secret\n"
    )
    cloud = {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "other", "AWS_REGION": "eu"}
    assert Settings.load(cloud, tmp_path).s3 == S3Access(
        "http://127.0.0.1:9", None, "ours", "secret"
    )
    elsewhere = cloud | {"AWS_ENDPOINT_URL_S3": "https://s3.example"}
    assert Settings.load(elsewhere, tmp_path).s3 == S3Access(
        "https://s3.example", "eu", "theirs", "other"
    )


def test_the_ca_of_an_s3_server_goes_to_agents_as_text(tmp_path: Path) -> None:
    certificates.ensure(tmp_path, ["127.0.0.1"])
    ca = (tmp_path / certificates.CA).read_text()
    env = {"AWS_ENDPOINT_URL_S3": "https://s3.example", "AWS_CA_BUNDLE": f"{tmp_path}/ca.pem"}
    settings = Settings.load(env, tmp_path)
    assert settings.s3.ca_file == f"{tmp_path}/ca.pem"
    assert (settings.objects.access.ca_file, settings.objects.ca) == (None, ca)
    (tmp_path / "ca.pem").write_text(ca * 50)
    with pytest.raises(SettingsError, match=r"AWS_CA_BUNDLE: .*the CA of https://s3.example alone"):
        _ = settings.objects
    with pytest.raises(SettingsError, match=r"^AWS_CA_BUNDLE: /none: No such file"):
        Settings.load({**env, "AWS_CA_BUNDLE": "/none"}, tmp_path)


def test_s3_is_reached_by_boto3s_own_variables(tmp_path: Path) -> None:
    settings = Settings.load(
        {
            "AWS_ENDPOINT_URL": "http://general",
            "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "STREAMBOSS_OBJECT_BUCKET": "outputs",
            "STREAMBOSS_OBJECT_THRESHOLD": "0",
            "STREAMBOSS_OBJECT_DAYS": "7",
        },
        tmp_path,
    )
    assert settings.objects.access.endpoint_url == "http://127.0.0.1:9"
    assert settings.objects.access.secret_access_key == "secret"
    assert (settings.objects.bucket, settings.objects.threshold_bytes) == ("outputs", 0)
    assert settings.object_days == 7
    assert "secret" not in repr(settings)
    assert Settings.load({}, tmp_path).objects.threshold_bytes == 1024 * 1024
    with pytest.raises(SettingsError, match=r"OBJECT_THRESHOLD.*OBJECT_DAYS"):
        Settings.load(
            {"STREAMBOSS_OBJECT_THRESHOLD": "1M", "STREAMBOSS_OBJECT_DAYS": "-1"}, tmp_path
        )


def test_secrets_do_not_show(tmp_path: Path) -> None:
    settings = Settings.load(
        {"STREAMBOSS_AMQP_URL": "amqp://u:secret@h/", "STREAMBOSS_PASSWORD": "secret"}, tmp_path
    )
    assert "secret" not in repr(settings)
    assert without_password("amqps://u:secret@h:5671/v") == "amqps://h:5671/v"


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"AMQP_URL.*MANAGER_URL") as caught:
        Settings.load(
            {"STREAMBOSS_AMQP_URL": "http://u:secret@h", "STREAMBOSS_MANAGER_URL": "h:1"}, tmp_path
        )
    assert "secret" not in str(caught.value)


def test_what_is_missing_is_said_with_what_to_do(tmp_path: Path) -> None:
    settings = Settings.load({}, tmp_path)
    with pytest.raises(SettingsError, match="streamboss up"):
        settings.need_amqp()
    with pytest.raises(SettingsError, match="streamboss up"):
        settings.need_manager()


def test_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / ".streamboss").mkdir()
    (tmp_path / ".streamboss" / "env").write_text("A=1\nwhat is this\n")
    with pytest.raises(SettingsError, match=r"env, line 2: expected NAME=VALUE"):
        Settings.load({}, tmp_path)


@pytest.mark.parametrize(
    ("url", "vhost"),
    [("amqp://h", "/"), ("amqp://h/", "/"), ("amqp://h/%2F", "/"), ("amqp://h/a%2Fb", "a/b")],
)
def test_the_vhost_is_the_path(url: str, vhost: str) -> None:
    assert vhost_of(url) == vhost


def test_logins_are_unquoted() -> None:
    assert login_of("amqp://u%40x:p%2F@h/") == ("u@x", "p/")


def test_a_missing_bucket_is_said_with_its_cure() -> None:
    with pytest.raises(SettingsError, match="STREAMBOSS_BUCKET is not set: run 'streamboss up'"):
        Settings().need_bucket()
    assert Settings(bucket="archives").need_bucket() == "archives"
