"""The Ray cluster on EC2 against Ray's own schema, and the template of buckets and roles."""

import copy
import fnmatch
import json
import os
import pathlib
import re
import shlex
import stat
import subprocess
import sys
import tomllib
from typing import Any

import boto3
import cfnlint.api
import cfnlint.config
import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from . import manifests
from .manifests import ROOT, Document

AWS = ROOT / "infra" / "aws"
TEMPLATE = AWS / "raysee.cfn.yaml"
NEVER = ("0.0.0.0/0", "::/0")


@pytest.fixture(scope="module")
def cluster() -> Document:
    found: Document = yaml.safe_load((AWS / "cluster.yaml").read_text())
    return found


def test_ray_takes_the_cluster(cluster: Document) -> None:
    whole = prepare_config(copy.deepcopy(cluster))
    validate_config(whole)
    assert whole["head_setup_commands"] == cluster["setup_commands"], "none of Ray's own, which install into the image"
    with pytest.raises(jsonschema.ValidationError, match="idle_minutes"):
        validate_config({**whole, "idle_minutes": 5})


def test_who_reaches_the_cluster_needs_the_token(cluster: Document) -> None:
    assert cluster["provider"]["use_internal_ips"] is True
    assert "ssm" in cluster["auth"]["ssh_proxy_command"]
    assert "--env RAY_AUTH_MODE=token" in cluster["docker"]["run_options"]
    assert any("~/.ray/auth_token" in command for command in cluster["setup_commands"])
    (start,) = (command for command in cluster["head_start_ray_commands"] if "--head" in command)
    assert "--dashboard-host=127.0.0.1" in start
    assert "--num-cpus=0" in start
    text = (AWS / "cluster.yaml").read_text()
    assert not any(address in text for address in NEVER)


def test_the_token_comes_from_the_secret_by_what_the_container_is_given(
    cluster: Document, s3_server: str, tmp_path: pathlib.Path
) -> None:
    options = [word for option in cluster["docker"]["run_options"] for word in shlex.split(option)]
    given = dict(options[number + 1].split("=", 1) for number, word in enumerate(options) if word == "--env")
    region = cluster["provider"]["region"]
    boto3.client("secretsmanager", region_name=region).create_secret(Name="raysee-ray-token", SecretString="a-token")
    told = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED", "AWS_ENDPOINT_URL")
    programs = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in cluster["setup_commands"]:
        ran = subprocess.run(
            ["bash", "-c", command],
            env={**given, **{name: os.environ[name] for name in told}, "PATH": programs, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr
    file = tmp_path / ".ray" / "auth_token"
    assert file.read_text() == "a-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_prometheus_finds_outside_the_container_what_ray_writes_in_it(cluster: Document) -> None:
    prometheus = yaml.safe_load((ROOT / "infra" / "prometheus" / "prometheus.yml").read_text())
    ((found,),) = [one["files"] for one in prometheus["scrape_configs"][0]["file_sd_configs"]]
    folder = pathlib.PurePosixPath(found).parent
    assert f"--volume {folder}:{folder}" in cluster["docker"]["run_options"], "its links lead there on both sides"
    (user,) = {pod.spec["securityContext"]["runAsUser"] for pod in manifests.pods("plain")}
    assert f"sudo install --directory --owner={user} {folder}" in cluster["initialization_commands"]


def test_the_machines(cluster: Document) -> None:
    types = cluster["available_node_types"]
    spot = {name for name, one in types.items() if "InstanceMarketOptions" in one["node_config"]}
    assert spot == {"gpu-spot"}
    assert (types["head"]["max_workers"], cluster["head_node_type"]) == (0, "head")
    assert sum(one["max_workers"] for one in types.values()) == cluster["max_workers"]
    for name, one in types.items():
        config = one["node_config"]
        assert config["MetadataOptions"]["HttpTokens"] == "required", name
        assert all(device["Ebs"]["Encrypted"] for device in config["BlockDeviceMappings"]), name
        assert config["SecurityGroupIds"], "Ray's own would open SSH to everybody"
        assert config["SubnetIds"], name
        profile = config["IamInstanceProfile"]["Arn"].rpartition("/")[2]
        assert profile == ("raysee-head" if name == "head" else "raysee-worker")
        assert ("GPU" in one["resources"]) == name.startswith("gpu"), name
        assert one["min_workers"] == (0 if name == "head" else 1), "check_gpus and train --workers count what is there"
    assert cluster["docker"]["head_image"] == cluster["docker"]["worker_image"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {cluster["docker"]["worker_image"], types["gpu-spot"]["docker"]["worker_image"]}
    assert {image.rpartition(":")[2] for image in images} == {
        f"{version}-ray{manifests.pinned('ray')}-{build}" for build in ("cpu", "cuda")
    }


# The template.


def tagged(loader: yaml.Loader, suffix: str, node: yaml.Node) -> Any:
    """!Ref and the like, as {"Ref": ...}."""
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    raise AssertionError(f"!{suffix} of something else")


class Loader(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation's functions."""


Loader.add_multi_constructor("!", tagged)


@pytest.fixture(scope="module")
def template() -> Document:
    found: Document = yaml.load(TEMPLATE.read_text(), Loader)
    return found


def resources(template: Document, kind: str) -> dict[str, Document]:
    return {name: one["Properties"] for name, one in template["Resources"].items() if one["Type"] == kind}


def test_cfn_lint_agrees() -> None:
    found = cfnlint.api.lint_file(TEMPLATE, cfnlint.config.ManualArgs(regions=["eu-central-1"]))
    assert not [str(one) for one in found]


def test_every_bucket_is_closed_and_encrypted(template: Document) -> None:
    buckets = resources(template, "AWS::S3::Bucket")
    policies = {
        one["Bucket"]["Ref"]: one["PolicyDocument"] for one in resources(template, "AWS::S3::BucketPolicy").values()
    }
    assert set(buckets) == set(policies) == {"CorporaBucket", "CallsBucket", "LakeBucket", "ScoresBucket"}
    for name, bucket in buckets.items():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}, name
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4, name
        assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}, name
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"] == {
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": {"GetAtt": "Key.Arn"},
        }, name
        (statement,) = policies[name]["Statement"]
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*"), name
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}, name
        assert statement["Resource"] == [{"GetAtt": f"{name}.Arn"}, {"Sub": f"${{{name}.Arn}}/*"}], name
        held = template["Resources"][name]
        assert held["DeletionPolicy"] == held["UpdateReplacePolicy"] == "Retain", "data outlive a stack"


