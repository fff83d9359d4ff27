"""The flags of clang that `llmc cc` knows, and the reasons for which it leaves a compilation to clang.

The table lists the flags that are known to be safe to compile again from IR. A flag that is not in it is a doubt,
and a doubt means clang, untouched. (The shape follows ccache's table of compiler options.)
"""

import enum
from collections.abc import Sequence


class Reason(enum.Enum):
    """Why a command line is handed to clang untouched; where several hold, the first one here is reported."""

    SWITCHED_OFF = ("switched_off", "LLMC_TUNE=off turns tuning off.")
    NESTED = ("nested", "llmc cc was started by llmc cc, and one tuning is enough.")
    NOT_CLANG = ("not_clang", "The compiler named on the command line is not a clang.")
    ENVIRONMENT = ("environment", "An environment variable changes what clang does or writes.")
    RESPONSE_FILE = ("response_file", "A response file cannot be read here as clang would read it.")
    QUERY = ("query", "clang is asked about itself or about its commands.")
    PREPROCESS = ("preprocess", "Only the preprocessor runs.")
    DEPENDENCIES = ("dependencies", "Only dependencies are written.")
    ASSEMBLY = ("assembly", "The output is assembly.")
    CHECK_ONLY = ("check_only", "The source is only checked.")
    NOT_AN_OBJECT = ("not_an_object", "The output is not a native object.")
    NO_INPUT = ("no_input", "There is no input file.")
    LINK = ("link", "Without -c this is a link.")
    STANDARD_INPUT = ("standard_input", "The source comes from standard input.")
    SEVERAL_INPUTS = ("several_inputs", "There are several input files.")
    PRECOMPILED_HEADER = ("precompiled_header", "A precompiled header is made or used.")
    LANGUAGE = ("language", "The input is not one C or C++ source.")
    CONFIGURE_CHECK = ("configure_check", "This is a configure check, not a part of the program.")
    SPECIAL_OUTPUT = ("special_output", "The output is not an ordinary file.")
    LTO = ("lto", "With LTO the object holds bitcode and the linker makes the code.")
    SANITIZER = ("sanitizer", "Sanitizers add passes of their own.")
    PROFILE = ("profile", "Coverage and profiling add passes of their own.")
    INSTRUMENTED = ("instrumented", "Instrumentation adds passes of its own.")
    PLUGIN = ("plugin", "A plugin is loaded into clang.")
    MODULES = ("modules", "Modules are in use.")
    OFFLOAD = ("offload", "Code for another device is compiled too.")
    EMBEDDED_BITCODE = ("embedded_bitcode", "Bitcode is embedded in the object.")
    SIDE_OUTPUT = ("side_output", "clang writes more files or reports about this very object.")
    ASSEMBLER = ("assembler", "The assembler is another one or has options of its own.")
    TARGET = ("target", "The target is not x86-64 Linux.")
    CC1_OPTIONS = ("cc1_options", "Options go past clang's driver.")
    LLVM_OPTIONS = ("llvm_options", "LLVM is already steered by hand.")
    UNKNOWN_FLAG = ("unknown_flag", "The flag is not in the table of flags that are safe to tune with.")
    NOT_FOR_SIZE = ("not_for_size", "The last -O flag is neither -Oz nor -Os; LLMC_TUNE=all tunes every level.")

    def __init__(self, key: str, sentence: str) -> None:
        self.key = key
        self.sentence = sentence


class Effect(enum.Enum):
    """What a flag that is safe to tune with acts on."""

    FRONT_END = enum.auto()
    LOWERING = enum.auto()
    BOTH = enum.auto()
    LINKER = enum.auto()  # unused when an object is made
    CLANG_ONLY = enum.auto()  # done by clang's own run: -c, -o, dependency files


Rule = Effect | Reason


def _table(*groups: tuple[Rule, str]) -> dict[str, Rule]:
    return {word: rule for rule, words in groups for word in words.split()}


