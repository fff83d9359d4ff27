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

from llm_compiler.llvm.archive import MAGIC, members
from llm_compiler.llvm.objectfile import measure
from sources import FLAGS, Archive, Recipe, SourceError, Toolchain, build, locked, run, say, write_atomically

SIDES = ("base", "llmc")  # of one length: a path of the tree may end up in what is built
ET_EXEC, ET_DYN = 2, 3

LUA_SCRIPT = r"""
local out = {}
local function show(...) out[#out + 1] = table.concat(table.pack(...), " ") end
for word, n in ("one=1, two=22, three=333"):gmatch("(%a+)=(%d+)") do show(word:rep(2, "-"), n * 2, word:reverse()) end
show(("%5.2f|%-6s|%x|%q"):format(math.pi, "ab", 48879, "a\nb"), ("hello"):gsub("l+", string.upper))
show(string.pack("<i4", 7):byte(1, -1)); show(utf8.char(228, 8364), utf8.len("äö"), ("x"):rep(3, ","))
local t = {}
for i = 1, 500 do t[i] = (i * 7919) % 1009 end
table.sort(t, function(a, b) return a > b end); show(table.concat(t, ",", 1, 40)); table.move(t, 1, 3, 5)
show(table.remove(t, 2), table.unpack(t, 1, 8)); show(#t, select("#", nil, nil))
show(7 // 2, -7 // 2, -7 % 3, 7.5 // 2, 2 ^ 0.5, 1 << 62, ~5, 3 | 8, math.tointeger(3.0), math.ult(1, -1) and 1 or 0)
show(math.maxinteger + 1 == math.mininteger and "wraps" or "no", math.fmod(-7, 3), 0x7p3, math.type(1), 1e15, 2^53)
local function primes(n) return coroutine.wrap(function()
  for i = 2, n do
    local prime = true
    for d = 2, math.floor(i ^ 0.5) do if i % d == 0 then prime = false break end end
    if prime then coroutine.yield(i) end
  end end) end
for p in primes(60) do show(p) end
show(select(2, coroutine.resume(coroutine.create(function() error({code = 5}) end))).code)
local function counter() local n = 0 return function() n = n + 1 return n end end
local a, b = counter(), counter(); show(a(), a(), b(), a())
local weak, closed = setmetatable({}, {__mode = "v"}), 0
for i = 1, 2000 do weak[i] = setmetatable({}, {__gc = function() closed = closed + 1 end}) end
collectgarbage(); collectgarbage("generational"); for i = 1, 20000 do local _ = {i, tostring(i)} end
collectgarbage("incremental"); collectgarbage(); show(closed, next(weak) == nil and "empty" or "kept")
local V = {}; V.__index = V; V.__add = function(x, y) return setmetatable({x[1] + y[1]}, V) end
V.__lt = function(x, y) return x[1] < y[1] end; V.__close = function(x) show("closed", x[1]) end
do local v <close> = setmetatable({1}, V) + setmetatable({41}, V); show(v[1], v < setmetatable({50}, V) and "lt" or "ge") end
show(select(2, pcall(function() return nil + 1 end)), select(2, xpcall(error, function(m) return m .. "!" end, "deep")))
goto done
show("never")
::done:: show(load("local x <const> = 6; return x * ...")(7), #string.dump(function() return 1 end) > 0 and "dump" or "")
print(table.concat(out, "\n"))
"""


@dataclass(frozen=True)
class Package:
    """How to build a package in full, and how to run its tests; commands run in `where` of the source tree."""

    recipe: Recipe
    tests: tuple[tuple[str, ...], ...]
    where: str = "."
    launcher: bool = False  #: enter by CMake's compiler launcher, not by CC and CXX
    script: str = ""  #: a Lua program, whose output must be the same from both builds


def _cmake(*options: str, directory: str = ".", launcher: bool = True, pristine: bool = False) -> Package:
    args = ("-DBUILD_TESTING=ON", *(f"-D{option}" for option in options))
    return Package(Recipe("cmake", args, directory, pristine=pristine), (("ctest", "--output-on-failure"),),
                   where="llmc-build", launcher=launcher)  # fmt: skip


GIF_TOOLS = (
    "gif2rgb", "gifbuild", "giffix", "giftext", "giftool", "gifclrmp", "gifbg", "gifcolor", "gifecho", "giffilter",
    "gifhisto", "gifinto", "gifsponge", "gifwedge",
)  # fmt: skip

