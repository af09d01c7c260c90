# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies judged as AWS documents it: by the tests' own evaluator, and by the product's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_policy as policies
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.s3 import conditions

OWNER = "123456789012"
USER = f"arn:aws:iam::{OWNER}:user/writer"
YES, NO = True, False

# What AWS documents of condition operators: (operator, key, values of the policy, values of the
# request or None where it has no such key, whether the condition holds).
OPERATORS: list[tuple[str, str, Any, Any, bool]] = [
    ("StringEquals", "s3:k", "a", "a", YES),
    ("StringEquals", "s3:k", "a", "A", NO),
    ("StringEquals", "s3:k", ["a", "b"], "b", YES),
    ("StringEquals", "s3:k", "a*", "ab", NO),
    ("StringEquals", "s3:k", "a", None, NO),
    ("StringEquals", "S3:K", "a", "a", YES),
    ("StringNotEquals", "s3:k", "a", "b", YES),
    ("StringNotEquals", "s3:k", "a", "a", NO),
    ("StringNotEquals", "s3:k", ["a", "b"], "b", NO),
    ("StringNotEquals", "s3:k", "a", None, YES),
    ("StringEqualsIfExists", "s3:k", "a", None, YES),
    ("StringEqualsIfExists", "s3:k", "a", "b", NO),
    ("StringNotEqualsIfExists", "s3:k", "a", None, YES),
    ("StringNotEqualsIfExists", "s3:k", "a", "a", NO),
    ("StringNotEqualsIfExists", "s3:k", "a", "b", YES),
    ("StringEqualsIgnoreCase", "s3:k", "aB", "Ab", YES),
    ("StringNotEqualsIgnoreCase", "s3:k", "aB", "Ab", NO),
    ("StringLike", "s3:k", "a*c", "abbc", YES),
    ("StringLike", "s3:k", "a?c", "abbc", NO),
    ("StringLike", "s3:k", "a?c", "abc", YES),
    ("StringLike", "s3:k", "a[b]c", "abc", NO),
    ("StringLike", "s3:k", "*", "", YES),
    ("StringLike", "s3:k", "*", None, NO),
    ("StringNotLike", "s3:k", "a*", "b", YES),
    ("StringNotLike", "s3:k", "a*", None, YES),
    ("Bool", "aws:SecureTransport", "false", "false", YES),
    ("Bool", "aws:SecureTransport", "false", "true", NO),
    ("Bool", "aws:SecureTransport", False, "false", YES),
    ("Bool", "aws:SecureTransport", "false", None, NO),
    ("BoolIfExists", "aws:SecureTransport", "false", None, YES),
    ("BoolIfExists", "aws:SecureTransport", "false", "true", NO),
    ("Null", "s3:k", "true", None, YES),
    ("Null", "s3:k", "true", "a", NO),
    ("Null", "s3:k", "false", None, NO),
    ("Null", "s3:k", "false", "a", YES),
    ("Null", "s3:k", True, None, YES),
    ("NumericLessThan", "s3:TlsVersion", "1.2", "1.1", YES),
    ("NumericLessThan", "s3:TlsVersion", "1.2", "1.2", NO),
    ("NumericLessThan", "s3:TlsVersion", "1.2", None, NO),
    ("NumericLessThanIfExists", "s3:TlsVersion", 1.2, None, YES),
    ("NumericLessThanEquals", "s3:k", "5", "5", YES),
    ("NumericGreaterThan", "s3:k", "9", "10", YES),
    ("NumericGreaterThanEquals", "s3:k", "10", "9", NO),
    ("NumericEquals", "s3:k", "10", "10.0", YES),
    ("NumericNotEquals", "s3:k", "10", "10.0", NO),
    ("NumericNotEquals", "s3:k", "10", None, YES),
    ("NumericEquals", "s3:k", "10", "ten", NO),
    ("DateLessThan", "aws:CurrentTime", "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", YES),
    ("DateGreaterThan", "aws:CurrentTime", "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", NO),
    ("DateEquals", "aws:EpochTime", "1767225600", "2026-01-01T00:00:00Z", YES),
    ("IpAddress", "aws:SourceIp", "192.0.2.0/24", "192.0.2.7", YES),
    ("IpAddress", "aws:SourceIp", "192.0.2.0/24", "198.51.100.7", NO),
    ("IpAddress", "aws:SourceIp", ["192.0.2.0/24", "2001:db8::/32"], "2001:db8::1", YES),
    ("IpAddress", "aws:SourceIp", "192.0.2.7", "192.0.2.7", YES),
    ("IpAddress", "aws:SourceIp", "192.0.2.0/24", None, NO),
    ("NotIpAddress", "aws:SourceIp", "192.0.2.0/24", "198.51.100.7", YES),
    ("NotIpAddress", "aws:SourceIp", "192.0.2.0/24", "192.0.2.7", NO),
    ("NotIpAddress", "aws:SourceIp", "192.0.2.0/24", None, YES),
    ("ArnEquals", "aws:PrincipalArn", f"arn:aws:iam::{OWNER}:user/*", USER, YES),
    ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:user/writer", USER, YES),
    ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/writer", USER, NO),
    ("ArnLike", "aws:PrincipalArn", "arn:aws:*", USER, NO),
    ("ArnNotEquals", "aws:PrincipalArn", USER, USER, NO),
    ("ArnNotLike", "aws:PrincipalArn", USER, None, YES),
    ("ForAnyValue:StringEquals", "aws:TagKeys", ["a", "b"], ["b", "c"], YES),
    ("ForAnyValue:StringEquals", "aws:TagKeys", ["a", "b"], ["c", "d"], NO),
    ("ForAnyValue:StringEquals", "aws:TagKeys", "a", None, NO),
    ("ForAnyValue:StringNotEquals", "aws:TagKeys", "a", ["a", "b"], YES),
    ("ForAnyValue:StringNotEquals", "aws:TagKeys", "a", ["a"], NO),
    ("ForAllValues:StringEquals", "aws:TagKeys", ["a", "b"], ["a", "b"], YES),
    ("ForAllValues:StringEquals", "aws:TagKeys", ["a", "b"], ["a", "c"], NO),
    ("ForAllValues:StringEquals", "aws:TagKeys", "a", None, YES),
    ("ForAllValues:StringNotEquals", "aws:TagKeys", "a", ["b", "c"], YES),
    ("ForAllValues:StringNotEquals", "aws:TagKeys", "a", ["a", "c"], NO),
    ("ForAllValues:StringLike", "aws:TagKeys", "a*", ["ab", "ac"], YES),
    ("StringEquals", "s3:prefix", "${aws:username}", "writer", YES),
    ("StringEquals", "s3:prefix", "${aws:username}", "other", NO),
    ("StringLike", "s3:prefix", "${aws:username}/*", "writer/x", YES),
    ("StringLike", "s3:prefix", "${aws:PrincipalTag/team, 'none'}", "none", YES),
    ("StringLike", "s3:prefix", "${aws:PrincipalTag/team}", "", NO),
    ("StringLike", "s3:prefix", "a${*}", "a*", YES),
    ("StringLike", "s3:prefix", "a${*}", "ab", NO),
    ("StringEquals", "s3:prefix", "${$}{x}", "${x}", YES),
]  # fmt: skip


