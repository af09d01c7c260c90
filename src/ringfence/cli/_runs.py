# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence audit` and `ringfence plan`."""

from __future__ import annotations

from rich.text import Text

from ringfence.cli import _output as out
from ringfence.cli import _summary as summary
from ringfence.cli._context import Context
from ringfence.cli._options import Target
from ringfence.cli._playbook import Outcome, watched
from ringfence.results import CLEAN, HostResult, findings
from ringfence.runner import Job


def audit(target: Target, as_json: bool, show_command: bool) -> int:
    """Ask every host, judge every control, change nothing."""
    context = Context(target)
    context.check_controls()
    if show_command:
        return command(context.job("audit"), as_json)
    job = context.job("audit", credentials=context.credentials)
    names = context.selection.hosts
    result = watched("Audit", job, names, as_json)
    code = result.results.exit_code()
    if as_json:
        out.print_json(summary.document("audit", result, code, {}))
        return code
    _audit_page(context, result, code)
    return code


def command(job: Job, as_json: bool) -> int:
    """`--show-command`."""
    if as_json:
        out.print_json({"command": job.command_line(), "exit_code": CLEAN})
    else:
        print(job.command_line())
    return CLEAN


def _audit_page(context: Context, result: Outcome, code: int) -> None:
    target, results = out.console(), result.results
    controls = context.catalogue.controls
    asked = [host for host in results.hosts.values() if host.state == "ok"]
    summary.headline(target, f"Audit of {out.count(len(results.hosts), 'host')}", result)
    summary.host_table(target, results)
    failed = findings(results.hosts.values(), "fail")
    summary.finding_list(target, failed, controls, len(results.hosts))
    summary.finding_list(
        target, findings(results.hosts.values(), "error"), controls, len(results.hosts)
    )
    summary.waiver_lines(target, results)
    totals = results.totals()
    checked = totals["pass"] + totals["fail"] + totals["waived"]
    text = out.joined(
        (
            f"{totals['pass']} of {out.count(checked, 'control')} pass on "
            f"{out.count(len(asked), 'host')}",
            f"to mend: {summary.severity_counts(failed, controls)}" if failed else "",
            troubles(result),
        )
    )
    out.paragraph(target, Text(text, style="bold green" if code == CLEAN else "bold"))
    closing(result)
    _after_audit(context, result, code)


def troubles(result: Outcome) -> str:
    """What was not checked, in words; empty where all was."""
    hosts = list(result.results.hosts.values())
    missing = [host.name for host in hosts if host.state != "ok"]
    totals = result.results.totals()
    errors, manual = totals["error"], totals["manual"]
    return out.joined(
        (
            f"NOT CHECKED: {out.names(missing)}" if missing else "",
            f"{out.count(errors, 'control')} could not be checked" if errors else "",
            f"a person must look at {out.count(manual, 'control')}" if manual else "",
        )
    )


def closing(result: Outcome) -> None:
    """What must not go unsaid at the end of any run."""
    target = out.console()
    if result.interrupted:
        line = f"Interrupted ({result.interrupted}): this is not the whole picture."
        out.paragraph(target, Text(line, style="bold magenta"))
    if result.evidence:
        line = f"Not in the evidence store: {result.evidence}"
        out.paragraph(target, Text(line, style="bold magenta"))


def options(context: Context) -> str:
    """The options that make another command work on the same hosts."""
    target = context.target
    parts = [f"-i {source}" for source in target.inventory]
    parts += [f"--client {client}" for client in target.clients]
    parts += [f"--host {host}" for host in target.hosts]
    parts += [f"-l '{target.limit}'"] if target.limit else []
    parts += [f"--family {family}" for family in target.families]
    parts += [f"--control {control}" for control in target.controls]
    parts += [f"--profile {target.profile}"] if target.profile else []
    return "".join(f" {part}" for part in parts)


