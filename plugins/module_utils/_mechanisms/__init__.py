# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The mechanisms, one module each; `_registry.py` names them all.

A mechanism has three functions, free of side effects:

- `observe(host, control) -> Observation`: the live state and the persisted one;
- `judge(control, observation) -> Verdict`;
- `plan(control, observation, stage) -> None`: stages what would bring the host there;

with `PARAMS` (parameter name -> type name, a `?` marks an optional one), `VALUE` (the value types
it takes), and, where reading for all controls at once is cheaper, `prepare(host, controls)`.
"""