def request(**changes: Any) -> dict[str, Any]:
    usual = {
        "action": "s3:PutObject",
        "resource": "arn:aws:s3:::b/k",
        "principal": USER,
        "account": OWNER,
        "context": {},
    }
    return {**usual, **changes}


def asked(found: dict[str, Any]) -> policies.Asked:
    context = {
        key.lower(): tuple(value) if isinstance(value, list) else (value,)
        for key, value in found["context"].items()
    }
    return policies.Asked(
        found["action"], found["resource"], found["principal"] or "", found["account"], context
    )


@pytest.mark.parametrize(("operator", "key", "wanted", "seen", "holds"), OPERATORS)
def test_operators(operator: str, key: str, wanted: Any, seen: Any, holds: bool) -> None:
    context = {"aws:username": "writer"}
    if seen is not None:
        context[key.lower()] = seen
    found = request(context=context)
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {operator: {key: wanted}},
    }
    assert (conditions.verdict(statement, found) == conditions.DENY) is holds
    assert policies.matches(statement, asked(found)) is holds


# (changes to the statement, changes to the request, whether the one is about the other)
MATCHES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"Action": "S3:putobject"}, {}, YES),
    ({"Action": ["s3:GetObject", "s3:Put*"]}, {}, YES),
    ({"Action": "s3:PutObject?"}, {}, NO),
    ({"Action": None, "NotAction": "s3:Get*"}, {}, YES),
    ({"Action": None, "NotAction": ["s3:Put*"]}, {}, NO),
    ({"Resource": "arn:aws:s3:::b"}, {}, NO),
    ({"Resource": "arn:aws:s3:::B/k"}, {}, NO),
    ({"Resource": "arn:aws:s3:::b/*"}, {"resource": "arn:aws:s3:::b/x/y"}, YES),
    ({"Resource": "arn:aws:s3:::b/*"}, {"resource": "arn:aws:s3:::b"}, NO),
    ({"Resource": "arn:aws:s3:::b/${aws:username}"}, {"context": {"aws:username": "k"}}, YES),
    ({"Resource": "arn:aws:s3:::b/${aws:username}"}, {}, NO),
    ({"Resource": None, "NotResource": "arn:aws:s3:::b/locks/*"}, {}, YES),
    (
        {"Resource": None, "NotResource": ["arn:aws:s3:::b/locks/*"]},
        {"resource": "arn:aws:s3:::b/locks/1"},
        NO,
    ),
    ({"Principal": {"AWS": "*"}}, {"principal": None, "account": ""}, YES),
    ({"Principal": {"AWS": USER}}, {}, YES),
    ({"Principal": {"AWS": [OWNER]}}, {}, YES),
    ({"Principal": {"AWS": f"arn:aws:iam::{OWNER}:root"}}, {}, YES),
    ({"Principal": {"AWS": "arn:aws:iam::999999999999:root"}}, {}, NO),
    ({"Principal": {"AWS": f"arn:aws:iam::{OWNER}:user/other"}}, {}, NO),
    ({"Principal": {"AWS": USER}}, {"principal": None, "account": ""}, NO),
    (
        {"Principal": {"AWS": f"arn:aws:iam::{OWNER}:role/r"}},
        {"principal": f"arn:aws:sts::{OWNER}:assumed-role/r/session"},
        YES,
    ),
    ({"Principal": {"Service": "logging.s3.amazonaws.com"}}, {}, NO),
    (
        {"Principal": {"Service": "logging.s3.amazonaws.com"}},
        {"principal": "logging.s3.amazonaws.com", "account": ""},
        YES,
    ),
    ({"Principal": None, "NotPrincipal": {"AWS": USER}}, {}, NO),
    ({"Principal": None, "NotPrincipal": {"AWS": f"arn:aws:iam::{OWNER}:user/o"}}, {}, YES),
    (
        {"Condition": {"Bool": {"aws:a": "true"}, "StringEquals": {"aws:b": "x"}}},
        {"context": {"aws:a": "true", "aws:b": "y"}},
        NO,
    ),
    (
        {"Condition": {"StringEquals": {"aws:a": "x", "aws:b": "x"}}},
        {"context": {"aws:a": "x", "aws:b": "x"}},
        YES,
    ),
]


