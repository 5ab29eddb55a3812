"""`deskmate backup` and `deskmate restore`: a workspace in one file, and back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.safekeeping.backup import Manifest

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]


def backup(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="The archive, such as desk.tar.gz; is replaced.")],
    as_json: Json = False,
) -> None:
    """Write everything that cannot be made again into one file; the chat may run meanwhile."""
    from app.console import print_json
    from app.safekeeping import backup as backups
    from app.settings import load_settings

    settings = load_settings()
    manifest = backups.backup(settings.workspace.root, archive, bool(settings.database.url.get_secret_value()))
    size = archive.stat().st_size
    if as_json:
        print_json(_shown(manifest) | {"archive": str(archive), "bytes": size})
        return
    typer.echo(f"{archive}: {len(manifest.files):,} files, {size / 2**20:,.1f} MiB; keep it where only you can write")
    if manifest.database == "postgresql":
        typer.echo("without the database, which is PostgreSQL's: back it up by pg_dump, right after this")
    typer.echo(f"next: deskmate restore {archive} --into FOLDER   (try it before you need it)")


def restore(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="An archive that deskmate backup wrote.")],
    into: Annotated[Path | None, typer.Option(help="The workspace; that of the settings by default.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Put the workspace that is there aside.")] = False,
    as_json: Json = False,
) -> None:
    """Put a backup where the workspace is to be, after every file was checked; all of it or nothing."""
    from app.console import print_json
    from app.safekeeping import restore as restores
    from app.settings import load_settings

    root = into or load_settings().workspace.root
    manifest, aside = restores.restore(archive, root, force)
    if as_json:
        print_json(_shown(manifest) | {"workspace": str(root), "before": str(aside) if aside else None})
        return
    typer.echo(f"{root}: {len(manifest.files):,} files as they were at {manifest.made}; everybody signs in again")
    if manifest.database == "postgresql":
        typer.echo("the database is PostgreSQL's: restore it by pg_restore")
    if aside:
        typer.echo(f"what was there before is {aside}; remove it when all is well")
    typer.echo("next: deskmate status, then deskmate audit verify")


def _shown(manifest: "Manifest") -> dict[str, object]:
    """What is said of an archive."""
    return {
        "made": manifest.made,
        "database": manifest.database,
        "generation": manifest.generation,
        "files": len(manifest.files),
    }
