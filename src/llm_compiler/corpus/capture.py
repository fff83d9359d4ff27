"""The recording compiler: what stands in a build's PATH and keeps the unoptimised bitcode of every compilation.

It runs once a compilation, so it imports next to nothing: no subprocess, no json, no tempfile, and re only on failure.
"""

from __future__ import annotations

import os
import signal
import sys
from _blake2 import blake2b
from _json import encode_basestring_ascii as quoted
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

from llm_compiler.cc.arguments import ResponseFileError, expand
from llm_compiler.cc.flags import HEADER_SUFFIXES, SOURCE_SUFFIXES, Effect, Reason, lookup

BESIDE, INSTEAD = "beside", "instead"
LOG, OBJECTS = "log.jsonl", "objects"

_TRIES = 10
_REFUSED = "the compiler itself refused it"
_NO_COMPILATION = (
    Reason.QUERY, Reason.PREPROCESS, Reason.CHECK_ONLY, Reason.NOT_AN_OBJECT, Reason.PRECOMPILED_HEADER,
    Reason.LANGUAGE,
)  # fmt: skip
# What the object has, or what is written beside it, that unoptimised bitcode knows nothing of.
_ONLY_REAL = (
    Reason.SANITIZER, Reason.PROFILE, Reason.INSTRUMENTED, Reason.PLUGIN, Reason.SIDE_OUTPUT, Reason.OFFLOAD,
    Reason.ASSEMBLY, Reason.ASSEMBLER, Reason.MODULES, Reason.EMBEDDED_BITCODE,
)  # fmt: skip
_GCC_WITH_VALUE = ("-aux-info", "-dumpbase", "-dumpbase-ext", "-dumpdir", "-wrapper", "-specs", "-imultilib")
# Optimisation, debug information and messages.
_DROPPED = ("-O", "-g", "-W", "-pedantic", "--pedantic", "-pipe", "-fdiagnostics-", "-fcolor-", "-fmessage-length")
# clang's frontend refuses, by default, what gcc only warns of.
_LENIENT = (
    "-w", "-fno-color-diagnostics", "-Wno-error", "-Wno-implicit-function-declaration", "-Wno-implicit-int",
    "-Wno-int-conversion", "-Wno-incompatible-function-pointer-types", "-Wno-c++11-narrowing", "-Wno-register",
    "-Wno-reserved-user-defined-literal", "-Wno-return-type", "-Wno-non-pod-varargs", "-Wno-enum-constexpr-conversion",
)  # fmt: skip
_PROBES = ("/CMakeFiles/", "/meson-private/", "/config.tests/", "/ffconf.")
_PROBE_NAMES = ("conftest", "ztest", "autotest.", "qemu-conf.", "CMakeC")


class Compilation(NamedTuple):
    """A command line that compiles C or C++. Flags are without sources, outputs, warnings and debug information."""

    sources: tuple[tuple[str, bool], ...]  # name, whether it is C++
    output: str  # empty without -o
    flags: tuple[str, ...]
    lowering: tuple[str, ...]  # those of the flags that decide about code generation
    dependencies: tuple[str, ...]
    compile: bool  # -c, so that there is no link
    only_real: bool  # the object must come from the real compiler

    @property
    def object(self) -> str:
        """The object that -c writes."""
        return self.output or os.path.splitext(os.path.basename(self.sources[0][0]))[0] + ".o"


