#!/usr/bin/env python3
"""Fetch Debian source packages and record how clang compiles them.

Every package ends as ``<cache>/<package>/compile_commands.json``, a compilation
database of its real C and C++ translation units, built with ``CFLAGS=-Oz``, beside
the built source tree that the commands refer to. The packages come from the Debian
release this machine runs, through a private apt configuration; nothing is installed
and no system file changes. The train and the held-out set share no package and no
embedded library, so that a pass list tuned on one may be judged on the other.

    python benchmarks/sources.py --set train --set held-out
    python benchmarks/sources.py zlib lua5.4 --jobs 4
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llm_compiler.corpus.archive import Archive, SourceError, field_of, licence_names, run
from llm_compiler.errors import LlmcError
from llm_compiler.paths import write_atomically

FLAGS = "-Oz"
C_SUFFIXES = frozenset({".c"})
CXX_SUFFIXES = frozenset({".cc", ".cpp", ".cxx", ".C"})
# Options whose value is the next argument, so that it is never taken for a source.
_VALUED = (
    "-o -I -D -U -x -L -l -T -u -z -include -imacros -isystem -iquote -idirafter -MF -MT -MQ "
    "-Xclang -Xlinker -Xassembler -Xpreprocessor -mllvm -target -arch --param"
)
TAKES_VALUE = frozenset(_VALUED.split())
# What differs between libtool's two compilations of one source, or between two runs of one rule.
IGNORED_FLAGS = frozenset({"-c", "-fPIC", "-fpic", "-fPIE", "-fpie", "-DPIC", "-MD", "-MMD", "-MP"})
IGNORED_WITH_VALUE = frozenset({"-o", "-MF", "-MT", "-MQ"})

RECORDER = """\
import json, os, subprocess, sys
argv = sys.argv[1:]
status = subprocess.run(argv).returncode
status = status if status >= 0 else 128 - status
log = os.environ.get("LLMC_RECORD")
if log:
    entry = {"directory": os.getcwd(), "arguments": argv, "status": status}
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(handle, (json.dumps(entry) + "\\n").encode())  # one write: whole lines under make -j
sys.exit(status)
"""


@dataclass(frozen=True)
class Recipe:
    """How to build one package; the default takes the first build system found."""

    system: str = ""  #: "configure", "cmake", "make", or "" to look
    args: tuple[str, ...] = ()  #: for configure, cmake, or make
    directory: str = "."  #: where the build system lives in the source tree
    targets: tuple[str, ...] = ()  #: make targets; none builds the default one
    pristine: bool = False  #: leave out Debian's patches, where they suit Debian's own build alone


def _configure(*options: str, pristine: bool = False) -> Recipe:
    return Recipe("configure", ("--disable-shared", *options), pristine=pristine)


def _cmake(*options: str, directory: str = ".", targets: tuple[str, ...] = (), pristine: bool = False) -> Recipe:
    return Recipe("cmake", tuple(f"-D{option}" for option in options), directory, targets, pristine)


# What needs neither of the tables that the Debian source lacks and the build would have to generate.
RE2 = (
    "bitstate", "compile", "dfa", "filtered_re2", "mimics_pcre", "nfa", "onepass", "parse", "prefilter",
    "prefilter_tree", "prog", "re2", "regexp", "set", "simplify", "stringpiece", "tostring",
)  # fmt: skip

# No package of one set may embed code of the other: keep zlib, libpng, libjpeg and gnulib out of train.
SETS: dict[str, dict[str, Recipe]] = {
    "train": {
        "bzip2": Recipe(
            "make", ("CFLAGS=-Oz -D_FILE_OFFSET_BITS=64",), targets=("libbz2.a", "bzip2.o", "bzip2recover.o"),
        ),
        "xz-utils": _configure("--disable-nls", "--disable-doc"),
        "expat": _cmake("EXPAT_BUILD_DOCS=OFF", "EXPAT_BUILD_TESTS=OFF", directory="expat", pristine=True),
        "jansson": _cmake("JANSSON_BUILD_DOCS=OFF", "JANSSON_WITHOUT_TESTS=ON", "JANSSON_EXAMPLES=OFF"),
        "libjsoncpp": _cmake("JSONCPP_WITH_TESTS=OFF"),
        "tinyxml2": _cmake(),
        "pugixml": _cmake(),
        "c-ares": _cmake("CARES_STATIC=ON", "CARES_SHARED=OFF", "CARES_BUILD_TOOLS=ON"),
        "check": _cmake(targets=("check",)),
        "cjson": _cmake("ENABLE_CJSON_TEST=OFF", "ENABLE_CUSTOM_COMPILER_FLAGS=OFF", "ENABLE_CJSON_UTILS=ON"),
        "cmark": _cmake("CMARK_TESTS=OFF", "CMARK_SHARED=OFF"),
        "double-conversion": _cmake(),
        "fmtlib": _cmake("FMT_TEST=OFF", "FMT_DOC=OFF"),
        "graphite2": _cmake(targets=("graphite2",)),
        "hunspell": _configure("--disable-nls"),
        "json-c": _cmake("DISABLE_WERROR=ON", "BUILD_APPS=OFF"),
        "leveldb": _cmake("LEVELDB_BUILD_TESTS=OFF", "LEVELDB_BUILD_BENCHMARKS=OFF"),
        "libevent": _cmake(
            "EVENT__DISABLE_OPENSSL=ON", "EVENT__DISABLE_TESTS=ON", "EVENT__DISABLE_SAMPLES=ON",
            "EVENT__DISABLE_BENCHMARK=ON", "EVENT__LIBRARY_TYPE=STATIC",
        ),
        "libffi": _configure("--disable-docs", "--disable-exec-static-tramp"),
        "libogg": _cmake(),
        "libonig": _cmake("BUILD_TEST=OFF"),
        "libuv1": _cmake("LIBUV_BUILD_TESTS=OFF", "LIBUV_BUILD_BENCH=OFF", targets=("uv_a",)),
        "libyaml": _cmake(),
        "libzstd": _cmake("ZSTD_BUILD_SHARED=OFF", "ZSTD_LEGACY_SUPPORT=OFF", directory="build/cmake"),
        "lz4": _cmake("LZ4_BUILD_LEGACY_LZ4C=OFF", directory="build/cmake"),
        "ninja-build": _cmake(targets=("ninja",)),
        "pcre2": _configure("--enable-jit"),
        "snappy": _cmake("SNAPPY_BUILD_TESTS=OFF", "SNAPPY_BUILD_BENCHMARKS=OFF", targets=("snappy-static",)),
        "zeromq3": _cmake(
            "BUILD_TESTS=OFF", "BUILD_SHARED=OFF", "BUILD_STATIC=ON", "ENABLE_CURVE=OFF", "ENABLE_WS=OFF",
            "WITH_LIBSODIUM=OFF", "WITH_LIBBSD=OFF", "WITH_DOCS=OFF", "WITH_PERF_TOOL=OFF",
        ),
    },
    "held-out": {
        "lua5.4": Recipe("make", ("CFLAGS=-Oz -DLUA_USE_POSIX",), directory="src", targets=("a",), pristine=True),
        "zlib": Recipe("configure", ("--static",), targets=("libz.a",)),
        "box2d": _cmake("BOX2D_BUILD_UNIT_TESTS=OFF", "BOX2D_BUILD_TESTBED=OFF"),
        "brotli": _cmake("BROTLI_DISABLE_TESTS=ON", targets=("brotlidec-static", "brotlienc-static")),
        "file": _configure(
            "--disable-zlib", "--disable-bzlib", "--disable-xzlib", "--disable-zstdlib", "--disable-libseccomp",
        ),
        "flac": _cmake("WITH_OGG=OFF", "BUILD_EXAMPLES=OFF", "BUILD_DOCS=OFF", "INSTALL_MANPAGES=OFF"),
        "giflib": Recipe("make", targets=("libgif.a", "libutil.a")),
        "grep": _configure("--disable-nls", "--disable-perl-regexp", pristine=True),
        "libxml2": _cmake(
            "LIBXML2_WITH_ZLIB=OFF", "LIBXML2_WITH_LZMA=OFF", "LIBXML2_WITH_PYTHON=OFF", "LIBXML2_WITH_ICU=OFF",
            "LIBXML2_WITH_TESTS=OFF",
        ),
        "mbedtls": _cmake("ENABLE_TESTING=OFF", "ENABLE_PROGRAMS=OFF", "MBEDTLS_FATAL_WARNINGS=OFF"),
        "opus": _configure("--disable-doc", "--disable-extra-programs"),
        "re2": Recipe("make", targets=tuple(f"obj/re2/{name}.o" for name in RE2)),
        "yaml-cpp": _cmake("YAML_CPP_BUILD_TESTS=OFF"),
    },
}  # fmt: skip


def say(text: str) -> None:
    """Progress goes to stderr, the table to stdout."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Toolchain:
    """A real clang behind two recording compilers, ``cc`` and ``c++``."""

    clang: Path
    version: str
    folder: Path

    @classmethod
    def create(cls, clang: Path, cache: Path) -> Toolchain:
        """Write the recorder and its two entry points into the cache."""
        clangxx = clang.with_name(clang.name.replace("clang", "clang++", 1))
        if not os.access(clangxx, os.X_OK):
            raise SourceError(f"No C++ compiler at {clangxx}; give one with --clang.")
        version = subprocess.run([clang, "--version"], capture_output=True, text=True, check=True).stdout
        folder = cache / "tools"
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "recorder.py", RECORDER.encode())
        for name, real in (("cc", clang), ("c++", clangxx)):
            script = f'#!/bin/sh\nexec "{sys.executable}" -S -E "{folder / "recorder.py"}" "{real}" "$@"\n'
            write_atomically(folder / name, script.encode())
            (folder / name).chmod(0o755)
        return cls(clang, version.splitlines()[0], folder)

    def environment(self, record: Path) -> dict[str, str]:
        """Environment of a recorded build."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        env |= {"CC": str(self.folder / "cc"), "CXX": str(self.folder / "c++"), "CFLAGS": FLAGS}
        env |= {"CXXFLAGS": FLAGS, "LC_ALL": "C", "LLMC_RECORD": str(record)}
        # A clang outside the system keeps libc++ beside itself; configure runs what it links.
        command = [str(self.clang), "-print-file-name=libc++.so"]
        library = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
        if library.is_absolute():
            env["LDFLAGS"] = f"-Wl,-rpath,{library.parent}"
        return env


def build(source: Path, recipe: Recipe, toolchain: Toolchain, *, jobs: int, record: Path, log: Path) -> None:
    """Run a package's own build with the recording compilers."""
    where = source / recipe.directory
    known = {"configure": "configure", "cmake": "CMakeLists.txt", "make": "Makefile"}
    system = recipe.system or next((name for name, file in known.items() if (where / file).exists()), None)
    if system is None:
        raise SourceError(f"{where} holds none of {', '.join(known.values())}")
    env = toolchain.environment(record)
    make = ["make", f"-j{jobs}"]
    if system == "configure":
        run(["./configure", *recipe.args], cwd=where, env=env, log=log)
    elif system == "cmake":
        # The build type None adds no flags of its own.
        options = ["-DCMAKE_BUILD_TYPE=None", "-DBUILD_SHARED_LIBS=OFF", "-DBUILD_TESTING=OFF"]
        tree = source / "llmc-build"
        command = ["cmake", "-G", "Unix Makefiles", *options, *recipe.args, "-S", str(where), "-B", str(tree)]
        run(command, cwd=source, env=env, log=log)
        where = tree
    else:
        make += [f"{name}={env[name]}" for name in ("CC", "CXX", "CFLAGS", "CXXFLAGS")] + list(recipe.args)
    run([*make, *recipe.targets], cwd=where, env=env, log=log)