_EXACT = _table(
    (
        Effect.FRONT_END,
        """-ansi -pedantic -pedantic-errors --pedantic -w -undef -trigraphs -traditional-cpp -pipe -pthread -nostdinc
        -nostdinc++ -nostdlibinc -nobuiltininc -Qunused-arguments -Qn -Qy -g -g0 -g1 -g2 -g3 -gembed-source
        --start-no-unused-arguments --end-no-unused-arguments -no-canonical-prefixes""",
    ),
    (Effect.LOWERING, "-Wa,--noexecstack -integrated-as"),
    (
        Effect.LINKER,
        """-shared -static -rdynamic -pie -no-pie -nopie -static-pie -nostdlib -nodefaultlibs -nostartfiles -nostdlib++
        -s -r -static-libgcc -static-libstdc++ -shared-libgcc""",
    ),
    (Effect.CLANG_ONLY, "-c --compile -MD -MMD -MP -MV"),
    (Reason.PREPROCESS, "-E --preprocess -P -C -CC -dM -dD -dI -dN"),
    (Reason.DEPENDENCIES, "-M -MM -MG --dependencies --user-dependencies"),
    (Reason.ASSEMBLY, "-S --assemble"),
    (Reason.CHECK_ONLY, "-fsyntax-only --analyze -verify-pch -fdriver-only"),
    (Reason.NOT_AN_OBJECT, "-emit-llvm --precompile -rewrite-objc -rewrite-legacy-objc --migrate -extract-api"),
    (
        Reason.QUERY,
        "-### -v --verbose --version -version --help -help --help-hidden -dumpversion -dumpmachine -dumpspecs",
    ),
    (Reason.PROFILE, "-p -pg --coverage -coverage"),
    (Reason.ASSEMBLER, "-fno-integrated-as -no-integrated-as"),
    (Reason.SIDE_OUTPUT, "-H -time"),
    (Reason.LANGUAGE, "-ObjC -ObjC++"),
    (Reason.UNKNOWN_FLAG, "-I-"),
)

# The value is always the next argument.
_SEPARATE = _table(
    (Effect.FRONT_END, "--param -cxx-isystem --sysroot"),
    (Effect.BOTH, "-target"),
    (Effect.LINKER, "-Xlinker -z"),
    (Reason.CC1_OPTIONS, "-Xclang -Xpreprocessor -Xanalyzer"),
    (Reason.LLVM_OPTIONS, "-mllvm -mmlir"),
    (Reason.ASSEMBLER, "-Xassembler"),
    (Reason.TARGET, "-arch -Xarch_device -Xarch_host -Xopenmp-target -Xcuda-ptxas -Xcuda-fatbinary"),
    (Reason.PRECOMPILED_HEADER, "-include-pch"),
    (Reason.SIDE_OUTPUT, "-serialize-diagnostics --serialize-diagnostics -dependency-file -dependency-dot -dumpdir"),
    (Reason.UNKNOWN_FLAG, "-working-directory -framework -ivfsoverlay -mthread-model -meabi -b -G"),
)

# The value is the rest of the argument or, if nothing is left, the next argument.
_JOINED_OR_SEPARATE = _table(
    (
        Effect.FRONT_END,
        """-D -U -I -include -imacros -isystem -iquote -idirafter -iprefix -iwithprefix -iwithprefixbefore
        -isysroot -isystem-after -stdlib++-isystem -x""",
    ),
    (Effect.LINKER, "-l -L -T"),
    (Effect.CLANG_ONLY, "-o -MF -MT -MQ -MJ"),
    (Reason.UNKNOWN_FLAG, "-F -B"),
)

_PREFIXES = _table(
    (
        Effect.FRONT_END,
        """-W -std= --std= -stdlib= --sysroot= --param= -ggdb -gdwarf -gline-tables-only -gline-directives-only
        -gcolumn-info -gno- -gstrict-dwarf -gpubnames -ggnu-pubnames""",
    ),
    (Effect.BOTH, "-O --target="),
    (Effect.LOWERING, "-gz"),
    (Effect.LINKER, "-Wl, -rtlib= --rtlib= -unwindlib= --unwindlib= -fuse-ld= --ld-path="),
    (Reason.NOT_AN_OBJECT, "-emit-"),
    (Reason.QUERY, "-print- --print-"),
    (Reason.SIDE_OUTPUT, "-save-temps --save-temps -save-stats --save-stats -R"),
    (Reason.SIDE_OUTPUT, "-gsplit-dwarf"),
    (Reason.MODULES, "-gmodules"),
    (Reason.ASSEMBLER, "-Wa,"),
    (Reason.CC1_OPTIONS, "-Xclang="),
    (Reason.TARGET, "-Xarch_ -Xopenmp-target="),
    (Reason.OFFLOAD, "--cuda --offload --hip --gpu --rocm --no-cuda --no-offload"),
    (Reason.UNKNOWN_FLAG, "-obj"),  # or it would read as -o bj…
)
_ALL_PREFIXES = sorted({**_PREFIXES, **_JOINED_OR_SEPARATE}.items(), key=lambda item: -len(item[0]))