class _Scan:
    def __init__(self, cxx: bool) -> None:
        self.cxx = cxx
        self.language = ""
        self.sources: list[tuple[str, bool]] = []
        self.output = ""
        self.flags: list[str] = []
        self.lowering: list[str] = []
        self.dependencies: list[str] = []
        self.compile = self.only_real = self.other = False

    def run(self, argv: Sequence[str]) -> None:
        rest = iter(argv)
        for word in rest:
            if not word.startswith("-") or word == "-":
                self.add_input(word)
                continue
            rule, takes_next = lookup(word)
            words = [word]
            if takes_next or word in _GCC_WITH_VALUE:
                words += [value for value in (next(rest, None),) if value is not None]
            self.add_flag(words, rule)

    def add_input(self, word: str) -> None:
        suffix = os.path.splitext(word)[1]
        if word == "-" or self.language.endswith("-header") or (not self.language and suffix in HEADER_SUFFIXES):
            self.other = True
        elif self.language in ("c", "c++", "cpp-output", "c++-cpp-output") or (
            not self.language and suffix in SOURCE_SUFFIXES
        ):
            plain_c = self.language in ("c", "cpp-output") or (not self.language and suffix in (".c", ".i"))
            self.sources.append((word, self.cxx or not plain_c))

    def add_flag(self, words: list[str], rule: Effect | Reason) -> None:
        flag, value = words[0], words[-1]
        if isinstance(rule, Reason):
            self.add_other(words, rule)
        elif rule is Effect.CLANG_ONLY:
            if flag in ("-c", "--compile"):
                self.compile = True
            elif flag.startswith("-o"):
                self.output = value if len(words) == 2 else value[2:]
            else:
                self.dependencies += flag.split(",")[1:] if flag.startswith("-Wp,") else words
        elif flag.startswith("-x"):
            language = value if len(words) == 2 else value[2:]
            self.language = "" if language == "none" else language
        elif flag.startswith("-fopenmp"):  # clang's runtime is another than gcc's
            self.only_real = True
        elif rule is not Effect.LINKER and not _is_dropped(flag):
            self.flags += words
            if rule in (Effect.BOTH, Effect.LOWERING):
                self.lowering += words

    def add_other(self, words: list[str], rule: Reason) -> None:
        flag = words[0]
        if rule in (Reason.QUERY,) and flag in ("-v", "--verbose"):
            return
        if rule is Reason.DEPENDENCIES and flag == "-MG":
            return
        if rule in _NO_COMPILATION or rule is Reason.DEPENDENCIES:
            self.other = True
        elif rule in _ONLY_REAL:
            self.only_real = True
            self.compile |= rule is Reason.ASSEMBLY
        elif flag in ("-m16", "-m32", "-mx32"):
            self.flags += words
            self.lowering += words
        elif (rule is Reason.CC1_OPTIONS and flag == "-Xclang") or (
            rule is Reason.UNKNOWN_FLAG and flag[:2] in ("-f", "-m") and len(words) == 1
        ):
            self.flags += words


def _is_dropped(flag: str) -> bool:
    return flag.startswith(_DROPPED) or flag == "-w"


def read_arguments(argv: Sequence[str], *, cxx: bool, cwd: str) -> Compilation | None:
    """What a command line compiles; None when it compiles no C or C++ (a link, a query, assembly, a probe, …)."""
    scan = _Scan(cxx)
    try:
        scan.run(list(expand(argv, cwd)))
    except ResponseFileError:
        return None
    if scan.other or not scan.sources or scan.output == os.devnull:
        return None
    if any(_is_probe(os.path.join(cwd, source)) for source, _ in scan.sources):
        return None
    return Compilation(
        tuple(scan.sources), scan.output, tuple(scan.flags), tuple(scan.lowering), tuple(scan.dependencies),
        scan.compile, scan.only_real,
    )  # fmt: skip


def _language(cxx: bool) -> str:
    return "c++" if cxx else "c"


def _is_probe(path: str) -> bool:
    """Whether a configure script asks a question with this file."""
    name = os.path.basename(path)
    return name.startswith(_PROBE_NAMES) or any(folder in path for folder in _PROBES)


def dependency_flags(compilation: Compilation) -> list[str]:
    """Flags that make clang write the depfile that the command asks for, whatever its own output is called."""
    words = iter(compilation.dependencies)
    kinds, file, targets, phony = [], "", [], []
    for word in words:
        if word in ("-MD", "-MMD"):
            kinds = [word]
        elif word == "-MP":
            phony = [word]
        elif word[:3] in ("-MF", "-MT", "-MQ"):
            value = word[3:] or next(words, "")
            if word[:3] == "-MF":
                file = value
            else:
                targets += [word[:3], value]
        elif not word.startswith("-"):  # -Wp,-MD,FILE
            file = word
    if not kinds:
        return []
    file = file or os.path.splitext(compilation.object)[0] + ".d"
    return [*kinds, "-MF", file, *(targets or ["-MQ", compilation.object]), *phony]