def compilations(record: Path, root: Path) -> Iterator[dict[str, Any]]:
    """Entries of a compilation database: one for each source and set of flags compiled under root."""
    seen: set[tuple[str, ...]] = set()
    for line in record.read_text().splitlines():
        entry = json.loads(line)
        directory, arguments = Path(entry["directory"]), entry["arguments"]
        sources, output, flags = [], None, []
        words = iter(arguments[1:])
        for word in words:
            value = next(words, "") if word in TAKES_VALUE else None
            output = value if word == "-o" else output
            if value is None and not word.startswith("-") and Path(word).suffix in C_SUFFIXES | CXX_SUFFIXES:
                sources.append(word)
            elif word not in IGNORED_FLAGS | IGNORED_WITH_VALUE:
                flags += [word] if value is None else [word, value]
        if entry["status"] != 0 or "-c" not in arguments or len(sources) != 1:
            continue
        file = Path(os.path.normpath(directory / sources[0]))
        # Compiler probes of configure and CMake are gone by now, or lie in CMake's own folders.
        if not file.is_file() or root not in file.parents or "CMakeFiles" in file.parts:
            continue
        key = (str(file), *flags)
        if key in seen:
            continue
        seen.add(key)
        target = os.path.normpath(directory / (output or file.with_suffix(".o").name))
        yield {"directory": str(directory), "arguments": arguments, "file": str(file), "output": target}