# -fNAME, -fno-NAME, -fNAME=VALUE.
_FEATURES = _table(
    (
        Effect.FRONT_END,
        """access-control aligned-allocation ansi-escape-codes approx-func asm asm-blocks associative-math
        assume-sane-operator-new asynchronous-unwind-tables blocks borland-extensions bracket-depth builtin
        c++-static-destructors caret-diagnostics caret-diagnostics-max-lines cf-protection char8_t clang-abi-compat
        color-diagnostics common complete-member-pointers constexpr-backtrace-limit constexpr-depth constexpr-steps
        coroutines crash-diagnostics cxx-exceptions debug-compilation-dir debug-default-version debug-macro
        debug-prefix-map declspec delete-null-pointer-checks denormal-fp-math digraphs direct-access-external-data
        discard-value-names dollars-in-identifiers elide-constructors elide-type eliminate-unused-debug-symbols
        eliminate-unused-debug-types emit-all-decls error-limit exceptions excess-precision exec-charset
        experimental-library fast-math file-compilation-dir file-prefix-map file-reproducible finite-loops
        finite-math-only force-emit-vtables fp-exception-behavior freestanding gnu-inline-asm gnu-keywords gnu89-inline
        gnuc-version honor-infinities honor-nans hosted ident inline inline-functions inline-hint-functions
        input-charset integrated-cc1 jump-tables keep-static-consts knr-functions lax-vector-conversions
        limit-debug-info macro-backtrace-limit macro-prefix-map math-errno max-type-align merge-all-constants
        message-length ms-compatibility ms-compatibility-version ms-extensions new-infallible omit-frame-pointer openmp
        openmp-simd openmp-version operator-names optimize-sibling-calls pack-struct pascal-strings permissive plt
        protect-parens random-seed reciprocal-math relaxed-template-template-args rounding-math rtti rtti-data
        semantic-interposition short-enums short-wchar show-column show-source-location signed-char signed-zeros
        sized-deallocation slp-vectorize spell-checking spell-checking-limit stack-clash-protection stack-protector
        stack-protector-all stack-protector-strong standalone-debug strict-aliasing strict-enums strict-flex-arrays
        strict-float-cast-overflow strict-overflow strict-return strict-vtable-pointers template-backtrace-limit
        template-depth threadsafe-statics tls-model trapping-math trapv tree-slp-vectorize tree-vectorize trigraphs
        trivial-auto-var-init unroll-loops unsafe-math-optimizations unsigned-char unwind-tables use-cxa-atexit
        vectorize verbose-asm visibility visibility-inlines-hidden visibility-ms-compat wrapv writable-strings
        zero-call-used-regs""",
    ),
    (Effect.BOTH, "PIC pic PIE pie fp-contract fp-model"),
    (
        Effect.LOWERING,
        """addrsig binutils-version data-sections emulated-tls function-sections integrated-as unique-section-names
        use-init-array zero-initialized-in-bss""",
    ),
)
_FEATURE_PREFIXES = _table(
    (Effect.FRONT_END, "builtin- diagnostics- template-depth-"),
    (Reason.LTO, "lto thinlto thin-link whole-program-vtables split-lto-unit virtual-function-el fat-lto unified-lto"),
    (Reason.SANITIZER, "sanitize experimental-sanitize"),
    (
        Reason.PROFILE,
        """profile coverage test-coverage cs-profile memory-profile auto-profile sample-profile
        pseudo-probe debug-info-for-profiling order-file""",
    ),
    (Reason.INSTRUMENTED, "instrument xray patchable-function"),
    (Reason.PLUGIN, "plugin pass-plugin"),
    (Reason.MODULES, "module cxx-modules implicit-module prebuilt- builtin-module-map system-module build-session"),
    (Reason.OFFLOAD, "openmp-targets openmp-offload openmp-target openmp-new-driver offload gpu- cuda- sycl hip-"),
    (Reason.EMBEDDED_BITCODE, "embed-"),
    (Reason.PRECOMPILED_HEADER, "pch-"),
    (
        Reason.SIDE_OUTPUT,
        """time-trace time-report save-optimization-record optimization-record proc-stat-report stack-usage
        debug-pass-manager dump-""",
    ),
)