PACKAGES = {
    "zlib": Package(Recipe("configure"), (("make", "check"),)),
    "lua5.4": Package(
        Recipe("make", (f"CFLAGS={FLAGS} -Wall -DLUA_USE_LINUX -DLUA_COMPAT_5_3",), targets=("linux",), pristine=True),
        (("make", "test"),), script=LUA_SCRIPT,
    ),
    "bzip2": Package(
        Recipe("make", (f"CFLAGS={FLAGS} -Wall -D_FILE_OFFSET_BITS=64",),
               targets=("libbz2.a", "libbz2.so", "bzip2", "bzip2recover")), (("make", "check"),),
    ),
    "expat": _cmake("EXPAT_BUILD_DOCS=OFF", directory="expat", pristine=True),
    "jansson": _cmake("JANSSON_BUILD_DOCS=OFF", "JANSSON_BUILD_SHARED_LIBS=ON", launcher=False),
    "tinyxml2": _cmake("BUILD_SHARED_LIBS=ON"),
    "pugixml": _cmake("PUGIXML_BUILD_TESTS=ON"),
    "giflib": Package(
        Recipe("make", (f"CFLAGS={FLAGS} -std=gnu99 -fPIC -Wall",),
               targets=("libgif.a", "libutil.a", "libgif.so", "libutil.so", *GIF_TOOLS)), (("make", "-C", "tests"),),
    ),
    "xz-utils": Package(Recipe("configure", ("--disable-nls", "--disable-doc")), (("make", "check"),)),
}  # fmt: skip


@dataclass(frozen=True)
class Compilers(Toolchain):
    """Plain clang, or llmc around the same clang, as the compilers of a build."""

    settings: dict[str, str]

    @classmethod
    def of(cls, side: str, package: Package, *, clang: Path, llmc: Path, home: Path, budget: str) -> Compilers:
        """`home` holds the package's own LLMC_CACHE, so that the counts are of this build."""
        clangxx = clang.with_name(clang.name.replace("clang", "clang++", 1))
        settings = {"CC": str(clang), "CXX": str(clangxx)}
        if side == "llmc":
            # A folder with nothing but llmc: other tools beside it, as ar, are to be the same in both builds.
            (home / "bin").mkdir()
            (home / "bin" / "llmc").symlink_to(llmc)
            path = f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
            launch = {"CMAKE_C_COMPILER_LAUNCHER": "llmc;cc", "CMAKE_CXX_COMPILER_LAUNCHER": "llmc;c++"}
            settings |= launch if package.launcher else {"CC": "llmc cc", "CXX": "llmc c++"}
            settings |= {"LLMC_CLANG": str(clang), "LLMC_CLANGXX": str(clangxx), "LLMC_BUDGET": budget}
            settings |= {"LLMC_CACHE": str(home / "cache"), "PATH": path}
        return cls(clang, "", home, settings)

    def environment(self, record: Path) -> dict[str, str]:
        """As of a recorded build, without the recorder and the user's own settings of llmc."""
        env = super().environment(record)
        return {name: value for name, value in env.items() if not name.startswith("LLMC_")} | self.settings


def dsc_of(package: str, cache: Path) -> Path:
    """The package's source as sources.py fetched it, or fetch it now."""
    for found in sorted((cache / "apt" / "packages" / package).glob("*.dsc")):
        return found
    with locked(cache):
        return Archive(cache).download(package)


def unpack(dsc: Path, source: Path, *, pristine: bool, log: Path) -> set[Path]:
    """Unpack a source package; returns the paths in it."""
    skip = ["--skip-patches"] if pristine else []
    run(["dpkg-source", "--no-copy", *skip, "-x", str(dsc), str(source)], cwd=source.parent, log=log)
    paths = set(source.rglob("*"))
    stamp = dsc.stat().st_mtime  # one time for all, or make would rebuild what Debian's patches touched
    for path in paths:
        os.utime(path, (stamp, stamp), follow_symlinks=False)
    return paths


def loaded_bytes(path: Path) -> int | None:
    """Loaded bytes of a program, a shared library or a static archive; None for any other file."""
    data = path.read_bytes()
    if data.startswith(MAGIC):
        return sum(measure(member).total for _, member in members(data) if member.startswith(b"\x7fELF"))
    if data.startswith(b"\x7fELF") and int.from_bytes(data[16:18], "little") in (ET_EXEC, ET_DYN):
        return measure(data).total
    return None


