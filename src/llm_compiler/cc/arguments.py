"""From a clang command line to a plan: tune this compilation, or hand it to clang untouched and say why."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from llm_compiler.cc.flags import HEADER_SUFFIXES, SOURCE_SUFFIXES, Effect, Reason, lookup

_ENVIRONMENT = ("CCC_OVERRIDE_OPTIONS", "DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES", "CC_LOG_DIAGNOSTICS")
_CONFIGURE_FOLDERS = ("/CMakeFiles/CMakeScratch/", "/CMakeFiles/CMakeTmp/", "/meson-private/")


class Plan(NamedTuple):
    """What to do with one command line. `reason` is None when the compilation is to be tuned."""

    reason: Reason | None
    detail: str = ""  # the argument that decided, if one did
    source: str = ""
    output: str = ""
    level: str = ""  # of the last -O flag: "z", "s", "2", …; empty without one
    cflags: tuple[str, ...] = ()  # response files expanded; no source, -c, -o, -M*, linker flags
    front_end: tuple[str, ...] = ()
    lowering: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()

    @property
    def tune(self) -> bool:
        """Whether this compilation is to be tuned."""
        return self.reason is None


def tokenize(text: str) -> Iterator[str]:
    """The words of a response file, as llvm::cl::TokenizeGNUCommandLine splits them."""
    word, quote, characters = "", "", iter(text)
    for character in characters:
        if character == "\\":
            word += next(characters, "\\")
        elif quote:
            word, quote = (word, "") if character == quote else (word + character, quote)
        elif character in "'\"":
            quote = character
        elif character not in " \t\r\n":
            word += character
        elif word:  # LLVM drops an empty word, even a quoted one
            yield word
            word = ""
    if word:
        yield word


class ResponseFileError(Exception):
    """A response file that is clang's to read; its argument is the exception's."""


def expand(argv: Sequence[str], cwd: str, depth: int = 0) -> Iterator[str]:
    """The arguments with response files replaced by what they hold. Raises ResponseFileError."""
    for argument in argv:
        if not argument.startswith("@") or len(argument) == 1:
            yield argument
            continue
        try:
            with open(os.path.join(cwd, argument[1:]), "rb") as file:
                data = file.read()
        except (OSError, ValueError):
            data = b"\0"
        if b"\0" in data or data.startswith(b"\xef\xbb\xbf") or depth > 20:  # UTF-16 and marks: clang's to read
            raise ResponseFileError(argument)
        yield from expand(list(tokenize(os.fsdecode(data))), cwd, depth + 1)


class _Scan:
    """One pass over an expanded argv; collects what was found and every reason against tuning."""

    def __init__(self, cwd: str) -> None:
        self.cwd = cwd
        self.against: list[tuple[Reason, str]] = []
        self.inputs: list[tuple[str, str]] = []  # name, language given by -x
        self.outputs: list[str] = []
        self.language = self.level = self.target = ""
        self.compile = False
        self.flags: dict[Effect, list[str]] = {effect: [] for effect in Effect}
        self.cflags: list[str] = []

    def run(self, argv: Sequence[str]) -> None:
        """Sort every argument of `argv`."""
        rest = iter(argv)
        for argument in rest:
            if argument == "--":
                for name in rest:
                    self.add_input(name)
            elif argument == "-":
                self.against.append((Reason.STANDARD_INPUT, argument))
                self.add_input(argument)
            elif not argument.startswith("-"):
                self.add_input(argument)
            else:
                self.add_flag(argument, rest)

    def add_input(self, name: str) -> None:
        self.inputs.append((name, self.language))

    def add_flag(self, argument: str, rest: Iterator[str]) -> None:
        rule, takes_next = lookup(argument)
        words = [argument]
        if takes_next:
            value = next(rest, None)
            if value is None:
                self.against.append((Reason.UNKNOWN_FLAG, argument))
                return
            words.append(value)
        if isinstance(rule, Reason):
            self.against.append((rule, " ".join(words)))
            return
        self.note(words)
        if rule in (Effect.FRONT_END, Effect.LOWERING, Effect.BOTH):
            self.cflags += words
        self.flags[rule] += words

    def note(self, words: list[str]) -> None:
        """Keep what later decisions need to know about a flag with an effect."""
        flag, value = words[0], words[-1]
        if flag in ("-c", "--compile"):
            self.compile = True
        elif flag.startswith("-O"):
            self.level = flag[2:] or "1"
        elif flag.startswith("-o"):
            self.outputs.append(value.removeprefix("-o") if len(words) == 1 else value)
        elif flag.startswith("-x"):
            language = value.removeprefix("-x") if len(words) == 1 else value
            self.language = "" if language == "none" else language
            if self.inputs:  # the tuner puts the source last, where this -x would reach it
                self.against.append((Reason.UNKNOWN_FLAG, " ".join(words)))
        elif flag == "-target" or flag.startswith("--target="):
            self.target = value.removeprefix("--target=")
        elif flag.startswith("-include"):
            header = os.path.join(self.cwd, value.removeprefix("-include") if len(words) == 1 else value)
            if os.path.exists(header + ".pch") or os.path.exists(header + ".gch"):
                self.against.append((Reason.PRECOMPILED_HEADER, " ".join(words)))


def plan(argv: Sequence[str], *, env: Mapping[str, str], cwd: str, machine: str = "x86_64") -> Plan:
    """Decide about one command line (without the compiler's name). Never raises; a doubt is a reason.

    `machine` is the host's architecture: clang's target where the command line names none.
    """
    scan = _Scan(cwd)
    mode = env.get("LLMC_TUNE", "").lower()
    if mode == "off":
        scan.against.append((Reason.SWITCHED_OFF, ""))
    scan.against += [(Reason.ENVIRONMENT, name) for name in _environment_in_the_way(env)]
    try:
        scan.run(list(expand(argv, cwd)))
    except ResponseFileError as error:
        scan.against.append((Reason.RESPONSE_FILE, str(error)))

    source, language = scan.inputs[0] if scan.inputs else ("", "")
    output = scan.outputs[0] if scan.outputs else os.path.splitext(os.path.basename(source))[0] + ".o"
    scan.against += _against_shape(scan, source, language, output)
    if mode != "all" and scan.level not in ("s", "z"):
        scan.against.append((Reason.NOT_FOR_SIZE, f"-O{scan.level}" if scan.level else ""))
    target = scan.target or f"{machine}-linux"
    if not _is_x86_64_linux(target):
        scan.against.append((Reason.TARGET, target))

    if scan.against:
        order = list(Reason)
        reason, detail = min(scan.against, key=lambda item: order.index(item[0]))
        return Plan(reason, detail)
    flags = scan.flags
    return Plan(
        reason=None,
        source=source,
        output=output,
        level=scan.level,
        cflags=tuple(scan.cflags),
        front_end=tuple(flags[Effect.FRONT_END] + flags[Effect.BOTH]),
        lowering=tuple(flags[Effect.LOWERING] + flags[Effect.BOTH]),
        set_aside=tuple(flags[Effect.CLANG_ONLY] + flags[Effect.LINKER]),
    )


def _environment_in_the_way(env: Mapping[str, str]) -> list[str]:
    return [name for name in env if name in _ENVIRONMENT or name.startswith("CC_PRINT_")]


def _is_x86_64_linux(triple: str) -> bool:
    architecture, _, system = triple.partition("-")
    return architecture in ("x86_64", "amd64") and "linux" in system and not system.endswith("x32")


def _is_device(path: str) -> bool:
    path = os.path.normpath(path)
    return path.startswith("/dev/") and not path.startswith("/dev/shm/")


def _against_shape(scan: _Scan, source: str, language: str, output: str) -> Iterator[tuple[Reason, str]]:
    """Reasons that lie in the inputs and the output rather than in one flag."""
    if not scan.inputs:
        yield Reason.NO_INPUT, ""
        return
    if not scan.compile:
        yield Reason.LINK, ""
    if len(scan.inputs) > 1:
        yield Reason.SEVERAL_INPUTS, scan.inputs[1][0]
    suffix = os.path.splitext(source)[1]
    if language.endswith("-header") or (not language and suffix in HEADER_SUFFIXES):
        yield Reason.PRECOMPILED_HEADER, source
    elif language not in ("", "c", "c++") or (not language and suffix not in SOURCE_SUFFIXES):
        yield Reason.LANGUAGE, language or source
    if source.startswith("-") and source != "-":
        yield Reason.UNKNOWN_FLAG, source
    where = os.path.join(scan.cwd, source)
    probe = os.path.basename(source)
    # autoconf's conftest.c, zlib's ztest123.c
    probing = probe.startswith("conftest") or probe.removesuffix(".c").removeprefix("ztest").isdigit()
    if probing or any(folder in where for folder in _CONFIGURE_FOLDERS):
        yield Reason.CONFIGURE_CHECK, source
    if len(scan.outputs) > 1 or output == "-" or _is_device(os.path.join(scan.cwd, output)):
        yield Reason.SPECIAL_OUTPUT, output
