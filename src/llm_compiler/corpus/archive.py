"""Debian source packages: fetched with an apt configuration of our own, checked, unpacked; nothing is installed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from llm_compiler.errors import LlmcError
from llm_compiler.paths import write_atomically

BUILD_LIMIT = 1800.0  # seconds for one command


class SourceError(LlmcError):
    """A package could not be fetched, unpacked or built."""


class UnknownPackageError(SourceError):
    """There is no such source package."""


class TimeLimitError(SourceError):
    """A command ran longer than it may."""


def run(
    argv: list[str], *, cwd: Path, log: Path, env: Mapping[str, str] | None = None, limit: float = BUILD_LIMIT
) -> None:
    """Run a command into a log file, `limit` seconds at most; whatever it started is killed at its end.

    Raises SourceError when it fails.
    """
    with log.open("a") as stream:
        print("$", *argv, file=stream, flush=True)
        try:
            process = subprocess.Popen(
                argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise SourceError(f"`{argv[0]}` cannot be run: {error.strerror}") from error
        try:
            status = process.wait(max(0.0, limit))
        except subprocess.TimeoutExpired as error:
            raise TimeLimitError(f"`{argv[0]}` ran longer than {limit:.0f} s, see {log}") from error
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status != 0:
        raise SourceError(f"`{argv[0]}` failed with status {status}, see {log}")


class Archive:
    """Source packages of the running Debian release, through a private apt."""

    def __init__(self, cache: Path) -> None:
        """Missing tools raise SourceError; the index is read at the first download."""
        self._home = cache / "apt"
        self._ready = False
        for tool in ("apt-get", "dpkg-source"):
            if shutil.which(tool) is None:
                raise SourceError(f"`{tool}` is missing: run `apt-get install dpkg-dev` on a Debian system.")

    def download(self, package: str) -> Path:
        """Fetch a source package and return its ``.dsc`` file. Raises UnknownPackageError, SourceError."""
        log = self._home / "log.txt"
        if not self._ready:
            self._configure()
            run(["apt-get", f"-c={self._home / 'apt.conf'}", "-q", "update"], cwd=self._home, log=log)
            self._ready = True
        folder = self._home / "packages" / package
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob("*.dsc"):
            stale.unlink()
        command = ["apt-get", f"-c={self._home / 'apt.conf'}", "-q", "source", "--download-only", package]
        before = log.stat().st_size
        try:
            run(command, cwd=folder, log=log)
        except SourceError:
            with log.open("rb") as file:
                file.seek(before)
                unknown = b"Unable to find a source package" in file.read()
            if unknown:
                folder.rmdir()
                raise UnknownPackageError(f"this Debian release has no source package {package}") from None
            raise
        found = next(folder.glob("*.dsc"), None)
        if found is None:
            raise SourceError(f"apt-get fetched no source package {package}, see {log}")
        return found

    def forget(self, package: str) -> None:
        """Delete what was fetched of a package."""
        shutil.rmtree(self._home / "packages" / package, ignore_errors=True)

    def _configure(self) -> None:
        """Write apt.conf and the source lists; only the base suite, which changes with point releases alone."""
        release = dict(re.findall(r'^(\w+)="?([^"\n]*)', Path("/etc/os-release").read_text(), re.MULTILINE))
        codename = release.get("VERSION_CODENAME", "")
        for folder in ("state/lists/partial", "cache/archives/partial", "sources"):
            (self._home / folder).mkdir(parents=True, exist_ok=True)
        (self._home / "state/status").touch()
        system = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
        texts = {path: path.read_text() for path in system if path.is_file()}
        lines = [line for path, text in texts.items() if path.suffix == ".list" for line in text.splitlines()]
        one_line = [line for line in lines if re.match(rf"deb\s+(\[[^]]*\]\s+)?\S+\s+{codename}\s", line)]
        stanzas = [s for path, text in texts.items() if path.suffix == ".sources" for s in text.split("\n\n")]
        blocks = [
            re.sub(r"(?m)^Suites:.*$", f"Suites: {codename}", re.sub(r"(?m)^Types:.*$", "Types: deb-src", stanza))
            for stanza in stanzas
            if re.search(rf"(?m)^Suites:(.*\s)?{codename}(\s|$)", stanza) and "Enabled: no" not in stanza
        ]
        if not codename or not (one_line or blocks):
            raise SourceError("No apt source of this machine names its Debian release; see /etc/apt/sources.list.d.")
        sources = self._home / "sources"
        (sources / "system.list").write_text("".join(f"deb-src{line[3:]}\n" for line in dict.fromkeys(one_line)))
        (sources / "system.sources").write_text("\n\n".join(blocks) + "\n")
        settings = {
            "Dir::State": self._home / "state", "Dir::State::status": self._home / "state/status",
            "Dir::Cache": self._home / "cache", "Dir::Etc::SourceList": "/dev/null",
            "Dir::Etc::SourceParts": sources, "APT::Sandbox::User": "root",
        }  # fmt: skip
        # The hooks of container images delete files of the system's own apt.
        cleared = "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
        text = cleared + "".join(f'{name} "{value}";\n' for name, value in settings.items())
        write_atomically(self._home / "apt.conf", text.encode())


def field_of(dsc: Path, name: str) -> str:
    """One field of a .dsc file, its lines joined; empty without it."""
    match = re.search(rf"(?m)^{name}:[ \t]*(.*(?:\n[ \t].*)*)", dsc.read_text(errors="replace"))
    return match.group(1).strip() if match else ""


def check_hashes(dsc: Path) -> None:
    """Compare the package's files with the hashes in its .dsc. Raises SourceError for the first that differs."""
    lines = field_of(dsc, "Checksums-Sha256").splitlines()
    listed = [line.split() for line in lines if len(line.split()) == 3]
    if not listed:
        raise SourceError(f"{dsc.name} lists no SHA-256 sums")
    for wanted, _, name in listed:
        path = dsc.parent / os.path.basename(name)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise SourceError(f"{name}, which {dsc.name} lists, cannot be read: {error.strerror}") from error
        if found != wanted:
            raise SourceError(f"{name} has another hash than {dsc.name} says; it is not used")


def licence_names(source: Path) -> list[str]:
    """The names of licences in debian/copyright; none in a tree without one."""
    notice = source / "debian" / "copyright"
    if not notice.is_file():
        return []
    return sorted(set(re.findall(r"(?m)^License: *(\S.*)$", notice.read_text(errors="replace"))))