@pytest.mark.parametrize(("statement", "sent", "about"), MATCHES)
def test_elements(statement: dict[str, Any], sent: dict[str, Any], about: bool) -> None:
    usual = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    whole = {key: value for key, value in {**usual, **statement}.items() if value is not None}
    found = request(**sent)
    assert (conditions.verdict(whole, found) == conditions.DENY) is about
    assert policies.matches(whole, asked(found)) is about


ALLOW_ALL = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
BUCKET_ALLOWS = {"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}}
BUCKET_DENIES = {"Statement": {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}}
STRANGER = {"principal": "arn:aws:iam::999999999999:user/s", "account": "999999999999"}


@pytest.mark.parametrize(
    ("sent", "identity", "bucket", "outcome"),
    [
        ({}, [], None, "deny"),
        ({}, [ALLOW_ALL], None, "allow"),
        ({}, [], BUCKET_ALLOWS, "allow"),
        ({}, [ALLOW_ALL], BUCKET_DENIES, "deny"),
        (STRANGER, [ALLOW_ALL], None, "deny"),
        (STRANGER, [], BUCKET_ALLOWS, "deny"),
        (STRANGER, [ALLOW_ALL], BUCKET_ALLOWS, "allow"),
        ({"principal": None, "account": ""}, [], BUCKET_ALLOWS, "allow"),
        ({"principal": None, "account": ""}, [], None, "deny"),
        ({"principal": f"arn:aws:iam::{OWNER}:root"}, [], None, "allow"),
        ({"principal": f"arn:aws:iam::{OWNER}:root"}, [], BUCKET_DENIES, "deny"),
    ],
)
def test_what_is_decided(sent: Any, identity: Any, bucket: Any, outcome: str) -> None:
    assert conditions.decide(request(**sent), identity, bucket, OWNER) == outcome


_TEXT = st.text(alphabet="ab*?$", max_size=3)
_NAMES = st.sampled_from(
    [
        quantifier + name + suffix
        for quantifier in ("", "ForAllValues:", "ForAnyValue:")
        for name in ("StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "Bool")
        for suffix in ("", "IfExists")
    ]
    + ["Null"]
)


@settings(max_examples=400, deadline=None)
@given(
    operator=_NAMES,
    wanted=st.lists(_TEXT, min_size=1, max_size=3),
    seen=st.none() | st.lists(st.text(alphabet="ab", max_size=3), min_size=1, max_size=3),
    effect=st.sampled_from(["Allow", "Deny"]),
)
def test_both_evaluators_agree(operator: str, wanted: Any, seen: Any, effect: str) -> None:
    statement = {
        "Effect": effect,
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {operator: {"aws:k": ["true"] if operator == "Null" else wanted}},
    }
    found = request(context={} if seen is None else {"aws:k": seen})
    agreed = conditions.verdict(statement, found) != conditions.NOTHING
    assert policies.matches(statement, asked(found)) is agreed


@pytest.mark.parametrize(
    ("condition", "context", "outcome"),
    [
        ({"StringEquals": {"aws:a": "x"}}, {"aws:a": policies.UNKNOWN}, None),
        ({"Null": {"aws:a": "true"}}, {"aws:a": policies.UNKNOWN}, None),
        (
            {"StringEquals": {"aws:a": "x"}, "Bool": {"aws:b": "true"}},
            {"aws:a": policies.UNKNOWN, "aws:b": ("false",)},
            False,
        ),
    ],
)
def test_what_is_not_known_is_no_answer(condition: Any, context: Any, outcome: Any) -> None:
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}
    sent = policies.Asked("s3:GetObject", "arn:aws:s3:::b/k", context=context)
    assert policies.matches(statement, sent) is outcome
    assert policies.denied_by([{"Statement": [statement]}], sent) == ""


def test_an_operator_that_is_not_known_is_an_error() -> None:
    statement = {"Effect": "Deny", "Action": "*", "Condition": {"StringAlmost": {"aws:a": "x"}}}
    with pytest.raises(policies.PolicyError, match="StringAlmost"):
        policies.matches(statement, policies.Asked("s3:GetObject", "x"))


def test_statements_are_merged_by_sid() -> None:
    theirs = {"Effect": "Allow", "Action": "s3:GetObject"}
    policy = {
        "Version": "2008-10-17",
        "Id": "p",
        "Statement": [
            {"Sid": "RingfenceA", "Effect": "Deny", "Action": "old"},
            theirs,
            {"Sid": "RingfenceGone", "Effect": "Deny"},
            {"Sid": "Ringtone", **theirs},
        ],
    }
    ours = [
        {"Sid": "RingfenceA", "Effect": "Deny", "Action": "new"},
        {"Sid": "RingfenceB", "Effect": "Deny"},
    ]
    found = policies.merged(policy, ours, "Ringfence")
    assert found["Statement"] == [ours[0], theirs, {"Sid": "Ringtone", **theirs}, ours[1]]
    assert (found["Version"], found["Id"]) == ("2008-10-17", "p")
    assert policies.same(policies.merged(found, ours, "Ringfence"), found)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"Action": ["a"]}, {"Action": "a"}, True),
        ({"Action": ["a", "b"]}, {"Action": ["b", "a"]}, True),
        ({"Principal": "*"}, {"Principal": {"AWS": "*"}}, True),
        ({"Condition": {"Bool": {"k": False}}}, {"Condition": {"Bool": {"k": "false"}}}, True),
        ({"Action": "a"}, {"Action": "b"}, False),
        ({"Action": "a"}, {"NotAction": "a"}, False),
    ],
)
def test_what_says_the_same_is_the_same(one: Any, other: Any, same: bool) -> None:
    whole = [{"Statement": [part]} for part in (one, other)]
    assert policies.same(*whole) is same


@pytest.mark.parametrize("text", ["{", "[]", '{"Statement": "x"}'])
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(policies.PolicyError):
        policies.parse(text)


def test_no_policy_is_an_empty_one() -> None:
    assert policies.parse(None)["Statement"] == []
    assert policies.parse(json.dumps({"Statement": {"Effect": "Deny"}}))["Statement"] == [
        {"Effect": "Deny"}
    ]