# -mNAME, -mno-NAME, -mNAME=VALUE.
_MACHINE = _table(
    (
        Effect.FRONT_END,
        """fpmath function-return harden-sls implicit-float long-double-128 long-double-64 long-double-80 lvi-cfi
        lvi-hardening ms-bitfields omit-leaf-frame-pointer prefer-vector-width recip red-zone regparm retpoline
        retpoline-external-thunk skip-rax-setup speculative-load-hardening stack-alignment stack-protector-guard
        stack-protector-guard-offset stack-protector-guard-reg stack-protector-guard-symbol stackrealign
        tls-direct-seg-refs""",
    ),
    (
        Effect.BOTH,
        """64 3dnow 80387 adx aes arch bmi bmi2 clflushopt clwb cmodel crc32 cx16 f16c fma fma4 fsgsbase fxsr
        general-regs-only gfni lwp lzcnt mmx movbe pclmul pku popcnt prfchw rdrnd rdseed sahf sha shstk soft-float
        ssse3 tbm tune vaes vpclmulqdq waitpkg x87 xop xsave xsavec xsaveopt xsaves""",
    ),
    (Reason.TARGET, "16 32 x32 iamcu abi"),
    (Reason.PROFILE, "fentry record-mcount nop-mcount"),
)

SOURCE_SUFFIXES = frozenset({".c", ".cc", ".cp", ".cpp", ".cxx", ".c++", ".C", ".CC", ".CPP", ".CXX", ".i", ".ii"})
HEADER_SUFFIXES = frozenset({".h", ".hh", ".hp", ".hpp", ".hxx", ".h++", ".H"})


def lookup(argument: str) -> tuple[Rule, bool]:
    """The rule of one flag, and whether the next argument is its value."""
    for table, takes_next in ((_EXACT, False), (_SEPARATE, True), (_JOINED_OR_SEPARATE, True)):
        if argument in table:
            return table[argument], takes_next
    if argument.startswith("-Wp,"):
        return _preprocessor_rule(argument.split(",")[1:]), False
    for prefix, rule in _ALL_PREFIXES:
        if argument.startswith(prefix):
            return rule, False
    if argument.startswith("-f"):
        return _feature_rule(argument[2:]), False
    if argument.startswith("-m"):
        return _MACHINE.get(_name(argument[2:]), _machine_family(argument[2:])), False
    return Reason.UNKNOWN_FLAG, False


def _name(option: str) -> str:
    return option.removeprefix("no-").partition("=")[0]


def _feature_rule(option: str) -> Rule:
    name = _name(option)
    if name in _FEATURES:
        return _FEATURES[name]
    for prefix, rule in _FEATURE_PREFIXES.items():
        if name.startswith(prefix):
            # -fno-lto and its like ask for the ordinary state; an earlier -flto has been noted by itself.
            return Effect.FRONT_END if option.startswith("no-") else rule
    return Reason.UNKNOWN_FLAG


def _machine_family(option: str) -> Rule:
    return Effect.BOTH if _name(option).startswith(("avx", "sse")) else Reason.UNKNOWN_FLAG


def _preprocessor_rule(pieces: Sequence[str]) -> Rule:
    """-Wp,…: definitions go to the front end, dependency files are clang's own matter, anything else is a doubt."""
    if pieces and all(piece[:2] in ("-D", "-U", "-I") and len(piece) > 2 for piece in pieces):
        return Effect.FRONT_END
    rest = iter(pieces)
    for piece in rest:
        if piece in ("-MD", "-MMD", "-MF", "-MT", "-MQ"):
            if next(rest, None) is None:
                return Reason.UNKNOWN_FLAG
        elif piece != "-MP":
            return Reason.UNKNOWN_FLAG
    return Effect.CLANG_ONLY
