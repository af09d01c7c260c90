# SPDX-License-Identifier: GPL-3.0-or-later
"""The client register as commands see it: `validate`, `explain`, and change windows."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from ringfence import collection, hosts
from ringfence.cli import _output as out
from ringfence.cli._context import Context, unknown
from ringfence.cli._options import Target
from ringfence.errors import BadInputError, BadRegisterError
from ringfence.results import BAD_INPUT, CLEAN, FINDINGS, shown

_NAMELESS = ("default", "effective", "host_var")
_LAYERS = {
    "default": "the control's default",
    "group_var": "group variables",
    "tier": "tier",
    "client": "client",
    "site": "site",
    "host_var": "host variables",
    "effective": "effective",
}


def read(context: Context, place: Path, selection: hosts.Selection | None = None) -> Any:
    """The register in `place`, with all that is wrong with it in `problems`."""
    api = collection.plugin_util("register")
    names = groups = handmade = None
    if selection is not None:
        names, groups = set(selection.hosts), set(selection.groups)
        made = collection.plugin_util("register_merge").Handmade
        handmade = {
            host: {name: made(**one) for name, one in given.items()}
            for host, given in selection.handmade.items()
        }
    return api.load(
        place,
        context.catalogue.controls,
        names,
        groups,
        decrypt=_decrypter(context),
        handmade=handmade,
    )


def usable(context: Context) -> Any:
    """The register beside the inventory; None where there is none. Raises BadInputError."""
    place = context.register
    if place is None:
        return None
    found = read(context, place)
    if found.errors:
        raise BadRegisterError(list(map(str, found.errors)))
    return found


def needed(context: Context, purpose: str = "") -> Any:
    """The register beside the inventory. Raises BadInputError, also where there is none.

    `purpose`: what it is for, such as `to review by`.
    """
    found = usable(context)
    if found is None:
        said = f"there is no client register {purpose}".rstrip()
        raise BadInputError(f"{', '.join(context.sources)}: {said}")
    return found


def closed_windows(context: Context, names: Iterable[str]) -> list[str]:
    """Why hosts may not be changed now, a line each; nothing where there is no register.

    Raises BadInputError for a register that cannot be used: it may hold a window.
    """
    found = usable(context)
    if found is None:
        return []
    api = collection.plugin_util("register")
    now = datetime.now(UTC)
    answers = ((name, *api.window_open(found, name, now)) for name in names)
    return [f"{name}: {why}" for name, is_open, why in answers if not is_open]


def _decrypter(context: Context) -> Any:
    credentials = context.credentials
    files = [
        part
        for path in credentials.vault_password_files
        for part in ("--vault-password-file", path)
    ]

    def decrypt(data: bytes) -> bytes:
        command = [collection.program("ansible-vault"), "decrypt", "--output", "-", *files, "-"]
        done = hosts.run_with_vault(command, {}, credentials.vault_password, data)
        if done.returncode != 0:
            raise subprocess.CalledProcessError(done.returncode, "ansible-vault")
        return bytes(done.stdout)

    return decrypt


def validate(target: Target, as_json: bool) -> int:
    """Everything that can be known to be wrong before a host is touched, a line each."""
    context = Context(target)
    errors, warnings = _catalogue_problems(context), []
    place = context.register
    clients = hosts_seen = 0
    if not errors:
        selection, refused = None, []
        try:
            selection = context.selection
            hosts_seen = len(selection.hosts)
        except BadRegisterError as error:
            refused = error.problems
        except BadInputError as error:
            refused = [str(error)]
        if place is not None:
            found = read(context, place, selection)
            clients = len(found.clients)
            errors, warnings = list(map(str, found.errors)), list(map(str, found.warnings))
        # where the inventory refuses the register, its own problems say more
        errors = errors or refused
    code = BAD_INPUT if errors else FINDINGS if warnings else CLEAN
    if as_json:
        out.print_json({"exit_code": code, "errors": errors, "warnings": warnings})
        return code
    _validate_page(context, errors, warnings, clients, hosts_seen)
    return code


def _catalogue_problems(context: Context) -> list[str]:
    try:
        collection.plugin_util("catalogue").load()
        context.check_controls()
    except BadInputError as error:
        return [str(error)]
    except Exception as error:
        problems = getattr(error, "problems", None)
        if problems is None:
            raise
        return list(map(str, problems))
    return []


def _validate_page(
    context: Context, errors: list[str], warnings: list[str], clients: int, hosts_seen: int
) -> None:
    target = out.console()
    for kind, style, lines in (("error", "red", errors), ("warning", "yellow", warnings)):
        for line in lines:
            target.print(Text.assemble((f"{kind}: ", style), shown(line)), soft_wrap=True)
    if errors:
        text = f"{out.count(len(errors), 'error')}: nothing can be applied until they are mended"
        target.print(Text(text, style="bold"), soft_wrap=True)
        return
    counted = [out.count(len(context.catalogue.controls), "control"), out.count(hosts_seen, "host")]
    counted += [out.count(clients, "client")] if clients else []
    tail = f"; {out.count(len(warnings), 'warning')}" if warnings else ""
    target.print(Text(f"Valid: {', '.join(counted)}{tail}", style="bold"), soft_wrap=True)
    out.next_step(target, f"ringfence plan{_inventory(context)}", "shows what would change")


def _inventory(context: Context) -> str:
    return "".join(f" -i {source}" for source in context.target.inventory)


def explain(target: Target, host: str, control: str, site: str | None, as_json: bool) -> int:
    """The value of a control on a host, and each layer that it came through."""
    context = Context(target)
    controls = context.catalogue.controls
    if control not in controls:
        raise BadInputError(unknown("control", control, controls))
    names = context.selection.hosts
    if host not in names:
        raise BadInputError(unknown("host", host, names))
    variables = hosts.variables(
        context.sources, host, context.environment, *context.vault_arguments
    )
    layers = _layers(context, host, control, site, variables)
    declared = controls[control]
    profile = _profile(declared, layers[-1]["value"], variables)
    if as_json:
        out.print_json(
            {
                "exit_code": CLEAN,
                "host": host,
                "control": control,
                "variable": declared["value"]["name"],
                "value": layers[-1]["value"],
                "layers": layers,
                "profile": profile,
            }
        )
        return CLEAN
    _explain_page(declared, host, layers, profile, _waivers(variables, control))
    return CLEAN


def _layers(
    context: Context, host: str, control: str, site: str | None, variables: dict[str, Any]
) -> list[dict[str, Any]]:
    declared = context.catalogue.controls[control]
    name, register = declared["value"]["name"], usable(context)
    if site is not None and (register is None or site not in register.by_site):
        raise BadInputError(unknown("site", site, register.by_site if register else ()))
    if register is None or not register.on(host):
        return _without_register(declared, variables)
    if site is not None and register.by_site[site].site["host"] != host:
        raise BadInputError(f"site {site} is on {register.by_site[site].site['host']}, not {host}")
    merge = collection.plugin_util("register_merge")
    given = (variables.get("ringfence_handmade") or {}).get(name) or {}
    handmade = merge.Handmade(**given)
    api = collection.plugin_util("register")
    try:
        found = api.explain(register, context.catalogue, host, control, site, handmade)
    except Exception as error:
        if type(error).__name__ != "IrreconcilableError":
            raise
        raise BadInputError(f"{host}: {error}") from error
    return [
        {"kind": layer.kind, "name": layer.name, "value": layer.value, "note": layer.note}
        for layer in found
    ]


def _without_register(declared: dict[str, Any], variables: dict[str, Any]) -> list[dict[str, Any]]:
    default, name = declared["value"]["default"], declared["value"]["name"]
    layers = [{"kind": "default", "name": "", "value": default, "note": ""}]
    value = default
    if name in variables:
        value = variables[name]
        layers.append({"kind": "inventory", "name": "", "value": value, "note": ""})
    return [*layers, {"kind": "effective", "name": "", "value": value, "note": ""}]


def _profile(declared: dict[str, Any], value: Any, variables: dict[str, Any]) -> dict[str, Any]:
    """Whether the host's profile demands the control, and why. Raises BadInputError."""
    api = collection.plugin_util("profiles")
    try:
        name = api.of_host(variables)
    except ValueError as error:
        raise BadInputError(str(error)) from None
    return {
        "name": name,
        "level": declared["level"],
        "demanded": api.is_demanded(declared, value, name),
        "reason": api.reason(declared, value, name),
    }