class Recorder(NamedTuple):
    """Where captures go, and the clang that makes them. The folder is private to one recording."""

    folder: str
    clang: str  # clang++ lies beside it
    root: str  # of the sources: code is to be the same wherever it was built, __FILE__ included

    def compiler(self, cxx: bool) -> str:
        """The clang for a language."""
        if not cxx:
            return self.clang
        folder, name = os.path.split(self.clang)
        return os.path.join(folder, name.replace("clang", "clang++", 1))

    def capture(
        self, source: str, cxx: bool, flags: Sequence[str], env: dict[str, str], extra: Sequence[str] = ()
    ) -> tuple[str, str, tuple[str, ...]]:
        """The digest of the bitcode that clang -Oz hands to its passes, or "" and the reason; and the flags that clang
        took, since those that only gcc knows are left out one by one.
        """
        mark = f"{os.getpid()}-{blake2b(os.fsencode(source), digest_size=4).hexdigest()}"
        bitcode = os.path.join(self.folder, f"tmp-{mark}.bc")
        messages = os.path.join(self.folder, f"tmp-{mark}.txt")
        left = list(flags)
        if cxx and not any(flag.startswith("-stdlib=") for flag in left):
            left.append("-stdlib=libstdc++")  # the system's C++ libraries are built with it
        reason = ""
        try:
            for _ in range(_TRIES):
                language = [] if source.endswith((".i", ".ii")) else ["-x", "c++" if cxx else "c"]
                command = [self.compiler(cxx), *left, *_LENIENT, "-fno-crash-diagnostics", "-Oz", *extra,
                           f"-ffile-prefix-map={self.root}/=", "-Xclang", "-disable-llvm-passes", "-emit-llvm", "-c",
                           *language, source, "-o", bitcode]
                status = spawn(command, env, messages)
                if status == 0:
                    return self.keep(bitcode), "", tuple(left)
                with open(messages, encoding="utf-8", errors="replace") as file:
                    said = file.read(1 << 16)
                refused = _refused_flags(said, left)
                reason = _first_error(said, status)
                if not refused:
                    break
                left = _without(left, refused)
        except (OSError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
        finally:
            for path in (bitcode, messages):
                with suppress(OSError):
                    os.unlink(path)
        return "", reason, tuple(left)

    def keep(self, bitcode: str) -> str:
        """Move a bitcode file to its place, and return its digest (as `llvm.module.digest` has it)."""
        with open(bitcode, "rb") as file:
            name = blake2b(file.read(), digest_size=16).hexdigest()
        os.rename(bitcode, self.path(name))
        return name

    def path(self, module: str) -> str:
        """The bitcode file of a digest."""
        return os.path.join(self.folder, OBJECTS, f"{module}.bc")

    def note(
        self, source: str, language: str, flags: Sequence[str], status: str, *, module: str = "", reason: str = "",
    ) -> None:
        """Append a line to the log: one write, so that lines stay whole under make -j."""
        words = ",".join(quoted(flag) for flag in flags)
        line = (
            f'{{"directory":{quoted(os.getcwd())},"source":{quoted(source)},"language":"{language}",'
            f'"flags":[{words}],"status":"{status}","module":"{module}","reason":{quoted(reason)}}}\n'
        )
        handle = os.open(os.path.join(self.folder, LOG), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)


def spawn(command: list[str], env: dict[str, str], messages: str | None = None) -> int:
    """Run a program; its exit code, as a shell gives it. With `messages` its streams go to that file."""
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
    if messages is not None:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, messages, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 2, 1),
        ]
    pid = os.posix_spawn(
        command[0], command, env, file_actions=actions, setsigdef=(signal.SIGPIPE, signal.SIGXFSZ)
    )
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


def _first_error(said: str, status: int) -> str:
    for line in said.splitlines():
        _, found, message = line.partition("error: ")
        if found:
            return message.strip()
    return f"clang ended with {status}"


