"""`easyjobs alerts`: what somebody should look at."""

from __future__ import annotations

import sys

import click

from easyjobs.cli.asking import as_json, connect, manager_options, print_json, shown_time
from easyjobs.cli.http import Api
from easyjobs.cli.text import plain


@click.command("alerts", short_help="List what somebody should look at.")
@click.argument("what", metavar="[list]", required=False, type=click.Choice(["list"]))
@manager_options
@as_json
@click.pass_context
def command(ctx: click.Context, what: str | None, url: str, insecure: bool, secret_file: str | None, raw: bool) -> None:
    """List what somebody should look at, oldest first; exit code 1 if there is anything.

    The secret is read from --secret-file, EASYJOBS_MANAGER_SECRET or EASYJOBS_SECRET.
    """
    connect(ctx, url, insecure, secret_file)
    api: Api = ctx.obj
    alerts = api.get("alerts")["items"]
    if raw:
        print_json(alerts)
    for alert in () if raw else alerts:
        click.echo(f"{shown_time(alert['since'])}  {plain(alert['kind'])}  {plain(alert['subject'])}")
        click.echo(f"    {plain(alert['text'])}")
    if alerts:
        sys.exit(1)
    if not raw:
        click.echo("nothing: all is well as far as the manager sees", err=True)