def test_calls_go_and_scores_stay(template: Document) -> None:
    for name, bucket in resources(template, "AWS::S3::Bucket").items():
        rules = bucket["LifecycleConfiguration"]["Rules"]
        assert all(rule["Status"] == "Enabled" for rule in rules)
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules), name
        expires = [rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule]
        assert expires == ([{"Ref": "KeepCallsDays"}] if name == "CallsBucket" else []), name
        versioned = "VersioningConfiguration" in bucket
        assert versioned == any("NoncurrentVersionExpiration" in rule for rule in rules), (
            "or deleted things stay for ever"
        )
    assert "VersioningConfiguration" not in template["Resources"]["CallsBucket"]["Properties"], "what expires is gone"


def allows(statements: list[Document], action: str, resource: str, prefix: str = "") -> bool:
    """Whether a policy lets somebody do something; an object is BUCKET.Arn/KEY."""
    for one in statements:
        names = [next(iter(value.values())) if isinstance(value, dict) else value for value in one["Resource"]]
        patterns = [re.sub(r"\$\{(\w+\.Arn)\}", r"\1", name) for name in names]
        wanted = one.get("Condition", {}).get("StringLike", {}).get("s3:prefix", ["*"])
        if (
            any(fnmatch.fnmatchcase(action, pattern) for pattern in one["Action"])
            and any(fnmatch.fnmatchcase(resource, pattern) for pattern in patterns)
            and any(fnmatch.fnmatchcase(prefix, pattern) for pattern in wanted)
        ):
            return True
    return False


READ, WRITE, DELETE, LIST = "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"


