# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench compares like with like: each control that tasks could set has its tasks."""

from __future__ import annotations

from ansible_collections.ringfence.hosting.plugins.plugin_utils import catalogue

from bench import ordinary


def test_what_tasks_can_set_has_tasks() -> None:
    controls = list(catalogue.load().controls.values())
    play = ordinary.playbook(controls)[0]
    same = [control for control in controls if ordinary.knows(control)]
    assert {control["mechanism"] for control in same} == set(ordinary.MAKERS)
    assert len(play["tasks"]) >= len(same) >= 100