def _after_audit(context: Context, result: Outcome, code: int) -> None:
    target = out.console()
    unreachable = [h.name for h in result.results.hosts.values() if h.state == "unreachable"]
    if result.results.totals()["fail"]:
        out.next_step(target, f"ringfence plan{options(context)}", "shows what mends them")
    elif unreachable:
        inventory = "".join(f" -i {source}" for source in context.target.inventory)
        again = f"ringfence audit{inventory} --host {unreachable[0]}"
        out.next_step(target, again, "once it is up")
    elif code == CLEAN:
        out.next_step(target, "ringfence report", "writes it down for a reader")


def plan(target: Target, with_diff: bool, as_json: bool, show_command: bool) -> int:
    """Check mode: what would change, for whom, and what that may disrupt."""
    context = Context(target)
    context.check_controls()
    if show_command:
        return command(context.job("apply", check=True), as_json)
    job = context.job("apply", check=True, credentials=context.credentials)
    names = context.selection.hosts
    result = watched("Plan", job, names, as_json)
    code = result.results.exit_code(would_change_is_finding=True)
    if as_json:
        clients = {
            name: [host for host in hosts if host in result.results.hosts]
            for name, hosts in sorted(context.selection.clients.items())
        }
        out.print_json(summary.document("plan", result, code, {"clients": clients}))
        return code
    _plan_page(context, result, with_diff)
    return code


def _plan_page(context: Context, result: Outcome, with_diff: bool) -> None:
    target, results = out.console(), result.results
    controls = context.catalogue.controls
    hosts = list(results.hosts.values())
    summary.headline(
        target, f"Plan for {out.count(len(hosts), 'host')}, nothing was changed", result
    )
    for title, members in _by_client(context, results.hosts):
        summary.change_list(target, members, controls, heading=title)
    _left_over(context, result)
    if with_diff:
        summary.file_diffs(target, hosts)
    changes = findings(hosts, "changed")
    touched = [host for host in hosts if host.counts["changed"]]
    access = [item for item in changes if item.disruption == "access"]
    text = out.joined(
        (
            f"Would change {out.count(len(changes), 'control')} "
            f"on {out.count(len(touched), 'host')}"
            if changes
            else "Nothing would change",
            f"{len(access)} can cut off access, and {'is' if len(access) == 1 else 'are'} guarded"
            if access
            else "",
            troubles(result),
        )
    )
    out.paragraph(target, Text(text, style="bold"))
    closing(result)
    if changes:
        why = "" if with_diff else "(plan --diff shows the files)"
        out.next_step(target, f"ringfence apply{options(context)}", why)


def _by_client(
    context: Context, hosts: dict[str, HostResult]
) -> list[tuple[str, list[HostResult]]]:
    """A heading and the hosts of each client; those of nobody last."""
    selection = context.selection
    wanted = context.target.clients or sorted(selection.clients)
    found = []
    for client in wanted:
        members = [hosts[name] for name in selection.clients[client] if name in hosts]
        shared = [host.name for host in members if len(selection.clients_by_host[host.name]) > 1]
        note = f", shared with other clients: {out.names(shared)}" if shared else ""
        found.append((f"Client {client}, {out.count(len(members), 'host')}{note}", members))
    rest = [host for name, host in hosts.items() if not selection.clients_by_host.get(name)]
    if rest:
        title = "Hosts of no client" if selection.clients else "All hosts"
        found.append((title, rest))
    return found


def _left_over(context: Context, result: Outcome) -> None:
    """Failing controls that apply cannot mend, and whatever could not be told."""
    target, results = out.console(), result.results
    controls = context.catalogue.controls
    total = len(results.hosts)
    by_hand = findings(results.hosts.values(), "fail")
    if by_hand:
        target.print(Text("Fails, and must be mended by hand", style="bold"))
        summary.finding_list(target, by_hand, controls, total)
    unclear = findings(results.hosts.values(), "error")
    summary.finding_list(target, unclear, controls, total)
    in_trouble = [h for h in results.hosts.values() if h.state != "ok" or h.message]
    if in_trouble:
        summary.trouble_list(target, in_trouble)
