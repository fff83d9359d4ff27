"""Debian source packages built with recording compilers: debian/rules first, then upstream's own build, then single
files.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from llm_compiler.corpus.archive import (
    Archive,
    SourceError,
    TimeLimitError,
    UnknownPackageError,
    check_hashes,
    field_of,
    licence_names,
    run,
)  # fmt: skip
from llm_compiler.corpus.capture import INSTEAD
from llm_compiler.corpus.exclusion import Exclusion
from llm_compiler.corpus.recording import Recording, Report, check_package, collect
from llm_compiler.corpus.schema import Origin
from llm_compiler.corpus.sources import record_single_files
from llm_compiler.errors import InputError, LlmcError

RULES, UPSTREAM = "rules", "upstream"
DISK_RESERVE = 1 << 30  # bytes that must be free when a package is begun
_FULL = 64 << 20  # with less than this a build that failed is taken to have failed for it
_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games"
_STRIPPED = "-g -O2 -O3 -Wall -Werror=format-security -fstack-protector-strong -fstack-clash-protection"
_PROFILES = "nocheck nodoc noinsttest"
_STOPPED = "stopped_after"  # seconds
_SINGLE_FILES = 3000
# Defaults of autoconf's scripts: libtool would compile everything twice.
_NOT_CONFIGURED = ("enable_static", "enable_dependency_tracking", "enable_gtk_doc")


@dataclass(frozen=True)
class Recipe:
    """How one package is built. `build` is "rules" (debian/rules, then upstream's build) or "upstream"; configure:
    options of upstream's configure, cmake or meson; options: words for DEB_BUILD_OPTIONS; env: NAME=VALUE words.
    """

    kind: str = ""
    build: str = RULES
    directory: str = ""
    configure: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    env: tuple[str, ...] = ()


@dataclass(frozen=True)
class Options:
    """time_limit: seconds of one package's build."""

    jobs: int = 2
    install_build_deps: bool = False
    keep_sources: bool = False
    time_limit: float = 1800.0
    single_files: bool = True


def read_sets(path: Path | None = None) -> dict[str, dict[str, Recipe]]:
    """The package lists: recipes by set and package, in the order in which they are to be built. Raises InputError."""
    try:
        if path is None:
            text = resources.files("llm_compiler.data").joinpath("packages.toml").read_text()
        else:
            text = path.read_text()
        data = tomllib.loads(text)
        return {
            group: {name: _recipe(recipe) for name, recipe in members.items()} for group, members in data.items()
        }  # fmt: skip
    except (OSError, tomllib.TOMLDecodeError, TypeError, AttributeError) as error:
        raise InputError(f"{path or 'packages.toml'} is not a list of packages: {error}") from error


def _recipe(data: dict[str, Any]) -> Recipe:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    return Recipe(**fields)


def build_packages(
    wanted: dict[str, Recipe], corpus: Path, options: Options, *, archive: Archive | None, say: Callable[[str], None]
) -> list[Report]:
    """Record packages one after another; what goes wrong with one is in its report. A name that ends in .dsc is a
    source package of one's own. Finished packages are passed over. KeyboardInterrupt leaves the finished ones.
    """
    modules = corpus / "modules"
    modules.mkdir(parents=True, exist_ok=True)
    reports = []
    for number, (name, recipe) in enumerate(wanted.items(), 1):
        started = time.monotonic()
        package = Path(name).name.partition("_")[0] if name.endswith(".dsc") else name
        report = Report(package)
        unknown = False
        try:
            check_package(package)
            finished = _record(name, package, recipe, corpus, options, archive, report, say)
            if finished is not None:
                say(f"{package}: is there already")
                reports.append(finished)
                continue
        except (LlmcError, OSError, subprocess.SubprocessError) as error:
            report.failed = _why(error)
            unknown = isinstance(error, UnknownPackageError)
        report.seconds["all"] = round(time.monotonic() - started, 1)
        try:
            if not unknown:
                report.write(modules)
        except InputError as error:
            report.failed = report.failed or str(error)
        reports.append(report)
        say(f"[{number}/{len(wanted)}] {summary(report)}")
    return reports


def summary(report: Report) -> str:
    """One line about a package."""
    if report.failed:
        return f"{report.package}: failed: {report.failed}"
    commands, counts = report.commands, report.counts
    name = f"{report.package} {report.version}".strip()
    return (
        f"{name}: {commands['captured']} of {commands['seen']} compilations captured "
        f"({100 * report.share:.0f} %), {counts['modules']} modules, {counts['functions']} functions, "
        f"{report.seconds.get('all', sum(report.seconds.values())):.0f} s ({', '.join(report.how)})"
    )


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        if error.errno == errno.ENOSPC:
            return "the disk is full"
        return f"{error.filename or ''} {error.strerror or error}".strip()
    return str(error)


def _check_disk(folder: Path, least: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < least:
        raise SourceError(f"the disk is full: {free >> 20} MB free, {least >> 20} MB needed")


def _record(
    name: str, package: str, recipe: Recipe, corpus: Path, options: Options, archive: Archive | None, report: Report,
    say: Callable[[str], None],
) -> Report | None:
    """Fetch, unpack, build and collect one package into `report`; the old report if there is nothing to do."""
    if refusal := Exclusion.load().package(package):
        raise SourceError(f"may not enter a corpus: {refusal}")
    own = name.endswith(".dsc")
    parameters: dict[str, Any] = {"recipe": {**asdict(recipe), "kind": ""}, "single_files": options.single_files}
    parameters["recipe"] = {key: list(value) if isinstance(value, tuple) else value
                            for key, value in parameters["recipe"].items()}  # fmt: skip
    before = Report.read(corpus / "modules", package)
    # A build that was cut off is done again when it is given more time.
    fresh = (before is not None and not before.failed and _same(before.parameters, parameters)
             and before.parameters.get(_STOPPED, float("inf")) >= options.time_limit)
    if fresh and not own and archive is None:
        return before
    _check_disk(corpus, DISK_RESERVE)
    if own:
        dsc = Path(name)
        if not dsc.is_file():
            raise SourceError(f"{dsc} does not exist")
    else:
        if archive is None:
            raise SourceError("there is no archive to fetch it from")
        say(f"{package}: fetching")
        dsc = archive.download(package)
    parameters["dsc"] = dsc.name
    parameters["dsc_sha256"] = hashlib.sha256(dsc.read_bytes()).hexdigest()
    if fresh and before is not None and _same(before.parameters, parameters):
        return before
    check_hashes(dsc)
    report.parameters = parameters
    report.version = field_of(dsc, "Version")
    home = corpus / "work" / "debian" / package
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    try:
        _Build(package, recipe, options, home.resolve(), report, say).run(dsc.resolve(), corpus)
    finally:
        for folder in (() if options.keep_sources else ("source", "home", "tmp")):
            shutil.rmtree(home / folder, ignore_errors=True)
        shutil.rmtree(home / "record", ignore_errors=True)
    if archive is not None and not own and not options.keep_sources:
        archive.forget(package)
    return None


def _same(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return all(old.get(key) == value for key, value in new.items())


class _Build:
    """The build of one package in its own folder."""

    def __init__(
        self, package: str, recipe: Recipe, options: Options, home: Path, report: Report, say: Callable[[str], None]
    ) -> None:
        self.package, self.recipe, self.options = package, recipe, options
        self.home, self.report, self.say = home, report, say
        self.source, self.log = home / "source", home / "build.log"
        self.deadline = 0.0

    def run(self, dsc: Path, corpus: Path) -> None:
        """Unpack, build, collect. Raises SourceError when nothing came of it."""
        run(["dpkg-source", "--no-copy", "-x", str(dsc), str(self.source)], cwd=self.home, log=self.log)
        # Patched files would be newer than what autotools made from them: one time for all.
        stamp = dsc.stat().st_mtime
        for path in self.source.rglob("*"):
            os.utime(path, (stamp, stamp), follow_symlinks=False)
        self.report.licence = " AND ".join(licence_names(self.source))
        if self.options.install_build_deps:
            self._install_build_deps(dsc)
        for folder in ("home", "tmp"):
            (self.home / folder).mkdir()
        recording = Recording.create(self.home / "record", self.source, INSTEAD, _SYSTEM_PATH)
        _keep_going(recording.programs)
        self.say(f"{self.package}: building")
        started = time.monotonic()
        self.deadline = started + self.options.time_limit
        self._build(recording)
        self.report.seconds["build"] = round(time.monotonic() - started, 1)
        origin = Origin(self.package, self.report.version, self.report.licence)
        self.say(f"{self.package}: collecting")
        collect(recording, self.source, origin, corpus, self.report, jobs=self.options.jobs)
        if not self.report.shards:
            _check_disk(self.home, _FULL)
            raise SourceError(f"nothing was captured; {'; '.join(self.report.notes) or f'see {self.log}'}")

    def _build(self, recording: Recording) -> None:
        env = self._environment(recording)
        failed = self.recipe.build == UPSTREAM or not self._attempt("debian/rules", self._rules, env)
        if failed and recording.captured() == 0:
            failed = not self._attempt("upstream", self._upstream, env)
        if failed and self.options.single_files and self._left() > 0:
            # Files that the compiler itself refused in the broken build may do with guessed folders.
            done = {os.path.normpath(os.path.join(entry["directory"], entry["source"]))
                    for entry in recording.entries() if entry["status"] in ("captured", "failed")}  # fmt: skip
            tried = record_single_files(recording.recorder, self.source, jobs=self.options.jobs, skip=done,
                                        most=_SINGLE_FILES, until=self.deadline)  # fmt: skip
            if tried:
                self.report.how.append(f"{tried} single files")
                self.report.counts["single files"] = tried

    def _attempt(self, what: str, build: Callable[[dict[str, str]], None], env: dict[str, str]) -> bool:
        if self._left() <= 0:
            return False
        try:
            build(env)
        except SourceError as error:
            reason = str(error)
            if isinstance(error, TimeLimitError):
                reason = "the time limit was reached"
                self.report.parameters[_STOPPED] = self.options.time_limit
            self.report.notes.append(f"{what}: {reason}")
            self.report.how.append(f"{what} (not to its end)")
            _check_disk(self.home, _FULL)
            return False
        self.report.how.append(what)
        return True

    def _left(self) -> float:
        return self.deadline - time.monotonic()

    def _environment(self, recording: Recording) -> dict[str, str]:
        """What the build sees: nothing of the user's own environment."""
        words = ["nocheck", "nodoc", "noopt", "nostrip", "notest", "terse", "hardening=-all", "reproducible=-all",
                 "optimize=-all", f"parallel={self.options.jobs}", *self.recipe.options]  # fmt: skip
        env = {
            "HOME": str(self.home / "home"), "TMPDIR": str(self.home / "tmp"), "LC_ALL": "C.UTF-8", "TERM": "dumb",
            "USER": "nobody", "LOGNAME": "nobody", "SHELL": "/bin/sh", "FORCE_UNSAFE_CONFIGURE": "1",
            "DEB_BUILD_OPTIONS": " ".join(words), "DEB_BUILD_PROFILES": _PROFILES, "MAKEFLAGS": "-k",
            "DEBIAN_FRONTEND": "noninteractive", "PATH": _SYSTEM_PATH,
        }  # fmt: skip
        for language in ("C", "CXX"):
            env[f"DEB_{language}FLAGS_STRIP"] = _STRIPPED
        site = self.home / "config.site"
        site.write_text("".join(f'test "${{{name}+set}}" = set || {name}=no\n' for name in _NOT_CONFIGURED))
        env["CONFIG_SITE"] = str(site)
        env |= dict(word.split("=", 1) for word in self.recipe.env)
        env = recording.environment(env, INSTEAD)
        for variable, names in (("CC", ("gcc", "cc")), ("CXX", ("g++", "c++"))):
            compiler = next((name for name in names if (recording.programs / name).exists()), None)
            if compiler is not None:
                env[variable] = str(recording.programs / compiler)
        return env

    def _install_build_deps(self, dsc: Path) -> None:
        self.say(f"{self.package}: installing build dependencies")
        command = ["apt-get", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600", "--arch-only",
                   "-P", _PROFILES.replace(" ", ","), "build-dep", str(dsc)]  # fmt: skip
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        started = time.monotonic()
        try:
            run(command, cwd=self.home, log=self.log, env=env)
        except SourceError as error:
            self.report.notes.append(f"build dependencies were not installed: {error}")
        self.report.seconds["dependencies"] = round(time.monotonic() - started, 1)

    def _rules(self, env: dict[str, str]) -> None:
        rules = self.source / "debian" / "rules"
        if not rules.is_file():
            raise SourceError("there is no debian/rules")
        rules.chmod(0o755)
        architecture = subprocess.run(["dpkg-architecture", "-f"], capture_output=True, text=True, check=False).stdout
        env = {**env, **dict(line.split("=", 1) for line in architecture.splitlines() if "=" in line)}
        run(["debian/rules", "build-arch"], cwd=self.source, log=self.log, env=env, limit=self._left())

    def _upstream(self, env: dict[str, str]) -> None:
        """configure, cmake, meson or make, whichever the tree has."""
        where = self._upstream_folder()
        tree = self.source / "llmc-build"
        options = list(self.recipe.configure)
        make = ["make", "-k", f"-j{self.options.jobs}"]

        def step(command: list[str], folder: Path) -> None:
            run(command, cwd=folder, log=self.log, env=env, limit=self._left())

        if (where / "configure").is_file() or (where / "configure.ac").is_file() or (where / "autogen.sh").is_file():
            if not (where / "configure").is_file():
                script = where / "autogen.sh"
                step(["autoreconf", "-fi"] if (where / "configure.ac").is_file() else ["sh", script.name], where)
            (where / "configure").chmod(0o755)
            step(["./configure", *options], where)
            step(make, where)
        elif (where / "CMakeLists.txt").is_file():
            step(["cmake", "-G", "Unix Makefiles", "-DCMAKE_BUILD_TYPE=None", *options, "-S", str(where), "-B",
                  str(tree)], where)  # fmt: skip
            step(make, tree)
        elif (where / "meson.build").is_file():
            step(["meson", "setup", *options, str(tree), str(where)], where)
            step(["ninja", "-k", "0", f"-j{self.options.jobs}"], tree)
        else:
            step([*make, f"CC={env.get('CC', 'cc')}", f"CXX={env.get('CXX', 'c++')}", *options], where)

    def _upstream_folder(self) -> Path:
        """The folder of upstream's build system: the top, or the nearest below it that has one."""
        if self.recipe.directory:
            return self.source / self.recipe.directory
        folders = [self.source, *sorted(path for path in self.source.iterdir() if path.is_dir())]
        for names in (("configure", "configure.ac", "CMakeLists.txt", "meson.build", "autogen.sh"),
                      ("Makefile", "makefile", "GNUmakefile")):  # fmt: skip
            for folder in folders:
                if folder.name != "debian" and any((folder / name).is_file() for name in names):
                    return folder
        raise SourceError("there is no configure, CMakeLists.txt, meson.build or Makefile")


def _keep_going(programs: Path) -> None:
    """A ninja that goes on after a failure, as MAKEFLAGS=-k makes make do."""
    ninja = shutil.which("ninja", path=_SYSTEM_PATH)
    if ninja is not None:
        script = programs / "ninja"
        script.write_text(f'#!/bin/sh\nexec {ninja} -k 0 "$@"\n')
        script.chmod(0o755)


def totals(reports: Iterable[Report]) -> dict[str, Any]:
    """Sums over packages, for the end of a run."""
    done = [report for report in reports if not report.failed]
    seen = sum(report.commands["seen"] for report in done)
    captured = sum(report.commands["captured"] for report in done)
    return {
        "packages": len(done), "failed": sorted(report.package for report in reports if report.failed),
        "seen": seen, "captured": captured, "share": round(captured / seen, 4) if seen else 0.0,
        "modules": sum(report.counts["modules"] for report in done),
        "functions": sum(report.counts["functions"] for report in done),
    }  # fmt: skip
