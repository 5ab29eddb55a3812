"""`deskmate users`: make, list, change and remove accounts. A password is never an argument: others could read it."""

import sys
from typing import Annotated, Any

import typer

users = typer.Typer(help="Add, list, change and remove the accounts that people sign in with.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]
Name = Annotated[str, typer.Argument(help="The account's name; letters in either case are the same.")]
Groups = Annotated[
    str | None, typer.Option(help="Groups whose documents they may read besides everyone's, separated by commas.")
]
RoleName = Annotated[
    str | None, typer.Option("--role", help="asker, desk (works the help desk too) or admin (runs it).")
]
Shown = Annotated[str | None, typer.Option("--name", help="The name that others see.")]
Piped = Annotated[bool, typer.Option("--password-stdin", help="Read the password as one line from standard input.")]
NoPassword = Annotated[bool, typer.Option("--no-password", help="For people who come by single sign-on only.")]


@users.command()
def add(
    name: Name,
    groups: Groups = None,
    role: RoleName = None,
    shown: Shown = None,
    piped: Piped = False,
    no_password: NoPassword = False,
) -> None:
    """Make an account. With the first one, everybody has to sign in."""
    from app.accounts.accounts import Change, checked_name
    from app.accounts.audit import CONSOLE

    accounts = _accounts()
    checked_name(name)  # before a password is typed in vain
    chosen = _role(role)
    first = not accounts.any()
    password = _password(name, piped, no_password)
    user = accounts.add(name, CONSOLE, Change(shown, _groups(groups), chosen, password=password))
    reads = ", ".join(("everyone", *sorted(user.groups)))
    typer.echo(f"{user.name} ({user.role}) may sign in and reads what is for {reads}")
    if first:
        typer.echo("from now on everybody signs in; guests are no longer let in", err=True)
    typer.echo("next: deskmate chat   (one that runs knows it already)", err=True)


@users.command("list")
def list_users(as_json: Json = False) -> None:
    """List the accounts: who, with which role, for which groups, and by which way they sign in."""
    from rich.markup import escape
    from rich.table import Table

    from app.console import console, print_json

    found = _accounts().all()
    if as_json:
        print_json({"users": [_shown(user) for user in found]})
        return
    if not found:
        typer.echo("no accounts, so everybody is a guest; make one with: deskmate users add NAME --role admin")
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("account", "name", "role", "groups", "signs in by", "state"):
        table.add_column(title)
    for user in found:
        ways = " and ".join(_ways(user)) or "single sign-on, not yet"
        cells = (user.name, user.shown, user.role, ", ".join(sorted(user.groups)), ways)
        table.add_row(*(escape(cell) for cell in cells), "disabled" if user.disabled else "")
    console().print(table)


@users.command("set")
def set_user(
    name: Name,
    groups: Groups = None,
    role: RoleName = None,
    shown: Shown = None,
    disabled: Annotated[
        bool | None,
        typer.Option("--disable/--enable", help="Whether they may sign in; to disable ends their sessions."),
    ] = None,
    no_password: NoPassword = False,
) -> None:
    """Change an account. What they may read and do changes at once, also where they are signed in."""
    from app.accounts.accounts import Change
    from app.accounts.audit import CONSOLE

    change = Change(shown, _groups(groups), _role(role), disabled, "" if no_password else None)
    if change == Change():
        raise typer.BadParameter("say what to change: --groups, --role, --name, --disable, --enable or --no-password")
    user = _accounts().change(name, CONSOLE, change)
    reads = ", ".join(("everyone", *sorted(user.groups)))
    state = "is disabled" if user.disabled else "may sign in"
    typer.echo(f"{user.name} ({user.role}) {state} and reads what is for {reads}")


@users.command()
def password(name: Name, piped: Piped = False) -> None:
    """Give an account a new password; wherever they are signed in, they are signed out."""
    from app.accounts.accounts import Change
    from app.accounts.audit import CONSOLE

    accounts = _accounts()
    user = accounts.find(name)
    accounts.change(name, CONSOLE, Change(password=_password(user.name, piped, False)))
    typer.echo(f"{user.name} has a new password and signs in again")


@users.command()
def remove(
    name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask before anything is erased.")] = False
) -> None:
    """Remove an account with its conversations, for good. To keep them, disable it instead."""
    from app.accounts.audit import CONSOLE
    from app.web.pages import count_of
    from ingest.errors import DeskmateError

    accounts = _accounts()
    user = accounts.find(name)
    theirs = count_of(accounts.conversations(user), "conversation")
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise DeskmateError(f"{user.name} has {theirs}, which would be erased; say --yes, or: users set --disable")
    if not yes and not typer.confirm(f"Erase {user.name} with {theirs}?", default=False, err=True):
        typer.echo("nothing was erased", err=True)
        return
    gone = accounts.remove(name, CONSOLE)
    typer.echo(f"{user.name} is removed, with {count_of(gone, 'conversation')}")
    if not accounts.any():
        typer.echo("that was the last account: without single sign-on, everybody is a guest again", err=True)


def _accounts() -> Any:
    from app.accounts.accounts import Accounts
    from app.desk import Desk
    from app.settings import load_settings

    return Accounts(Desk(load_settings()).database)


def _password(name: str, piped: bool, none: bool) -> str:
    """A password that is good enough, from one line of standard input or typed twice without being shown."""
    from app.accounts.accounts import check_password
    from ingest.errors import DeskmateError

    if piped and none:
        raise typer.BadParameter("give --password-stdin or --no-password, not both")
    if none:
        return ""
    if piped:
        typed = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        typed = typer.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True)
    else:
        raise DeskmateError("nobody is there to type a password; use --password-stdin or --no-password")
    check_password(typed, name)
    return str(typed)


def _role(name: str | None) -> Any:
    from app.people import Role

    if name is not None and name not in list(Role):
        raise typer.BadParameter(f"{name!r} is none of {', '.join(Role)}", param_hint="--role")
    return None if name is None else Role(name)


def _groups(names: str | None) -> frozenset[str] | None:
    return None if names is None else frozenset(part.strip() for part in names.split(",") if part.strip())


def _ways(user: Any) -> tuple[str, ...]:
    return tuple(way for way, there in (("password", user.password), ("single sign-on", user.single_sign_on)) if there)


def _shown(user: Any) -> dict[str, Any]:
    return {
        "id": user.id,
        "account": user.name,
        "name": user.shown,
        "role": str(user.role),
        "groups": sorted(user.groups),
        "ways": list(_ways(user)),
        "disabled": user.disabled,
        "created": user.created,
    }