def _waivers(variables: dict[str, Any], control: str) -> list[dict[str, Any]]:
    rows = variables.get("ringfence_waivers") or []
    return [row for row in rows if isinstance(row, dict) and row.get("control") == control]


def _explain_page(
    declared: dict[str, Any],
    host: str,
    layers: list[dict[str, Any]],
    profile: dict[str, Any],
    waivers: list[dict[str, Any]],
) -> None:
    target = out.console()
    out.paragraph(target, Text.assemble((declared["id"], "bold"), "  ", declared["title"]))
    target.print(Text(f"{declared['value']['name']} on {host}", style="dim"))
    target.print()
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for layer in layers:
        style = "bold green" if layer["kind"] == "effective" else ""
        name = _LAYERS.get(layer["kind"], layer["kind"])
        label = name if layer["kind"] in _NAMELESS else f"{name} {layer['name']}".strip()
        table.add_row(
            Text(f"  {shown(label)}", style=style),
            Text(shown(layer["value"]), style=style),
            Text(shown(layer["note"]), style="dim"),
        )
    target.print(table)
    style = "" if profile["demanded"] else "yellow"
    out.paragraph(target, Text(f"  {profile['reason']}", style=style))
    for row in waivers:
        text = f"  waived until {shown(row.get('expires'))} by {shown(row.get('owner'))}: "
        out.paragraph(target, Text(text + shown(row.get("reason")), style="cyan"))
