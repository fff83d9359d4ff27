"""`llmc corpus record`, `add` and `debian`: real code into a corpus."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_compiler.cli.common import cores, exit_code, need_corpus, resumable, say, seconds
from llm_compiler.errors import InputError

if TYPE_CHECKING:
    from llm_compiler.corpus.recording import Report

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True,
                  help="Build a corpus of IR from real code, and its functions.")

CorpusFolder = Annotated[Path | None, typer.Option("--corpus", metavar="DIR",
                                                   help="The corpus; default $LLMC_CORPUS or ./corpus.")]
_Package = Annotated[str | None, typer.Option("--package", metavar="NAME", show_default=False, help=
                                              "What the code belongs to; the folder's or file's name unless said.")]
_Version = Annotated[str, typer.Option("--version", metavar="V", help="Its version.")]
_Licence = Annotated[str, typer.Option("--licence", metavar="L", help="Its licence, as SPDX names it.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def corpus_folder(named: Path | None) -> Path:
    """The folder of the corpus, absolute."""
    return Path(os.path.abspath(named or os.environ.get("LLMC_CORPUS") or "corpus"))


def filled_corpus(named: Path | None, *, functions: bool = False) -> Path:
    """The folder of a corpus that has modules, and finished functions where they are needed. Raises InputError."""
    folder = corpus_folder(named)
    if not any((folder / "modules").glob("*.parquet")):
        raise InputError(f"there is no corpus in {folder}; name one with --corpus, or fill it by "
                         "`llmc corpus record`, `add` or `debian`")
    if functions and not (folder / "functions" / "manifest.json").exists():
        raise InputError(f"{folder} has no finished functions; run `llmc corpus functions --corpus {folder}` first")
    return folder


@app.command("record", context_settings={"allow_interspersed_args": False})
def record(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The build, as `make -j2`.")],
    corpus: CorpusFolder = None,
    package: _Package = None,
    version: _Version = "",
    licence: _Licence = "",
    as_json: _Json = False,
) -> int:
    """Run a build and keep the unoptimised IR of every C and C++ compilation.

    The build's own compiler runs untouched; each capture follows it. The exit code is the build's.
    """
    need_corpus()
    from llm_compiler.corpus.recording import record_command
    from llm_compiler.corpus.schema import Origin

    origin = Origin(package or _name_of(Path.cwd()), version, licence)
    code, report = record_command(command, corpus=corpus_folder(corpus), origin=origin, jobs=cores())
    _show(report, as_json)
    if not report.commands["seen"]:
        say("no compilation was seen: a build that calls its compiler by a full path must be configured anew here, "
            "and what is up to date is not compiled again")  # fmt: skip
        return code or 1
    return code


@app.command("add")
def add(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Source trees, single files, "
                                                "compile_commands.json, .ll and .bc files, folders of them.")],
    corpus: CorpusFolder = None,
    package: _Package = None,
    version: _Version = "",
    licence: _Licence = "",
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", metavar="N", min=1, show_default="one per core",
                                             help="Files compiled at a time.")] = None,
    as_json: _Json = False,
) -> int:
    """Bring sources and IR into the corpus without a build; include paths of single files are guessed."""
    need_corpus()
    from llm_compiler.corpus.schema import Origin
    from llm_compiler.corpus.sources import add_paths

    name = package or _name_of(paths[0])
    report = add_paths(paths, corpus=corpus_folder(corpus), origin=Origin(name, version, licence),
                       jobs=jobs or cores(), say=say)
    _show(report, as_json)
    return 0 if report.shards else 1


@app.command("debian")
@resumable
def debian(
    packages: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Debian source packages, or .dsc "
                                                         "files.")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", metavar="NAME", help="A set of the package list.")] = None,
    corpus: CorpusFolder = None,
    package_list: Annotated[Path | None, typer.Option("--list", metavar="FILE",
                                                      help="A package list instead of our own.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the packages and stop.")] = False,
    install: Annotated[bool, typer.Option("--install-build-deps", help="Install build dependencies with apt-get; "
                                          "without it nothing is installed.")] = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", metavar="N", min=1, show_default="one per core",
                                             help="Parallel compilations.")] = None,
    keep: Annotated[bool, typer.Option("--keep-sources", help="Keep what was fetched and built.")] = False,
    time_limit: Annotated[str, typer.Option("--time-limit", metavar="TIME",
                                            help="Limit of one package's build, as 90s, 30m, 2h.")] = "30m",
    single: Annotated[bool, typer.Option("--single-files/--no-single-files",
                                         help="After a broken build, compile what is left file by file.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the totals as JSON.")] = False,
) -> int:
    """Fetch Debian source packages, build them recording, and keep the IR of every C and C++ compilation.

    Runs the packages' own build scripts: use a container. Finished packages are passed over, so that a second run goes
    on where the first one ended. Exit code 1 when a package failed, 2 when all did.
    """
    need_corpus()
    import json

    from llm_compiler.corpus.archive import Archive
    from llm_compiler.corpus.debian import Options, Recipe, build_packages, read_sets, totals

    known = read_sets(package_list)
    unknown = [name for name in sets or () if name not in known]
    if unknown:
        raise InputError(f"there is no set {unknown[0]}; there are {', '.join(known)}")
    recipes = {name: recipe for members in known.values() for name, recipe in members.items()}
    names = [*(packages or ()), *(name for group in sets or () for name in known[group])]
    wanted = {name: recipes.get(name, Recipe()) for name in names}
    if show:
        for name, recipe in (wanted or recipes).items():
            print(f"{name}\t{recipe.kind}")
        return 0
    if not wanted:
        raise InputError(f"name a package or a set: {', '.join(known)}")
    folder = corpus_folder(corpus)
    archive = Archive(folder / "work") if any(not name.endswith(".dsc") for name in wanted) else None
    options = Options(jobs=jobs or cores(), install_build_deps=install, keep_sources=keep,
                      time_limit=seconds(time_limit), single_files=single)  # fmt: skip
    reports = build_packages(wanted, folder, options, archive=archive, say=say)
    found = totals(reports)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        print(f"{found['packages']} packages, {found['captured']} of {found['seen']} compilations captured "
              f"({100 * found['share']:.1f} %), {found['modules']} modules, {found['functions']} functions; "
              f"failed: {', '.join(found['failed']) or 'none'}")  # fmt: skip
    return exit_code(found["packages"], len(found["failed"]))


def _name_of(path: Path) -> str:
    """A package's name from the name of a file or a folder."""
    return re.sub(r"[^A-Za-z0-9+._-]+", "-", Path(os.path.abspath(path)).stem).lstrip("+._-") or "unnamed"


def _show(report: Report, as_json: bool) -> None:
    import json

    if as_json:
        print(json.dumps(vars(report), indent=1))
        return
    from llm_compiler.corpus.debian import summary

    print(summary(report))
    for reason, entry in report.failures.items():
        said = f" (the first: {entry['first']})" if "'…'" in reason else ""
        say(f"{entry['count']} x {reason}: {', '.join(entry['names'][:3])}{said}")