def build_side(package: Package, compilers: Compilers, dsc: Path, *, home: Path, jobs: int) -> dict[str, Any]:
    """Unpack, build and test one side; a failing suite is a result, a failing build raises SourceError."""
    source, log = home / "source", home / "build.log"
    recipe = package.recipe
    unpacked = unpack(dsc, source, pristine=recipe.pristine, log=log)
    started = time.monotonic()
    build(source, recipe, compilers, jobs=jobs, record=home / "unused", log=log)
    seconds = time.monotonic() - started
    env = compilers.environment(home / "unused")
    variables = [f"{name}={env[name]}" for name in ("CC", "CXX", "CFLAGS", "CXXFLAGS")] + list(recipe.args)
    suite = "pass"
    try:
        for command in package.tests:
            extra = [f"-j{jobs}", *(variables if recipe.system == "make" else [])] if command[0] == "make" else []
            run([*command, *extra], cwd=source / package.where, env=env, log=log)
        if package.script:
            (home / "check.lua").write_text(package.script)
            run(["source/src/lua", "check.lua"], cwd=home, env=env, log=home / "script.log")
    except SourceError as error:
        say(str(error))
        suite = "FAIL"
    sizes = {}
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if path not in unpacked and path.is_file() and not path.is_symlink() and "CMakeFiles" not in name.parts:
            size = loaded_bytes(path)
            if size is not None:
                sizes[str(name)] = size
    return {"suite": suite, "seconds": round(seconds, 1), "sizes": sizes}


def compare(name: str, options: argparse.Namespace, clang: Path, llmc: Path) -> dict[str, Any]:
    """Build both sides of a package, or read what an earlier run wrote."""
    package, home = PACKAGES[name], options.work / name
    dsc = dsc_of(name, options.cache)
    key = json.loads(json.dumps({**asdict(package), "dsc": dsc.name, "clang": str(clang), "budget": options.budget}))
    done = home / "result.json"
    if done.exists() and not options.again:
        result: dict[str, Any] = json.loads(done.read_text())
        if result["key"] == key:
            return result
    shutil.rmtree(home, ignore_errors=True)
    sides = {}
    for side in SIDES:
        folder = home / side
        folder.mkdir(parents=True)
        compilers = Compilers.of(side, package, clang=clang, llmc=llmc, home=folder, budget=options.budget)
        say(f"{name}: building and testing with {'llmc' if side == 'llmc' else 'clang'}")
        sides[side] = build_side(package, compilers, dsc, home=folder, jobs=options.jobs)
    base, tuned = (sides[side] for side in SIDES)
    logs = [home / side / "script.log" for side in SIDES]
    if package.script and logs[0].read_text() != logs[1].read_text():
        say(f"{name}: the script's output differs: {logs[0]} {logs[1]}")
        tuned["suite"] = "FAIL"
    command = [str(llmc), "cc", "--stats", "--json"]
    env = {**os.environ, "LLMC_CACHE": str(home / "llmc" / "cache")}
    counts = json.loads(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
    result = {"key": key, "base": base, "llmc": tuned, "counts": counts}
    write_atomically(done, json.dumps(result, indent=1) + "\n")
    return result


def row(name: str, result: dict[str, Any]) -> tuple[str, bool]:
    """A line of the table, and whether all is well; says what is not."""
    base, tuned, counts = result["base"], result["llmc"], result["counts"]
    before, after = base["sizes"], tuned["sizes"]
    for path in sorted(before.keys() ^ after.keys()):
        say(f"{name}: {path} came out of one build only")
    larger = [path for path in before.keys() & after.keys() if after[path] > before[path]]
    for path in sorted(larger):
        say(f"{name}: {path} is larger: {before[path]} to {after[path]} bytes")
    if counts["failures"]:
        say(f"{name}: {counts['failures']} compilations kept clang's object because llmc failed")
    was, now = sum(before.values()), sum(after.values())
    cells = [name, base["suite"], tuned["suite"], counts["tuned"], counts["failures"], len(after), f"{was:,}",
             f"{now:,}", f"{100 * (1 - now / max(1, was)):.2f} %", len(larger),
             f"{base['seconds']:.0f} s", f"{tuned['seconds']:.0f} s"]  # fmt: skip
    good = base["suite"] == tuned["suite"] == "pass" and not larger and before.keys() == after.keys()
    return "| " + " | ".join(map(str, cells)) + " |", good and counts["tuned"] > 0


def main(arguments: list[str] | None = None) -> int:
    """Exit 0 when every suite passes and nothing got larger, else 1; 2 on misuse, 130 when interrupted."""
    scripts = Path(sys.executable).parent
    home = Path("~/.cache/llm-compiler")
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
    clang, llmc = scripts / "clang", scripts / "llmc"
    if not (clang.exists() and llmc.exists()):
        parser.error(f"no clang and llmc in {scripts}; `pip install .` brings both")
    rows, good = [], True
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a build as Ctrl-C does
    try:
        with locked(options.work):
            for name in options.packages:
                try:
                    line, fine = row(name, compare(name, options, clang, llmc))
                except (SourceError, OSError) as error:
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