def prepare(package: str, recipe: Recipe, archive: Archive, toolchain: Toolchain, *, home: Path, jobs: int) -> None:
    """Fetch, unpack and build one package; its manifest is the last file written."""
    say(f"{package}: fetching")
    dsc = archive.download(package)
    if home.exists():
        shutil.rmtree(home)
    home.mkdir()
    source, log, record = home / "source", home / "build.log", home / "record.jsonl"
    unpack = ["dpkg-source", "--no-copy", *(["--skip-patches"] if recipe.pristine else []), "-x", str(dsc), str(source)]
    run(unpack, cwd=home, log=log)
    # Patched files would be newer than what autotools made from them: one time for all.
    stamp = dsc.stat().st_mtime
    for path in source.rglob("*"):
        os.utime(path, (stamp, stamp), follow_symlinks=False)
    say(f"{package}: building")
    build(source, recipe, toolchain, jobs=jobs, record=record, log=log)
    commands = list(compilations(record, source)) if record.exists() else []
    if not commands:
        raise SourceError(f"its build compiled nothing, see {log}")
    write_atomically(home / "compile_commands.json", (json.dumps(commands, indent=1) + "\n").encode())
    suffixes = [Path(command["file"]).suffix for command in commands]
    manifest = {
        "package": package, "version": field_of(dsc, "Version"), "licences": licence_names(source),
        "dsc": dsc.name, "dsc_sha256": hashlib.sha256(dsc.read_bytes()).hexdigest(), "clang": toolchain.version,
        "recipe": json.loads(json.dumps(asdict(recipe))), "c": sum(suffix in C_SUFFIXES for suffix in suffixes),
        "c++": sum(suffix in CXX_SUFFIXES for suffix in suffixes),
    }  # fmt: skip
    write_atomically(home / "manifest.json", (json.dumps(manifest, indent=1) + "\n").encode())