@pytest.mark.parametrize(
    ("access", "action", "resource", "expected"),
    [
        ("ScoringAccess", READ, "CallsBucket.Arn/2026-11-19/a.wav", True),
        ("ScoringAccess", LIST, "CallsBucket.Arn", True),
        ("ScoringAccess", WRITE, "CallsBucket.Arn/2026-11-19/a.wav", False),
        ("ScoringAccess", DELETE, "CallsBucket.Arn/2026-11-19/a.wav", False),
        ("ScoringAccess", READ, "LakeBucket.Arn/runs/emodb/run/model.safetensors", True),
        ("ScoringAccess", READ, "LakeBucket.Arn/features/emodb/x", False),
        ("ScoringAccess", LIST, "LakeBucket.Arn", False),
        ("ScoringAccess", WRITE, "LakeBucket.Arn/runs/emodb/run/model.safetensors", False),
        ("ScoringAccess", READ, "CorporaBucket.Arn/emodb/a.wav", False),
        ("ScoringAccess", READ, "ScoresBucket.Arn/claim.json", True),
        ("ScoringAccess", WRITE, "ScoresBucket.Arn/calls/part-00000.parquet", True),
        ("ScoringAccess", DELETE, "ScoresBucket.Arn/lock.json", True),
        ("TrainingAccess", READ, "CorporaBucket.Arn/emodb/a.wav", True),
        ("TrainingAccess", WRITE, "CorporaBucket.Arn/emodb/a.wav", False),
        ("TrainingAccess", WRITE, "LakeBucket.Arn/runs/emodb/run/model.safetensors", True),
        ("TrainingAccess", LIST, "LakeBucket.Arn", True),
        ("TrainingAccess", READ, "CallsBucket.Arn/2026-11-19/a.wav", False),
        ("TrainingAccess", LIST, "CallsBucket.Arn", False),
        ("TrainingAccess", READ, "ScoresBucket.Arn/calls/part-00000.parquet", False),
    ],
)
def test_who_may_do_what(access: str, action: str, resource: str, expected: bool, template: Document) -> None:
    statements = resources(template, "AWS::IAM::ManagedPolicy")[access]["PolicyDocument"]["Statement"]
    assert allows(statements, action, resource) is expected


def test_scoring_lists_models_and_nothing_else_of_the_lake(template: Document) -> None:
    statements = resources(template, "AWS::IAM::ManagedPolicy")["ScoringAccess"]["PolicyDocument"]["Statement"]
    assert allows(statements, LIST, "LakeBucket.Arn", "runs/emodb/")
    assert not allows(statements, LIST, "LakeBucket.Arn", "features/")


def test_no_right_is_wider_than_it_says(template: Document) -> None:
    for name, policy in resources(template, "AWS::IAM::ManagedPolicy").items():
        for statement in policy["PolicyDocument"]["Statement"]:
            assert not any("*" in action for action in statement["Action"]), name
            assert "*" not in statement["Resource"], name
            assert statement["Effect"] == "Allow", name
    (head,) = resources(template, "AWS::IAM::Role")["HeadRole"]["Policies"]
    for statement in head["PolicyDocument"]["Statement"]:
        assert not any("*" in action for action in statement["Action"])
        assert "*" not in statement["Resource"] or all(":Describe" in action for action in statement["Action"])
    ended = next(one for one in head["PolicyDocument"]["Statement"] if "ec2:TerminateInstances" in one["Action"])
    (tag,) = ended["Condition"]["StringEquals"].values()
    assert tag == yaml.safe_load((AWS / "cluster.yaml").read_text())["cluster_name"]


@pytest.mark.parametrize("name", ["training", "scoring"])
def test_kubernetes_takes_the_roles_that_there_are(name: str, template: Document) -> None:
    role = resources(template, "AWS::IAM::Role")[f"{name.capitalize()}Role"]
    assert role["ManagedPolicyArns"] == [{"Ref": f"{name.capitalize()}Access"}]
    text = role["AssumeRolePolicyDocument"]["Sub"]
    for variable, value in (("OidcProvider", "oidc.example/id/1"), ("Namespace", "raysee")):
        text = text.replace(f"${{{variable}}}", value)
    (statement,) = json.loads(text)["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Condition"] == {
        "StringEquals": {
            "oidc.example/id/1:aud": "sts.amazonaws.com",
            "oidc.example/id/1:sub": f"system:serviceaccount:raysee:raysee-{name}",
        }
    }
    (account,) = (
        one for one in manifests.of_kind("plain", "ServiceAccount") if one["metadata"]["name"] == f"raysee-{name}"
    )
    arn = account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
    assert arn.rpartition("/")[2] == role["RoleName"]


def test_nobody_outside_reaches_a_machine(template: Document) -> None:
    group = resources(template, "AWS::EC2::SecurityGroup")["MachineGroup"]
    assert "SecurityGroupIngress" not in group
    (way_in,) = resources(template, "AWS::EC2::SecurityGroupIngress").values()
    assert way_in["SourceSecurityGroupId"] == way_in["GroupId"] == {"GetAtt": "MachineGroup.GroupId"}
    assert "CidrIp" not in way_in


def test_the_secret_is_the_one_that_the_cluster_reads(template: Document, cluster: Document) -> None:
    (secret,) = resources(template, "AWS::SecretsManager::Secret").values()
    assert "SecretString" not in secret
    assert any(f"SecretId='{secret['Name']}'" in command for command in cluster["setup_commands"])
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(one.startswith("boto3") for one in extras["aws"]), "what reads it is in the image"
