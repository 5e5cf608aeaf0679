"""Commands of the package: ``python -m statmech_bn explore``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from statmech_bn.checks import integer
from statmech_bn.errors import MissingLibrary, StatmechError, installation


@dataclass(frozen=True)
class Explore:
    """Open a page on which sliders move a student (extra `explore`)."""

    port: int = 5006
    """The page is at 127.0.0.1 and this port; 0 takes one that is free."""
    browser: bool = True
    """Open the page in the browser."""


@dataclass(frozen=True)
class Version:
    """Print the version."""


Command = (
    Annotated[Explore, tyro.conf.subcommand("explore")]
    | Annotated[Version, tyro.conf.subcommand("version")]
)


def main(arguments: list[str] | None = None) -> None:
    """Run one command."""
    command = tyro.cli(Command, args=arguments, prog="python -m statmech_bn", description=__doc__)
    if isinstance(command, Version):
        from statmech_bn import __version__

        print(__version__)
        return
    try:
        explore(command)
    except StatmechError as error:
        sys.exit(str(error))


def explore(command: Explore) -> None:
    """Serve the page.

    Raises
    ------
    MissingLibrary
        Bokeh is not installed.
    InvalidSetup
        There is no such port.
    """
    port = integer("port", command.port, 0, maximum=65535)
    try:
        from statmech_bn.explore.server import serve
    except ModuleNotFoundError as error:
        raise MissingLibrary(
            f"The explorer needs {error.name}. {installation('explore')}"
        ) from error
    serve(port, command.browser)


if __name__ == "__main__":
    main()
