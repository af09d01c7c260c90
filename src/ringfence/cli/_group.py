# SPDX-License-Identifier: GPL-3.0-or-later
"""How every command ends: its exit code, and one line for what went wrong."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

CLEAN, FINDINGS, NOT_CHECKED, BAD_INPUT = 0, 1, 2, 3


class Commands(TyperGroup):
    """The commands of `ringfence`."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit with its code."""
        arguments = list(sys.argv[1:] if args is None else args)
        more = {"windows_expand_args": windows_expand_args, **extra}
        code = self._code(arguments, prog_name, complete_var, more)
        if standalone_mode:
            sys.exit(code)
        return code

    def _code(
        self,
        arguments: list[str],
        prog_name: str | None,
        complete_var: str | None,
        extra: dict[str, Any],
    ) -> int:
        try:
            ended = super().main(
                arguments, prog_name or "ringfence", complete_var, standalone_mode=False, **extra
            )
            return ended if isinstance(ended, int) else CLEAN
        except BrokenPipeError:
            # whoever read our output has enough of it; the run itself is long over
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the interpreter flushes it at exit
            return NOT_CHECKED
        except KeyboardInterrupt:
            return _say("interrupted", NOT_CHECKED, arguments)
        except Exception as error:
            code = _code_of(error)
            if code is None:
                raise
            if _is_help(error):
                return code  # its page is printed by then
            return _say(_line(error), code, arguments)


def _code_of(error: Exception) -> int | None:
    """The exit code of an error that is meant for the user; None for one that is our fault."""
    from ringfence.errors import BadInputError, NotCheckedError

    if _is_help(error) or isinstance(error, BadInputError) or hasattr(error, "format_message"):
        return BAD_INPUT
    if isinstance(error, NotCheckedError) or type(error).__name__ == "Abort":
        return NOT_CHECKED
    if _is_evidence_error(error):
        return NOT_CHECKED
    return None


def _is_help(error: Exception) -> bool:
    return type(error).__name__ == "NoArgsIsHelpError"


def _is_evidence_error(error: Exception) -> bool:
    return any(kind.__name__ == "EvidenceError" for kind in type(error).__mro__)


def _line(error: Exception) -> str:
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    help_hint = f" (see {context.command_path} --help)" if context is not None else ""
    return " ".join(text.split()) + help_hint


def _say(message: str, code: int, arguments: list[str]) -> int:
    if "--json" in arguments:
        print(json.dumps({"error": message, "exit_code": code}))
    print(f"ringfence: {message}", file=sys.stderr)
    return code
