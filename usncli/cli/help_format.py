"""``--help`` of a command as plain text: its options under the headings of their groups."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class PlainCommand(TyperCommand):
    """A command whose help is plain text, with one heading for each ``rich_help_panel`` of its options."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then options group by group, in the order in which they are declared."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            name, text = record
            if parameter.param_type_name == "argument":
                groups["Arguments"].append((parameter.metavar or name, text))
            else:
                groups.setdefault(getattr(parameter, "rich_help_panel", None) or "Options", []).append((name, text))
        for heading, rows in groups.items():
            if not rows:
                continue
            with formatter.section(heading):
                formatter.write_dl(rows)