def manifest_of(home: Path, recipe: Recipe, toolchain: Toolchain) -> dict[str, Any] | None:
    """The manifest of a finished package, unless its recipe or the compiler changed since."""
    try:
        manifest: dict[str, Any] = json.loads((home / "manifest.json").read_text())
    except FileNotFoundError:
        return None
    wanted = (json.loads(json.dumps(asdict(recipe))), toolchain.version)
    return manifest if (manifest["recipe"], manifest["clang"]) == wanted else None


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Keep a second run out of the same cache, and this script out of folders that are not its own."""
    cache.mkdir(parents=True, exist_ok=True)
    tag = cache / "CACHEDIR.TAG"
    if not tag.exists() and any(cache.iterdir()):
        raise SourceError(f"{cache} holds other files: name an empty or a new folder with --cache.")
    tag.write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    with (cache / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def print_table(rows: Iterable[tuple[str, ...]]) -> None:
    """Print aligned columns; the first two are text, the rest numbers."""
    table = list(rows)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        cells = (c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        print("  ".join(cells).rstrip())


def main(arguments: list[str] | None = None) -> int:
    """Exit 0 when every package is ready, 1 when one failed, 2 on misuse, 130 when interrupted."""
    recipes = {name: recipe for members in SETS.values() for name, recipe in members.items()}
    beside = Path(sys.executable).with_name("clang")
    default_cache = os.environ.get("LLMC_SOURCES", "~/.cache/llm-compiler/sources")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="a Debian source package")
    parser.add_argument("--set", action="append", default=[], choices=sorted(SETS), help="a named set of packages")
    parser.add_argument("--list", action="store_true", help="print the sets and stop")
    parser.add_argument("--cache", type=Path, default=Path(default_cache), help="default: $LLMC_SOURCES or %(default)s")
    parser.add_argument("--clang", default=str(beside) if beside.exists() else shutil.which("clang"), metavar="PATH")
    parser.add_argument("--jobs", type=int, default=1, help="parallel compilations (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.list:
        for name, members in SETS.items():
            print(f"{name}: {' '.join(members)}")
        return 0
    packages = list(dict.fromkeys([*options.packages, *(name for group in options.set for name in SETS[group])]))
    bad = [name for name in packages if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name) or name in ("apt", "tools")]
    if bad or not packages:
        parser.error(f"not a package name: {bad[0]}" if bad else "name a package or a --set")
    if options.clang is None or shutil.which(options.clang) is None:
        parser.error("no clang found; give one with --clang PATH")
    cache = options.cache.expanduser().resolve()
    rows: list[tuple[str, ...]] = [("package", "version", "units", "C", "C++")]
    failed = False
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a build as Ctrl-C does
    try:
        with locked(cache):
            archive = Archive(cache)
            toolchain = Toolchain.create(Path(os.path.abspath(shutil.which(options.clang) or "")), cache)
            for name in packages:
                home, recipe = cache / name, recipes.get(name, Recipe())
                try:
                    if manifest_of(home, recipe, toolchain) is None:
                        prepare(name, recipe, archive, toolchain, home=home, jobs=options.jobs)
                except (LlmcError, OSError) as error:
                    say(f"{name}: failed: {error}")
                    failed = True
                    continue
                done = manifest_of(home, recipe, toolchain) or {}
                counts = (done["c"] + done["c++"], done["c"], done["c++"])
                rows.append((name, done["version"], *map(str, counts)))
    except SourceError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("Interrupted; what is finished stays, a second run goes on from there.")
        return 130
    print_table(rows)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
