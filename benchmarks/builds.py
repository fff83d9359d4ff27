#!/usr/bin/env python3
"""Build Debian packages in full with `clang -Oz` and with `llmc cc -Oz`, run their own tests, compare what comes out.

    python benchmarks/builds.py
    python benchmarks/builds.py --packages zlib lua5.4 --budget 300ms --jobs 1

Both builds start from a clean tree, with the same clang. Every program, shared library and archive that only the
build made is measured by its loaded bytes, an archive by those of its members; the sum over all is in the table. The
packages enter a build in each way that a user has: plain make, configure, libtool, CMake with CC, CMake's compiler
launcher. Resumable: a package with a result in the work folder is not built again; `--again` does.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llm_compiler.errors import LlmcError
from llm_compiler.llvm.archive import MAGIC, members
from llm_compiler.llvm.objectfile import measure
from sources import FLAGS, Archive, Recipe, SourceError, Toolchain, build, locked, run, say, write_atomically

SIDES = ("base", "llmc")  # of one length: a path of the tree may end up in what is built

LUA_SCRIPT = r"""
local out = {}; local function show(...) out[#out + 1] = table.concat(table.pack(...), " ") end
for word, n in ("one=1, two=22"):gmatch("(%a+)=(%d+)") do show(word:rep(2, "-"), n * 2, word:reverse()) end
show(("%5.2f|%-6s|%x|%q"):format(math.pi, "ab", 48879, "a\nb"), ("hello"):gsub("l+", string.upper))
show(string.pack("<i4", 7):byte(1, -1)); show(utf8.char(228, 8364), utf8.len("äö"), 2^53, 0x7p3, 1e15, -7 % 3, 7.5 // 2)
show(math.maxinteger + 1 == math.mininteger and "wraps" or "no", math.fmod(-7, 3), math.type(1), 1 << 62, ~5, -7 // 2)
local t, weak, closed = {}, setmetatable({}, {__mode = "v"}), 0
for i = 1, 500 do t[i] = (i * 7919) % 1009 end; table.sort(t, function(a, b) return a > b end); table.move(t, 1, 3, 5)
show(table.remove(t, 2), #t, select("#", nil, nil), table.unpack(t, 1, 40))
for p in coroutine.wrap(function()
  for i = 2, 60 do for d = 2, i do if d * d > i then coroutine.yield(i) break elseif i % d == 0 then break end end end
end) do show(p) end
local function counter() local n = 0 return function() n = n + 1 return n end end
local a, b = counter(), counter(); show(a(), a(), b(), a())
for i = 1, 2000 do weak[i] = setmetatable({}, {__gc = function() closed = closed + 1 end}) end
collectgarbage("generational"); for i = 1, 20000 do local _ = {i, tostring(i)} end; collectgarbage()
show(closed, next(weak) == nil and "empty" or "kept")
local V = {__add = function(x, y) return x[1] + y[1] end, __close = function(x) show("closed", x[1]) end}
do local v <close> = setmetatable({1}, V); show(v + {41}) end
show(select(2, pcall(function() return nil + 1 end)), select(2, xpcall(error, function(m) return m .. "!" end, "deep")))
show(load("local x <const> = 6; goto done; do return 0 end ::done:: return x * ...")(7))
print(table.concat(out, "\n"))
"""


@dataclass(frozen=True)
class Package:
    """How to build a package in full, and how to run its tests, in the folder `where` of the source tree."""

    recipe: Recipe
    test: tuple[str, ...]
    where: str = "."
    launcher: bool = False  #: enter by CMake's compiler launcher, not by CC and CXX
    script: str = ""  #: a Lua program, whose output must be the same from both builds


def _cmake(*options: str, directory: str = ".", launcher: bool = True, pristine: bool = False) -> Package:
    recipe = Recipe("cmake", ("-DBUILD_TESTING=ON", *(f"-D{option}" for option in options)), directory, (), pristine)
    return Package(recipe, ("ctest", "--output-on-failure"), where="llmc-build", launcher=launcher)


def _make(flags: str, targets: str, test: str, *, pristine: bool = False, script: str = "") -> Package:
    recipe = Recipe("make", (f"CFLAGS={FLAGS} -Wall {flags}",), targets=tuple(targets.split()), pristine=pristine)
    return Package(recipe, ("make", *test.split()), script=script)


GIFLIB = """libgif.a libutil.a libgif.so libutil.so gif2rgb gifbuild giffix giftext giftool gifclrmp gifbg gifcolor
gifecho giffilter gifhisto gifinto gifsponge gifwedge"""
PACKAGES = {
    "zlib": Package(Recipe("configure"), ("make", "check")),
    "lua5.4": _make("-DLUA_USE_LINUX -DLUA_COMPAT_5_3", "linux", "test", pristine=True, script=LUA_SCRIPT),
    "bzip2": _make("-D_FILE_OFFSET_BITS=64", "libbz2.a libbz2.so bzip2 bzip2recover", "check"),
    "expat": _cmake("EXPAT_BUILD_DOCS=OFF", directory="expat", pristine=True),
    "jansson": _cmake("JANSSON_BUILD_DOCS=OFF", "JANSSON_BUILD_SHARED_LIBS=ON", launcher=False),
    "tinyxml2": _cmake("BUILD_SHARED_LIBS=ON"),
    "pugixml": _cmake("PUGIXML_BUILD_TESTS=ON"),
    "giflib": _make("-std=gnu99 -fPIC", GIFLIB, "-C tests"),
    "xz-utils": Package(Recipe("configure", ("--disable-nls", "--disable-doc")), ("make", "check")),
}  # fmt: skip


@dataclass(frozen=True)
class Compilers(Toolchain):
    """Plain clang, or llmc around the same clang, as the compilers of a build; `settings` are added to it."""

    settings: dict[str, str]

    def environment(self, record: Path) -> dict[str, str]:
        """As of a recorded build, without the recorder and the user's own settings of llmc."""
        env = super().environment(record)
        return {name: value for name, value in env.items() if not name.startswith("LLMC_")} | self.settings


def compilers_of(side: str, package: Package, home: Path, options: argparse.Namespace) -> Compilers:
    """The compilers of a side; `home` holds the package's own LLMC_CACHE, so that the counts are of this build."""
    clang, clangxx = str(options.clang), str(options.clang.with_name("clang++"))
    if side != "llmc":
        return Compilers(options.clang, "", home, {"CC": clang, "CXX": clangxx})
    # A folder with nothing but llmc: other tools beside it, as ar, are to be the same in both builds.
    (home / "bin").mkdir()
    (home / "bin" / "llmc").symlink_to(options.llmc)
    path = f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    settings = {"CC": clang, "CXX": clangxx, "LLMC_CLANG": clang, "LLMC_CLANGXX": clangxx, "PATH": path}
    launch = {"CMAKE_C_COMPILER_LAUNCHER": "llmc;cc", "CMAKE_CXX_COMPILER_LAUNCHER": "llmc;c++"}
    settings |= launch if package.launcher else {"CC": "llmc cc", "CXX": "llmc c++"}
    settings |= {"LLMC_BUDGET": options.budget, "LLMC_CACHE": str(home / "cache")}
    return Compilers(options.clang, "", home, settings)


def loaded_bytes(path: Path) -> int | None:
    """Loaded bytes of a program, a shared library or a static archive; None for any other file."""
    data = path.read_bytes()
    if data.startswith(MAGIC):
        return sum(measure(member).total for _, member in members(data) if member.startswith(b"\x7fELF"))
    if data.startswith(b"\x7fELF") and int.from_bytes(data[16:18], "little") in (2, 3):  # ET_EXEC, ET_DYN
        return measure(data).total
    return None


def build_side(package: Package, compilers: Compilers, dsc: Path, jobs: int) -> dict[str, Any]:
    """Unpack, build and test one side; a failing suite is a result, a failing build raises SourceError."""
    home, recipe, log = compilers.folder, package.recipe, compilers.folder / "build.log"
    source = home / "source"
    skip = ["--skip-patches"] if recipe.pristine else []
    run(["dpkg-source", "--no-copy", *skip, "-x", str(dsc), str(source)], cwd=home, log=log)
    unpacked = set(source.rglob("*"))
    stamp = dsc.stat().st_mtime  # one time for all, or make would rebuild what Debian's patches touched
    for path in unpacked:
        os.utime(path, (stamp, stamp), follow_symlinks=False)
    started = time.monotonic()
    build(source, recipe, compilers, jobs=jobs, record=home / "unused", log=log)
    seconds = time.monotonic() - started
    env = compilers.environment(home / "unused")
    make = [f"-j{jobs}"] if package.test[0] == "make" else []
    if recipe.system == "make":
        make += [f"{name}={env[name]}" for name in ("CC", "CXX", "CFLAGS", "CXXFLAGS")] + list(recipe.args)
    suite, sizes = "pass", dict[str, int]()
    try:
        run([*package.test, *make], cwd=source / package.where, env=env, log=log)
        if package.script:
            (home / "check.lua").write_text(package.script)
            run(["source/src/lua", "check.lua"], cwd=home, env=env, log=home / "script.log")
    except SourceError as error:
        say(str(error))
        suite = "FAIL"
    for path in sorted(set(source.rglob("*")) - unpacked):
        size = loaded_bytes(path) if path.is_file() and not path.is_symlink() else None
        if size is not None and "CMakeFiles" not in path.parts:
            sizes[str(path.relative_to(source))] = size
    return {"suite": suite, "seconds": round(seconds, 1), "sizes": sizes}


def compare(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Build both sides of a package, or read what an earlier run wrote."""
    package, home = PACKAGES[name], options.work / name
    dsc = next((options.cache / "apt" / "packages" / name).glob("*.dsc"), None)  # as sources.py has fetched it
    if dsc is None:
        with locked(options.cache):
            dsc = Archive(options.cache).download(name)
    key = {**asdict(package), "dsc": dsc.name, "clang": str(options.clang), "budget": options.budget}
    key, done = json.loads(json.dumps(key)), home / "result.json"
    if done.exists() and not options.again:
        result: dict[str, Any] = json.loads(done.read_text())
        if result["key"] == key:
            return result
    shutil.rmtree(home, ignore_errors=True)
    sides = {}
    for side in SIDES:
        say(f"{name}: building and testing with {'llmc' if side == 'llmc' else 'clang'}")
        (home / side).mkdir(parents=True)
        sides[side] = build_side(package, compilers_of(side, package, home / side, options), dsc, options.jobs)
    logs = [home / side / "script.log" for side in SIDES]
    if all(log.exists() for log in logs) and logs[0].read_text() != logs[1].read_text():
        say(f"{name}: the script's output differs: {logs[0]} {logs[1]}")
        sides["llmc"]["suite"] = "FAIL"
    env = {**os.environ, "LLMC_CACHE": str(home / "llmc" / "cache")}
    counts = subprocess.run([options.llmc, "cc", "--stats", "--json"], env=env, capture_output=True, check=True).stdout
    result = {"key": key, **sides, "counts": json.loads(counts)}
    write_atomically(done, json.dumps(result, indent=1) + "\n")
    return result


def row(name: str, result: dict[str, Any]) -> tuple[str, bool]:
    """A line of the table, and whether all is well; says what is not."""
    base, tuned, counts = result["base"], result["llmc"], result["counts"]
    before, after = base["sizes"], tuned["sizes"]
    for path in sorted(before.keys() ^ after.keys()):
        say(f"{name}: {path} came out of one build only")
    larger = sorted(path for path in before.keys() & after.keys() if after[path] > before[path])
    for path in larger:
        say(f"{name}: {path} is larger: {before[path]} to {after[path]} bytes")
    was, now = sum(before.values()), sum(after.values())
    cells = [name, base["suite"], tuned["suite"], counts["tuned"], counts["failures"], len(after), f"{was:,}",
             f"{now:,}", f"{100 * (1 - now / max(1, was)):.2f} %", len(larger),
             f"{base['seconds']:.0f} s", f"{tuned['seconds']:.0f} s"]  # fmt: skip
    good = base["suite"] == tuned["suite"] == "pass" and not larger and before.keys() == after.keys()
    return "| " + " | ".join(map(str, cells)) + " |", good and counts["tuned"] > 0


def main(arguments: list[str] | None = None) -> int:
    """Exit 0 when every suite passes and nothing got larger, else 1; 2 on misuse, 130 when interrupted."""
    scripts, home = Path(sys.executable).parent, Path("~/.cache/llm-compiler")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--packages", nargs="+", choices=PACKAGES, default=list(PACKAGES), metavar="PACKAGE")
    parser.add_argument("--budget", default="1s", help="LLMC_BUDGET of one compilation (default: %(default)s)")
    parser.add_argument("--work", type=Path, default=home / "builds", help="default: %(default)s")
    parser.add_argument("--cache", type=Path, default=Path(os.environ.get("LLMC_SOURCES", home / "sources")),
                        help="where sources.py keeps fetched packages: $LLMC_SOURCES or %(default)s")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=2, help="make -j (default: %(default)s)")
    parser.add_argument("--again", action="store_true", help="build packages that have a result, too")
    options = parser.parse_args(arguments)
    options.work, options.cache = options.work.expanduser().resolve(), options.cache.expanduser().resolve()
    options.clang, options.llmc = scripts / "clang", scripts / "llmc"
    if not (options.clang.exists() and options.llmc.exists()):
        parser.error(f"no clang and llmc in {scripts}; `pip install .` brings both")
    rows, good = [], True
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a build as Ctrl-C does
    try:
        with locked(options.work):
            for name in options.packages:
                try:
                    line, fine = row(name, compare(name, options))
                except (SourceError, LlmcError, OSError, subprocess.SubprocessError) as error:
                    line, fine = f"| {name} | not built: {error} |" + " |" * 10, False
                rows.append(line)
                good = good and fine
    except KeyboardInterrupt:
        say("Interrupted; what is finished stays, a second run goes on from there.")
        return 130
    heads = ("package", "tests, clang", "tests, llmc", "tuned", "failures of llmc", "artefacts", "bytes clang -Oz",
             "bytes llmc", "saving", "larger", "build, clang", "build, llmc")  # fmt: skip
    print("| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", *rows, sep="\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
