# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets judged and brought to what they are to be, on a server that enforces their policies.

Each denial is tried together with the like request that must go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_bucket as buckets
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_bucket_plan as plan
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_bucket_run as running
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_client as connecting
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_fact as facts
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_identity as identities
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_policy as policies
from botocore.exceptions import ClientError
from moto.moto_api._internal.models import moto_api_backend

from tests.s3 import embedded, enforced

REGION = {"CreateBucketConfiguration": {"LocationConstraint": embedded.REGION}}
KMS = "arn:aws:kms:eu-west-1:123456789012:key/2f3a6f2e-1a63-4c1c-9d1b-7a3a3c6a0f11"
THEIRS = {
    "Sid": "Theirs",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::123456789012:user/reader"},
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::naive/*",
}


class World:
    """A server with a key, two identities, a naive bucket, and the clients of the module."""

    def __init__(self, server: enforced.Servers) -> None:
        self.server = server
        self.s3 = self.client("s3")
        self.kms_key = self.client("kms").create_key()["KeyMetadata"]["Arn"]
        self.iam = self.client("iam")
        self.keys: dict[str, str] = {}
        self.arns: dict[str, str] = {}
        for name in ("writer", "pruner", "reader"):
            self.arns[name] = self.iam.create_user(UserName=name)["User"]["Arn"]
            made = self.iam.create_access_key(UserName=name)["AccessKey"]
            self.keys[name] = made["AccessKeyId"]

    def client(self, service: str = "s3", key: str = embedded.ACCESS_KEY) -> Any:
        return enforced.client(self.server.https, service, key=key, verify=self.server.ca)

    def plain(self, name: str) -> Any:
        """A client without TLS."""
        return enforced.client(self.server.http, key=self.keys[name])

    def of(self, name: str) -> Any:
        return self.client(key=self.keys[name])

    def clients(self, url: str = "", provider: str = "aws") -> connecting.Clients:
        url = url or self.server.https
        return connecting.Clients(url, embedded.REGION, None, self.server.ca, provider)

    def settings(self, **changes: Any) -> buckets.Settings:
        usual = {
            "name": "naive",
            "client": "acme",
            "kms_key": self.kms_key,
            "log_bucket": "logs",
            "lock_days": 100,
            "oldest_snapshot_days": 93,
            "writers": [{"arn": self.arns["writer"], "prefix": "acme/"}],
            "pruners": [{"arn": self.arns["pruner"]}],
        }
        return buckets.settings_of({**usual, **changes}, changes.get("compliance", ()))

    def logs(self) -> buckets.Settings:
        logs = {"name": "logs", "purpose": "logs", "encryption": "AES256"}
        return buckets.settings_of(logs, ())

    def bring(self, *wanted: buckets.Settings, check: bool = False) -> dict[str, Any]:
        return running.bring(self.clients(), wanted, account=True, create=True, check=check)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[enforced.Servers]:
    with enforced.servers(tmp_path_factory.mktemp("moto")) as started:
        yield started


@pytest.fixture
def world(server: enforced.Servers, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", embedded.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", embedded.SECRET_KEY)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    moto_api_backend.reset()
    found = World(server)
    found.s3.create_bucket(Bucket="naive", **REGION)
    found.s3.put_bucket_policy(
        Bucket="naive", Policy=json.dumps({"Version": "2012-10-17", "Statement": [THEIRS]})
    )
    return found


def statuses(result: dict[str, Any], bucket: str = "naive") -> dict[str, str]:
    row = next(row for row in result["buckets"] if row["name"] == f"s3://{bucket}")
    return {control["id"]: control["status"] for control in row["controls"]}


def denied(call: Any, **arguments: Any) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("AccessDenied", "403"):
            return True
        raise
    return False


def test_a_naive_bucket_fails_and_is_mended(world: World) -> None:
    wanted = (world.settings(), world.logs())
    before = running.audit(world.clients(), wanted)
    failed = {name for name, status in statuses(before).items() if status == "fail"}
    assert failed == set(buckets.CHECKS) - {
        "aws_s3_public_list", "aws_s3_public_read", "aws_s3_public_write", "aws_s3_public_policy",
        "aws_s3_acl", "aws_s3_access_points", "aws_s3_kms_policy", "aws_s3_replication",
        "aws_s3_events", "aws_s3_data_events", "aws_s3_lifecycle_keeps_backups",
    }  # fmt: skip
    told = world.bring(*wanted, check=True)
    assert told["changed"]
    assert running.audit(world.clients(), wanted)["counts"] == before["counts"]
    done = world.bring(*wanted)
    assert done["calls"] == told["calls"]
    assert set(done["counts"]) == {"pass", "not_applicable"}
    again = world.bring(*wanted)
    assert (again["changed"], again["calls"], again["diff"]) == (False, [], [])
    policy = json.loads(world.s3.get_bucket_policy(Bucket="naive")["Policy"])
    assert policy["Statement"][0] == THEIRS


def test_every_call_that_changes_something_is_told_and_there_is_no_other(world: World) -> None:
    world.server.requests.clear()
    world.bring(world.settings(), world.logs(), check=True)
    assert not _changing(world)
    told = world.bring(world.settings(), world.logs())["calls"]
    # The service's own record of what reached it; IAM, KMS and the account have none here.
    assert sorted(_changing(world)) == sorted(
        _action(call.split(": ")[1]) for call in told if ": s3." in call
    )


def _changing(world: World) -> list[str]:
    reads = ("s3:Get", "s3:List")
    return [action for action, _outcome in world.server.requests if not action.startswith(reads)]


def _action(call: str) -> str:
    """What S3 asks permission for; it has names of its own for some."""
    words = "".join(word.title() for word in call.removeprefix("s3.").split("_"))
    return "s3:" + {
        "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
        "PutBucketEncryption": "PutEncryptionConfiguration",
        "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
        "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    }.get(words, words)


@pytest.mark.parametrize(
    ("spoil", "call"),
    [
        (lambda s3: s3.put_bucket_versioning(**suspended()), "put_bucket_versioning"),
        (lambda s3: s3.delete_bucket_encryption(Bucket="naive"), "put_bucket_encryption"),
        (lambda s3: s3.delete_bucket_lifecycle(Bucket="naive"),
         "put_bucket_lifecycle_configuration"),
        (lambda s3: s3.delete_public_access_block(Bucket="naive"), "put_public_access_block"),
        (lambda s3: s3.put_bucket_policy(Bucket="naive", Policy=json.dumps(
            {"Version": "2012-10-17", "Statement": [THEIRS]})), "put_bucket_policy"),
    ],
)  # fmt: skip
def test_only_what_differs_is_written(world: World, spoil: Any, call: str) -> None:
    world.bring(world.settings(), world.logs())
    spoil(world.s3)
    found = world.bring(world.settings(), world.logs())
    assert found["calls"] == [f"naive: s3.{call}"]
    assert not world.bring(world.settings(), world.logs())["changed"]


def test_replicas_events_and_data_events_are_had_where_they_are_named(world: World) -> None:
    there = {"Role": "arn:aws:iam::123456789012:role/r", "Rules": [_replica("theirs", "elsewhere")]}
    world.s3.put_bucket_versioning(Bucket="naive", VersioningConfiguration={"Status": "Enabled"})
    for name in ("replica", "elsewhere"):
        world.s3.create_bucket(Bucket=name, **REGION)
    world.s3.put_bucket_replication(Bucket="naive", ReplicationConfiguration=there)
    queue = world.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    attributes = world.client("sqs").get_queue_attributes(
        QueueUrl=queue, AttributeNames=["QueueArn"]
    )
    arn = attributes["Attributes"]["QueueArn"]
    theirs = {"Id": "theirs", "QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}
    world.s3.put_bucket_notification_configuration(
        Bucket="naive", NotificationConfiguration={"QueueConfigurations": [theirs]}
    )
    trails = world.client("cloudtrail")
    trails.create_trail(Name="trail", S3BucketName="elsewhere")
    trails.start_logging(Name="trail")
    other = {"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::elsewhere/"]}
    selector = {"ReadWriteType": "All", "IncludeManagementEvents": True, "DataResources": [other]}
    trails.put_event_selectors(TrailName="trail", EventSelectors=[selector])

    named = world.settings(
        replication={"bucket": "arn:aws:s3:::replica", "role": there["Role"]},
        events={"queue": arn},
        trail="trail",
    )
    controls = ("aws_s3_replication", "aws_s3_events", "aws_s3_data_events")
    before = statuses(running.audit(world.clients(), [named]))
    assert [before[name] for name in controls] == ["fail"] * 3
    after = statuses(world.bring(named, world.logs()))
    assert [after[name] for name in controls] == ["pass"] * 3
    assert not world.bring(named, world.logs())["changed"]

    rules = world.s3.get_bucket_replication(Bucket="naive")["ReplicationConfiguration"]["Rules"]
    assert {rule["ID"]: rule["Destination"]["Bucket"] for rule in rules} == {
        "theirs": "arn:aws:s3:::elsewhere",
        "ringfence-replica": "arn:aws:s3:::replica",
    }
    told = world.s3.get_bucket_notification_configuration(Bucket="naive")["QueueConfigurations"]
    assert {one["Id"]: one["Events"] for one in told} == {
        "theirs": ["s3:ObjectCreated:*"],
        "ringfence-queue": ["s3:ObjectRemoved:*"],
    }
    (kept,) = trails.get_event_selectors(TrailName="trail")["EventSelectors"]
    values = [resource["Values"] for resource in kept["DataResources"]]
    assert values == [["arn:aws:s3:::elsewhere/"], ["arn:aws:s3:::naive/"]]


def _replica(name: str, bucket: str) -> dict[str, Any]:
    return {
        "ID": name,
        "Status": "Enabled",
        "Priority": 1,
        "Filter": {"Prefix": "theirs/"},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {"Bucket": f"arn:aws:s3:::{bucket}"},
    }


@pytest.mark.parametrize(("compliance", "mode"), [((), "GOVERNANCE"), (("naive",), "COMPLIANCE")])
def test_compliance_is_written_only_where_it_was_asked_for_twice(
    world: World, compliance: tuple[str, ...], mode: str
) -> None:
    usual = world.settings()
    asked = {"lock_mode": "COMPLIANCE"} if compliance else {}
    world.bring(world.settings(**asked, compliance=compliance), world.logs())
    found = world.s3.get_object_lock_configuration(Bucket="naive")["ObjectLockConfiguration"]
    assert buckets.retention(found) == (mode, usual.lock_days)


@pytest.mark.parametrize(
    ("asked", "seen", "is_denied"),
    [("1.2", "1.1", True), ("1.2", "1.2", False), ("1.3", "1.2", True), ("1.3", "1.3", False)],
)
def test_old_versions_of_tls_are_denied(
    world: World, asked: str, seen: str, is_denied: bool
) -> None:
    world.bring(world.settings(tls_version=asked), world.logs())

    def say(request: Any, **_more: Any) -> None:
        request.headers["x-test-tls-version"] = seen

    reader = world.of("reader")
    world.s3.put_object(Bucket="naive", Key="acme/config", Body=b"c")
    reader.meta.events.register("before-send.s3", say)
    assert denied(reader.get_object, Bucket="naive", Key="acme/config") is is_denied


def test_accounts_that_are_named_get_in_and_no_other(world: World) -> None:
    theirs = {**THEIRS, "Principal": {"AWS": enforced.FOREIGN_ACCOUNT}}
    policy = {"Version": "2012-10-17", "Statement": [theirs]}
    world.s3.put_bucket_policy(Bucket="naive", Policy=json.dumps(policy))
    for accounts, is_denied in (([], True), ([enforced.FOREIGN_ACCOUNT], False)):
        world.bring(world.settings(accounts=accounts), world.logs())
        world.s3.put_object(Bucket="naive", Key="k", Body=b"c")
        assert denied(foreign(world).get_object, Bucket="naive", Key="k") is is_denied


def test_the_diff_shows_each_setting_before_and_after(world: World) -> None:
    found = world.bring(world.settings(), world.logs(), check=True)["diff"]
    versioning = next(one for one in found if one["after_header"] == "naive versioning")
    assert (versioning["before"], versioning["after"]) == ("{}\n", '{\n "Status": "Enabled"\n}\n')


def test_who_must_get_in_gets_in_and_nobody_else(world: World) -> None:
    world.bring(world.settings(), world.logs())
    world.s3.put_object(Bucket="naive", Key="acme/config", Body=b"c")
    writer, pruner = world.of("writer"), world.of("pruner")
    data = {"Bucket": "naive", "Key": "acme/data/00/1"}
    lock = {"Bucket": "naive", "Key": "acme/locks/1"}
    kms = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": world.kms_key}
    other = "arn:aws:kms:eu-west-1:123456789012:key/other"
    # (is to be denied, call, arguments): restic's ways, and their twins
    tried: list[tuple[bool, Any, dict[str, Any]]] = [
        (False, writer.put_object, {**data, "Body": b"1"}),
        (False, writer.put_object, {**data, "Body": b"1", **kms}),
        (True, writer.put_object, {**data, "Body": b"1", **kms, "SSEKMSKeyId": other}),
        (True, writer.put_object, {**data, "Body": b"1", "ServerSideEncryption": "AES256"}),
        (
            True,
            writer.put_object,
            {**data, "Body": b"1", "SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32},
        ),
        (True, world.plain("writer").put_object, {**data, "Body": b"1"}),
        (False, writer.get_object, data),
        (True, world.plain("writer").get_object, data),
        (True, writer.get_object, {"Bucket": "naive", "Key": "other/config"}),
        (False, writer.list_objects_v2, {"Bucket": "naive", "Prefix": "acme/"}),
        (True, writer.list_objects_v2, {"Bucket": "naive", "Prefix": "other/"}),
        (False, writer.put_object, {**lock, "Body": b"1"}),
        (False, writer.delete_object, lock),
        (True, writer.delete_object, data),
        (False, pruner.delete_object, data),
        (True, pruner.put_bucket_versioning, suspended()),
        (True, writer.put_bucket_versioning, suspended()),
        (True, writer.delete_bucket_policy, {"Bucket": "naive"}),
        (False, world.s3.get_bucket_policy, {"Bucket": "naive"}),
        (True, foreign(world).get_object, data),
        (False, world.of("reader").get_object, {"Bucket": "naive", "Key": "acme/config"}),
    ]
    for number, (is_denied, call, arguments) in enumerate(tried):
        assert denied(call, **arguments) is is_denied, f"{number}: {arguments}"


def suspended() -> dict[str, Any]:
    return {"Bucket": "naive", "VersioningConfiguration": {"Status": "Suspended"}}


def foreign(world: World) -> Any:
    return world.client(key=enforced.FOREIGN_KEY)


def test_a_version_can_be_deleted_by_nobody_of_ours(world: World) -> None:
    world.bring(world.settings(), world.logs())
    version = world.of("writer").put_object(Bucket="naive", Key="acme/data/00/1", Body=b"2")
    one = {"Bucket": "naive", "Key": "acme/data/00/1", "VersionId": version["VersionId"]}
    assert denied(world.of("writer").delete_object, **one)
    assert denied(world.of("pruner").delete_object, **one)
    assert denied(world.of("pruner").delete_object, **one, BypassGovernanceRetention=True)
    assert not denied(world.of("pruner").delete_object, Bucket="naive", Key="acme/data/00/1")
    assert world.s3.get_object(**one)["Body"].read() == b"2"


def test_without_tls_the_caller_is_not_shut_out(world: World) -> None:
    clients = world.clients(world.server.http)
    with pytest.raises(plan.PlanError, match=r"shut out the caller .*RingfenceTlsOnly .*no TLS"):
        running.bring(clients, [world.settings()], account=True, create=True, check=False)
    assert world.s3.get_bucket_versioning(Bucket="naive").get("Status") is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"writers": [{"arn": "arn:aws:iam::999999999999:user/w"}]}, "shut out writer"),
        ({"pruners": [{"arn": "arn:aws:iam::999999999999:role/p"}]}, "shut out pruner"),
    ],
)
def test_who_writes_is_not_shut_out(world: World, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(plan.PlanError, match=said):
        world.bring(world.settings(**changes), world.logs())
    assert "logs" not in {one["Name"] for one in world.s3.list_buckets()["Buckets"]}
    allowed = world.settings(**changes, accounts=["999999999999"])
    world.bring(allowed, world.logs(), check=True)


def test_nothing_is_made_weaker(world: World) -> None:
    world.s3.put_bucket_versioning(Bucket="naive", VersioningConfiguration={"Status": "Enabled"})
    lock = {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 400}},
    }
    world.s3.put_object_lock_configuration(Bucket="naive", ObjectLockConfiguration=lock)
    assert statuses(world.bring(world.settings(), world.logs()))["aws_s3_object_lock"] == "pass"
    found = world.s3.get_object_lock_configuration(Bucket="naive")["ObjectLockConfiguration"]
    assert buckets.retention(found) == buckets.retention(lock) == ("COMPLIANCE", 400)


def test_rules_of_others_stay(world: World) -> None:
    theirs = {
        "ID": "theirs",
        "Status": "Enabled",
        "Filter": {"Prefix": "tmp/"},
        "Transitions": [{"Days": 30, "StorageClass": "GLACIER"}],
    }
    world.s3.put_bucket_lifecycle_configuration(
        Bucket="naive", LifecycleConfiguration={"Rules": [theirs]}
    )
    world.bring(world.settings(), world.logs())
    found = world.s3.get_bucket_lifecycle_configuration(Bucket="naive")["Rules"]
    assert [rule["ID"] for rule in found] == [
        "theirs",
        "ringfence-old-versions",
        "ringfence-unfinished-uploads",
    ]
    assert not world.bring(world.settings(), world.logs())["changed"]


def test_a_rule_that_deletes_backups_is_told_of_and_left(world: World) -> None:
    theirs = {
        "ID": "tidy",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"Days": 30},
    }
    world.s3.put_bucket_lifecycle_configuration(
        Bucket="naive", LifecycleConfiguration={"Rules": [theirs]}
    )
    found = world.bring(world.settings(), world.logs())
    assert statuses(found)["aws_s3_lifecycle_keeps_backups"] == "fail"
    assert not world.bring(world.settings(), world.logs())["changed"]


def test_an_identity_with_too_much_is_told_of_and_left(world: World) -> None:
    everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    document = json.dumps({"Version": "2012-10-17", **everything})
    world.iam.put_user_policy(UserName="writer", PolicyName="all", PolicyDocument=document)
    found = world.bring(world.settings(), world.logs())
    # The bucket's policy takes back what would lose a backup; reading other clients' it does not.
    assert statuses(found)["aws_s3_writer"] == "fail"
    rows = next(row for row in found["buckets"] if row["name"] == "s3://naive")["controls"]
    said = next(row["message"] for row in rows if row["id"] == "aws_s3_writer")
    assert said == "writer may read what is not below acme/; writer may delete the key"
    assert "all" in world.iam.list_user_policies(UserName="writer")["PolicyNames"]
    assert denied(world.of("writer").delete_object, Bucket="naive", Key="acme/data/1")
    assert not denied(world.of("writer").delete_object, Bucket="naive", Key="acme/locks/1")


def test_a_bucket_is_made_where_that_is_asked_for(world: World) -> None:
    new = world.settings(name="new", writers=[], pruners=[])
    with pytest.raises(plan.PlanError, match="there is no bucket new, and create is false"):
        running.bring(world.clients(), [new], account=False, create=False, check=False)
    found = world.bring(new, world.logs())
    assert found["calls"].index("logs: s3.create_bucket") < found["calls"].index(
        "new: s3.create_bucket"
    )
    assert set(statuses(found, "new").values()) == {"pass", "not_applicable"}
    assert not world.bring(new, world.logs())["changed"]


def test_a_call_that_fails_ends_the_run_and_what_was_done_is_told(world: World) -> None:
    nowhere = world.settings(log_bucket="nowhere")
    with pytest.raises(running.RunError, match="naive: PutBucketLogging") as caught:
        world.bring(nowhere)
    assert caught.value.calls[-1] == "naive: s3.put_bucket_policy"


def test_what_cannot_be_read_is_an_error_and_is_not_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything_else = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    but = {"Effect": "Deny", "Action": "s3:GetEncryptionConfiguration", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything_else, but]})
    world.iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=document)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", world.keys["reader"])
    found = running.audit(world.clients(), [world.settings()])
    status = statuses(found)
    for control in ("aws_s3_encryption", "aws_s3_kms_key", "aws_s3_bucket_key"):
        assert status[control] == "error"
    assert status["aws_s3_versioning"] == "fail"
    with pytest.raises(plan.PlanError, match="encryption is not known, so it is not changed"):
        world.bring(world.settings(), world.logs())


def test_no_key_is_ever_told(world: World) -> None:
    found = json.dumps(world.bring(world.settings(), world.logs()))
    assert embedded.SECRET_KEY not in found
    assert embedded.ACCESS_KEY not in found


def test_a_service_with_s3_alone_is_judged_by_that(world: World) -> None:
    clients = world.clients(provider="s3")
    found = running.audit(clients, [world.settings(writers=[], pruners=[])])
    status = statuses(found)
    for control in (
        "aws_s3_account_public_block",
        "aws_s3_foreign_accounts",
        "aws_s3_kms_rotation",
    ):
        assert status[control] == "not_applicable"
    assert status["aws_s3_versioning"] == "fail"


@pytest.mark.parametrize(
    ("options", "compliance", "said"),
    [
        ({"lock_mode": "COMPLIANCE"}, [], "found only one of the two"),
        ({}, ["b"], "found only one of the two"),
        ({"kms_key": ""}, [], "kms_key: expected the ARN"),
        ({"kms_key": "alias/x"}, [], "found an alias"),
        ({"log_bucket": "b"}, [], "logs into itself"),
        ({"writers": [{"arn": "acme"}]}, [], "acme: expected the ARN of an IAM user or role"),
    ],
)
def test_what_cannot_be_is_refused(options: Any, compliance: list[str], said: str) -> None:
    with pytest.raises(buckets.SettingsError, match=said):
        buckets.settings_of({"name": "b", "kms_key": KMS, **options}, compliance)


def test_compliance_is_had_where_both_agree() -> None:
    options = {"name": "b", "kms_key": KMS, "lock_mode": "COMPLIANCE"}
    assert buckets.settings_of(options, ["b"]).lock_mode == "COMPLIANCE"


def status_of(control: str, read: dict[str, Any], **changes: Any) -> tuple[str, Any]:
    settings = buckets.settings_of({"name": "b", "kms_key": KMS, **changes}, ())
    account = {"account": "123456789012", "caller": "", "account_public_block": {}}
    bucket = buckets.Bucket(settings, {"policy": {}, **read}, {**account, **read})
    row = next(row for row in buckets.judge(bucket) if row["id"] == control)
    return row["status"], row["observed"]


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"policy": json.dumps({"Statement": list(statements)})}


def _lifecycle(**rule: Any) -> dict[str, Any]:
    return {"lifecycle": {"Rules": [{"Status": "Enabled", "Filter": {"Prefix": ""}, **rule}]}}


ALL = dict.fromkeys(buckets.BLOCKS, True)
PUBLIC = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
PLAIN = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": "*",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
GRANT = {
    "acl": {
        "Owner": {"ID": "me"},
        "Grants": [
            {
                "Grantee": {"URI": "http://acs.amazonaws.com/groups/global/AllUsers"},
                "Permission": "READ",
            }
        ],
    }
}
NO_ACL: dict[str, Any] = {"acl": {"Owner": {"ID": "me"}, "Grants": []}}
DATA = [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::b/"]}]


@pytest.mark.parametrize(
    ("control", "read", "status"),
    [
        ("aws_s3_public_block", {"public_block": ALL}, "pass"),
        ("aws_s3_public_block", {"public_block": {**ALL, "IgnorePublicAcls": False}}, "fail"),
        ("aws_s3_public_block", {"public_block": facts.Unread("AccessDenied")}, "error"),
        ("aws_s3_public_block", {"public_block": facts.Absent("NotImplemented")}, "not_applicable"),
        ("aws_s3_public_read", {**NO_ACL, **_policy(PUBLIC)}, "fail"),
        ("aws_s3_public_read", {**NO_ACL, **_policy({**PUBLIC, "Action": "s3:Put*"})}, "pass"),
        (
            "aws_s3_public_read",
            {**NO_ACL, **_policy(PUBLIC), "public_block": ALL},
            "pass",
        ),
        ("aws_s3_public_policy", {**_policy(PUBLIC), "public_block": ALL}, "fail"),
        ("aws_s3_public_policy", _policy(PUBLIC, {**PUBLIC, "Effect": "Deny"}), "pass"),
        ("aws_s3_public_policy", {"policy_status": {"IsPublic": True}}, "fail"),
        ("aws_s3_public_list", GRANT, "fail"),
        ("aws_s3_public_list", {**GRANT, "public_block": ALL}, "pass"),
        ("aws_s3_public_write", GRANT, "pass"),
        ("aws_s3_acl", GRANT, "fail"),
        ("aws_s3_acl", NO_ACL, "pass"),
        ("aws_s3_tls", _policy(PLAIN), "pass"),
        ("aws_s3_tls", _policy({**PLAIN, "Action": "s3:GetObject"}), "fail"),
        ("aws_s3_tls", _policy({**PLAIN, "Principal": {"AWS": "111111111111"}}), "fail"),
        (
            "aws_s3_tls",
            _policy(
                {
                    **PLAIN,
                    "Condition": {**PLAIN["Condition"], "IpAddress": {"aws:SourceIp": "0.0.0.0/0"}},
                }
            ),
            "fail",
        ),
        ("aws_s3_tls", {"policy": "{"}, "error"),
        ("aws_s3_tls", _policy({**PLAIN, "Condition": {"Sometimes": {"a": "b"}}}), "error"),
        (
            "aws_s3_old_versions",
            _lifecycle(NoncurrentVersionExpiration={"NoncurrentDays": 30}),
            "pass",
        ),
        (
            "aws_s3_old_versions",
            _lifecycle(NoncurrentVersionExpiration={"NoncurrentDays": 3}),
            "fail",
        ),
        (
            "aws_s3_old_versions",
            _lifecycle(NoncurrentVersionExpiration={"NoncurrentDays": 30}, Filter={"Prefix": "x/"}),
            "fail",
        ),
        (
            "aws_s3_old_versions",
            _lifecycle(NoncurrentVersionExpiration={"NoncurrentDays": 30}, Status="Disabled"),
            "fail",
        ),
        ("aws_s3_lifecycle_keeps_backups", _lifecycle(Expiration={"Days": 900}), "fail"),
        (
            "aws_s3_lifecycle_keeps_backups",
            _lifecycle(Expiration={"ExpiredObjectDeleteMarker": True}),
            "pass",
        ),
        ("aws_s3_mfa_delete", {"versioning": {"MFADelete": "Enabled"}, "object_lock": {}}, "pass"),
        ("aws_s3_mfa_delete", {"versioning": {}, "object_lock": {}}, "fail"),
        (
            "aws_s3_encryption",
            {
                "encryption": {
                    "Rules": [
                        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms:dsse"}}
                    ]
                }
            },
            "pass",
        ),
        ("aws_s3_encryption", {"encryption": {}}, "fail"),
        (
            "aws_s3_customer_keys",
            {"encryption": {"Rules": [{"BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}}]}},
            "pass",
        ),
        ("aws_s3_customer_keys", {"encryption": {}}, "fail"),
        ("aws_s3_access_points", {"access_points": []}, "pass"),
        (
            "aws_s3_access_points",
            {"access_points": [{"Name": "a", "Bucket": "b", "NetworkOrigin": "Internet"}]},
            "fail",
        ),
        (
            "aws_s3_access_points",
            {"access_points": [{"Name": "a", "Bucket": "b", "block": ALL}]},
            "pass",
        ),
        ("aws_s3_access_points", {"access_points": [{"Name": "a", "Bucket": "another"}]}, "pass"),
        ("aws_s3_account_public_block", {"account_public_block": ALL}, "pass"),
    ],
)
def test_verdicts(control: str, read: dict[str, Any], status: str) -> None:
    assert status_of(control, read)[0] == status


@pytest.mark.parametrize(
    ("trail", "status"),
    [
        ({"events": [], "advanced": [], "logging": True}, "fail"),
        ({"events": [{"DataResources": DATA}], "advanced": [], "logging": True}, "pass"),
        ({"events": [{"DataResources": DATA}], "advanced": [], "logging": False}, "fail"),
        (
            {
                "events": [{"DataResources": DATA, "ReadWriteType": "ReadOnly"}],
                "advanced": [],
                "logging": True,
            },
            "fail",
        ),
    ],
)
def test_data_events(trail: dict[str, Any], status: str) -> None:
    assert status_of("aws_s3_data_events", {"trail": trail}, trail="t")[0] == status


@pytest.mark.parametrize(
    ("fields", "logged"),
    [
        ([], True),
        ([{"Field": "resources.ARN", "StartsWith": ["arn:aws:s3:::b/"]}], True),
        ([{"Field": "resources.ARN", "StartsWith": ["arn:aws:s3:::other/"]}], False),
        ([{"Field": "readOnly", "Equals": ["true"]}], False),
        ([{"Field": "readOnly", "Equals": ["false"]}], True),
        ([{"Field": "eventName", "Equals": ["PutObject"]}], False),
    ],
)
def test_advanced_selectors(fields: list[dict[str, Any]], logged: bool) -> None:
    usual = [
        {"Field": "eventCategory", "Equals": ["Data"]},
        {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
    ]
    trail = {"events": [], "advanced": [{"FieldSelectors": usual + fields}], "logging": True}
    assert buckets.is_in_trail(trail, "arn:aws:s3:::b") is logged


def test_the_writers_policy_is_enough_and_no_more() -> None:
    who = identities.Principal("arn:aws:iam::123456789012:user/w", "acme/")
    for kind in ("writers", "pruners"):
        policy = identities.policy_of(kind, who, "b", KMS)
        found = identities.problems(
            kind, who, {"policies": [policy]}, policies.parse(None), "b", KMS
        )
        assert found == []
        if kind == "writers":
            as_pruner = identities.problems(
                "pruners", who, {"policies": [policy]}, policies.parse(None), "b", KMS
            )
            assert as_pruner == ["w may not s3:DeleteObject on b/acme/data/00/1"]


def test_a_boundary_counts() -> None:
    who = identities.Principal("arn:aws:iam::123456789012:user/w")
    policy = identities.policy_of("writers", who, "b", "")
    nothing: dict[str, Any] = {"Statement": []}
    found = {"policies": [policy], "boundary": nothing}
    assert len(identities.problems("writers", who, found, policies.parse(None), "b", "")) == 4


def test_the_policies_of_several_buckets_are_one() -> None:
    who = [{"arn": "arn:aws:iam::123456789012:user/w"}]
    wanted = [buckets.settings_of({"name": n, "kms_key": KMS, "writers": who}, ()) for n in "ab"]
    found = running.policies_for(wanted)[who[0]["arn"]]
    sids = [statement["Sid"] for statement in found["Statement"]]
    assert len(sids) == len(set(sids)) == 10
