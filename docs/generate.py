"""Writes the parts of the docs that are made from the code: the table of states and the messages of the protocol.

`python docs/generate.py` writes them; `python docs/generate.py --check` says whether they are stale.
"""

from __future__ import annotations

import inspect
import re
import sys
import typing
from pathlib import Path

import click
import msgspec

from easyjobs.cli.commands import commands
from easyjobs.cli.taskflow import commands as of_taskflow
from easyjobs.core.states import FINAL, STATES, TRANSITIONS
from easyjobs.protocol import messages
from easyjobs.settings import ManagerSettings, WorkerSettings, variables

HERE = Path(__file__).parent


def states() -> str:
    """The diagram and the table of all moves."""
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {t.source or '[*]'} --> {t.target}" for t in TRANSITIONS]
    lines += [f"    {state} --> [*]" for state in STATES if state in FINAL]
    lines += ["```", "", "| from | to | by | in the same transaction |", "|---|---|---|---|"]
    lines += [f"| {t.source or '(new)'} | {t.target} | {t.by} | {t.also} |" for t in TRANSITIONS]
    return "\n".join(lines)


def table(kinds: typing.Iterable[type[msgspec.Struct]]) -> str:
    """Messages or their parts: name, fields, meaning."""
    blocks = []
    for kind in kinds:
        tag = kind.__struct_config__.tag
        title = f"`{tag}`" if tag else kind.__name__
        blocks.append(f"**{title}**. {prose(kind)}")
        fields = msgspec.structs.fields(kind)
        if fields:
            shape = "an array in this order" if kind.__struct_config__.array_like else "an object"
            named = ", ".join(f"`{f.encode_name}`{'' if f.required else '?'}" for f in fields)
            blocks.append(f"As {shape}: {named}.")
    return "\n\n".join(blocks)


def prose(kind: type) -> str:
    """A docstring as one paragraph."""
    return re.sub(r"\s+", " ", inspect.getdoc(kind) or "")


def parts() -> str:
    """What messages are made of."""
    return table(
        [
            messages.Held,
            messages.Submission,
            messages.Assignment,
            messages.Outcome,
            messages.Ended,
            messages.Verdict,
            messages.Limits,
        ]
    )


def settings() -> str:
    """The tables of what a manager and a worker may be told."""
    tables = []
    for title, shape in (("Manager", ManagerSettings), ("Worker and client", WorkerSettings)):
        lines = [f"## {title}", "", prose(shape), "", "| argument | variable | default |", "|---|---|---|"]
        for field in msgspec.structs.fields(shape):
            default = "" if field.default is None else f"`{_plain(field.default)}`"
            named = " or ".join(f"`{v}`" for v in variables(field.name))
            lines.append(f"| `{field.name}` | {named} | {default} |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def _plain(default: object) -> object:
    return ", ".join(default) if isinstance(default, tuple) else default


def cli() -> str:
    """The help of every command, those of an application of Taskflow last."""
    pages: list[str] = []

    def add(command: click.Command, path: str, parent: click.Context | None) -> None:
        context = click.Context(command, info_name=path if parent is None else path.split()[-1], parent=parent)
        context.max_content_width = context.terminal_width = 100
        pages.append(f"## {path}\n\n```text\n{command.get_help(context)}\n```")
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                if found is not None:
                    add(found, f"{path} {name}", context)

    add(commands, "easyjobs", None)
    add(of_taskflow, "python main.py", None)
    return "\n\n".join(pages)


SECTIONS = {
    "states.md": {"states": states},
    "settings.md": {"settings": settings},
    "cli.md": {"cli": cli},
    "protocol.md": {
        "peer": lambda: table(typing.get_args(messages.FromPeer)),
        "manager": lambda: table(typing.get_args(messages.FromManager)),
        "parts": parts,
    },
}


def renewed(text: str, sections: dict[str, typing.Callable[[], str]]) -> str:
    """A page with what stands between its markers written anew."""
    for name, make in sections.items():
        pattern = re.compile(rf"(<!-- {name}: made from the code -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"the page has no section {name}")
        made = make()
        text = pattern.sub(lambda found, made=made: f"{found[1]}\n{made}\n\n{found[2]}", text)
    return text


def main() -> int:
    """Write or check; the exit status."""
    stale = []
    for page, sections in SECTIONS.items():
        file = HERE / page
        text = file.read_text()
        new = renewed(text, sections)
        if new != text:
            stale.append(page)
            if "--check" not in sys.argv:
                file.write_text(new)
    if stale and "--check" in sys.argv:
        sys.stderr.write(f"stale, run python docs/generate.py: {', '.join(stale)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