def _refused_flags(said: str, flags: Sequence[str]) -> list[str]:
    """The flags that clang's driver did not take."""
    import re

    named = re.findall(r"error: (?:unknown argument:?|unsupported option|invalid argument) '([^']*)'", said)
    named += re.findall(r"error: (?:unsupported|invalid) (?:argument|value) '[^']*' (?:to option|in) '([^']*)'", said)
    named += re.findall(r"error: (?:unknown|invalid) integral value '[^']*' in '([^']*)'", said)
    if "unknown target CPU" in said:
        named += ["-march=", "-mtune=", "-mcpu="]
    return [flag for flag in flags if any(flag == name or (name[-1:] == "=" and flag.startswith(name))
                                          for name in named)]


def _without(flags: Sequence[str], refused: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for flag in flags:
        if flag not in refused:
            kept.append(flag)
        elif kept and kept[-1] == "-Xclang":
            kept.pop()
    return kept


def _behind(env: Mapping[str, str], ours: str) -> dict[str, str]:
    """The environment without our folder in PATH: a compiler launcher must find the real one, not us again."""
    left = dict(env)
    folders = left.get("PATH", os.defpath).split(os.pathsep)
    left["PATH"] = os.pathsep.join(folder for folder in folders if folder != ours)
    return left


def main() -> NoReturn:
    """`capture FOLDER BIN CLANG ROOT MODE REAL ARGS…`: the compiler REAL as far as anyone sees, and its recording."""
    folder, ours, clang, root, mode, real = sys.argv[1:7]
    argv = sys.argv[7:]
    env = _behind(os.environ, ours)
    compilation = None
    cwd = ""
    with suppress(OSError):
        cwd = os.getcwd()
        name = os.path.basename(real)
        compilation = read_arguments(argv, cxx="++" in name, cwd=cwd)
    if compilation is None:
        _become(real, argv, env)
    recorder = Recorder(folder, clang, root)
    if mode == INSTEAD and compilation.compile and len(compilation.sources) == 1 and not compilation.only_real:
        sys.exit(_instead(recorder, compilation, real, argv, env))
    sys.exit(_beside(recorder, compilation, real, argv, env))


def _become(real: str, argv: Sequence[str], env: dict[str, str]) -> NoReturn:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these, and exec would hand that on
        signal.signal(number, signal.SIG_DFL)
    os.execve(real, [real, *argv], env)


def _beside(recorder: Recorder, compilation: Compilation, real: str, argv: Sequence[str], env: dict[str, str]) -> int:
    """The real compiler first, untouched; then the captures, which can only fail silently."""
    from llm_compiler.cc.signals import Signals

    with Signals() as signals:
        code = signals.run([real, *argv], env)
        if signals.received:
            return code
        for source, cxx in compilation.sources:
            language = _language(cxx)
            with suppress(OSError, ValueError):
                if code:
                    recorder.note(source, language, compilation.flags, "refused", reason=_REFUSED)
                    continue
                module, reason, flags = recorder.capture(source, cxx, compilation.flags, env)
                status = "captured" if module else "failed"
                recorder.note(source, language, flags, status, module=module, reason=reason)
        return code


def _instead(recorder: Recorder, compilation: Compilation, real: str, argv: Sequence[str], env: dict[str, str]) -> int:
    """clang's front end once, and the object from what it gave, unoptimised; the real compiler where clang fails."""
    source, cxx = compilation.sources[0]
    language = _language(cxx)
    extra = dependency_flags(compilation)
    module, reason, flags = recorder.capture(source, cxx, compilation.flags, env, extra)
    if module:
        with suppress(OSError):
            recorder.note(source, language, flags, "captured", module=module)
        lowering = [flag for flag in compilation.lowering if flag in flags]
        command = [recorder.compiler(cxx), *lowering, "-O0", "-w", "-fno-crash-diagnostics", "-c", "-x", "ir",
                   recorder.path(module), "-o", compilation.object]
        messages = os.path.join(recorder.folder, f"tmp-{os.getpid()}.txt")
        try:
            if spawn(command, env, messages) == 0:
                return 0
        except OSError:
            pass
        finally:
            with suppress(OSError):
                os.unlink(messages)
        _become(real, argv, env)
    code = spawn([real, *argv], env)
    with suppress(OSError):
        status, why = ("refused", _REFUSED) if code else ("failed", reason)
        recorder.note(source, language, flags, status, reason=why)
    return code
