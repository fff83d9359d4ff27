"""Find and load libLLVM, and declare every C function that this project calls.

Sources: llvm-c/{Core,BitReader,BitWriter,IRReader,Analysis,TargetMachine,Target,Support,ErrorHandling}.h and
llvm-c/Transforms/PassBuilder.h of LLVM 17.
"""

from __future__ import annotations

import ctypes
import glob
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from llm_compiler.errors import ToolchainError

MINIMUM_MAJOR = 17

_P = ctypes.c_void_p
_S = ctypes.c_char_p
_I = ctypes.c_int
_U = ctypes.c_uint
_Z = ctypes.c_size_t
_OUT = ctypes.POINTER(ctypes.c_void_p)

# name: (restype, argtypes). Strings that LLVM allocates are typed c_void_p: c_char_p would lose the address to free.
_PROTOTYPES: dict[str, tuple[Any, list[Any]]] = {
    "LLVMGetVersion": (None, [ctypes.POINTER(_U), ctypes.POINTER(_U), ctypes.POINTER(_U)]),
    "LLVMDisposeMessage": (None, [_P]),
    "LLVMContextCreate": (_P, []),
    "LLVMContextDispose": (None, [_P]),
    "LLVMContextSetDiscardValueNames": (None, [_P, _I]),
    "LLVMContextSetDiagnosticHandler": (None, [_P, _P, _P]),
    "LLVMGetDiagInfoDescription": (_P, [_P]),
    "LLVMGetDiagInfoSeverity": (_I, [_P]),
    "LLVMCreateMemoryBufferWithMemoryRangeCopy": (_P, [_S, _Z, _S]),
    "LLVMGetBufferStart": (_P, [_P]),
    "LLVMGetBufferSize": (_Z, [_P]),
    "LLVMDisposeMemoryBuffer": (None, [_P]),
    "LLVMParseIRInContext": (_I, [_P, _P, _OUT, _OUT]),
    "LLVMParseBitcodeInContext2": (_I, [_P, _P, _OUT]),
    "LLVMWriteBitcodeToMemoryBuffer": (_P, [_P]),
    "LLVMPrintModuleToString": (_P, [_P]),
    "LLVMDisposeModule": (None, [_P]),
    "LLVMVerifyModule": (_I, [_P, _I, _OUT]),
    "LLVMVerifyFunction": (_I, [_P, _I]),
    "LLVMGetTarget": (_P, [_P]),
    "LLVMSetTarget": (None, [_P, _S]),
    "LLVMGetModuleFlag": (_P, [_P, _S, _Z]),
    "LLVMMetadataAsValue": (_P, [_P, _P]),
    "LLVMAddModuleFlag": (None, [_P, _I, _S, _Z, _P]),
    "LLVMInt32TypeInContext": (_P, [_P]),
    "LLVMConstInt": (_P, [_P, ctypes.c_ulonglong, _I]),
    "LLVMValueAsMetadata": (_P, [_P]),
    "LLVMPrintValueToString": (_P, [_P]),
    "LLVMGetNamedFunction": (_P, [_P, _S]),
    "LLVMReplaceAllUsesWith": (None, [_P, _P]),
    "LLVMSetValueName2": (None, [_P, _S, _Z]),
    "LLVMGetFirstFunction": (_P, [_P]),
    "LLVMGetNextFunction": (_P, [_P]),
    "LLVMIsDeclaration": (_I, [_P]),
    "LLVMGetValueName2": (_P, [_P, ctypes.POINTER(_Z)]),
    "LLVMGetLinkage": (_I, [_P]),
    "LLVMSetLinkage": (None, [_P, _I]),
    "LLVMGetFirstUse": (_P, [_P]),
    "LLVMGetFirstBasicBlock": (_P, [_P]),
    "LLVMGetNextBasicBlock": (_P, [_P]),
    "LLVMGetFirstInstruction": (_P, [_P]),
    "LLVMGetNextInstruction": (_P, [_P]),
    "LLVMGetEnumAttributeKindForName": (_U, [_S, _Z]),
    "LLVMGetEnumAttributeAtIndex": (_P, [_P, _U, _U]),
    "LLVMGetModuleInlineAsm": (_P, [_P, ctypes.POINTER(_Z)]),
    "LLVMGetModuleDataLayout": (_P, [_P]),
    "LLVMABISizeOfType": (ctypes.c_ulonglong, [_P, _P]),
    "LLVMABIAlignmentOfType": (_U, [_P, _P]),
    "LLVMOffsetOfElement": (ctypes.c_ulonglong, [_P, _P, _U]),
    "LLVMTypeOf": (_P, [_P]),
    "LLVMGetTypeKind": (_I, [_P]),
    "LLVMTypeIsSized": (_I, [_P]),
    "LLVMInt8TypeInContext": (_P, [_P]),
    "LLVMGetIntTypeWidth": (_U, [_P]),
    "LLVMGetPointerAddressSpace": (_U, [_P]),
    "LLVMGetElementType": (_P, [_P]),
    "LLVMArrayType2": (_P, [_P, ctypes.c_uint64]),
    "LLVMGetArrayLength2": (ctypes.c_uint64, [_P]),
    "LLVMGetVectorSize": (_U, [_P]),
    "LLVMGetStructName": (_S, [_P]),
    "LLVMIsPackedStruct": (_I, [_P]),
    "LLVMCountStructElementTypes": (_U, [_P]),
    "LLVMStructGetTypeAtIndex": (_P, [_P, _U]),
    "LLVMGetReturnType": (_P, [_P]),
    "LLVMIsFunctionVarArg": (_I, [_P]),
    "LLVMCountParamTypes": (_U, [_P]),
    "LLVMGetParamTypes": (None, [_P, _OUT]),
    "LLVMGetValueKind": (_I, [_P]),
    "LLVMGetNextUse": (_P, [_P]),
    "LLVMGetUser": (_P, [_P]),
    "LLVMStripModuleDebugInfo": (_I, [_P]),
    "LLVMSetSourceFileName": (None, [_P, _S, _Z]),
    "LLVMGetInstructionParent": (_P, [_P]),
    "LLVMGetBasicBlockParent": (_P, [_P]),
    "LLVMGetNumOperands": (_I, [_P]),
    "LLVMGetOperand": (_P, [_P, _U]),
    "LLVMIsAConstantInt": (_P, [_P]),
    "LLVMConstIntGetSExtValue": (ctypes.c_longlong, [_P]),
    "LLVMGetConstOpcode": (_I, [_P]),
    "LLVMIsConstantString": (_I, [_P]),
    "LLVMGetAsString": (_P, [_P, ctypes.POINTER(_Z)]),
    "LLVMGetFirstGlobal": (_P, [_P]),
    "LLVMGetNextGlobal": (_P, [_P]),
    "LLVMGetNamedGlobal": (_P, [_P, _S]),
    "LLVMGetInitializer": (_P, [_P]),
    "LLVMIsGlobalConstant": (_I, [_P]),
    "LLVMIsThreadLocal": (_I, [_P]),
    "LLVMGetAlignment": (_U, [_P]),
    "LLVMGlobalGetValueType": (_P, [_P]),
    "LLVMGetFirstGlobalAlias": (_P, [_P]),
    "LLVMGetNextGlobalAlias": (_P, [_P]),
    "LLVMAliasGetAliasee": (_P, [_P]),
    "LLVMGetFunctionCallConv": (_U, [_P]),
    "LLVMGetParam": (_P, [_P, _U]),
    "LLVMGetInstructionOpcode": (_I, [_P]),
    "LLVMGetInstructionCallConv": (_U, [_P]),
    "LLVMGetNumArgOperands": (_U, [_P]),
    "LLVMGetCalledValue": (_P, [_P]),
    "LLVMGetCalledFunctionType": (_P, [_P]),
    "LLVMGetAllocatedType": (_P, [_P]),
    "LLVMGetGEPSourceElementType": (_P, [_P]),
    "LLVMGetVolatile": (_I, [_P]),
    "LLVMGetOrdering": (_I, [_P]),
    "LLVMGetAttributeCountAtIndex": (_U, [_P, _U]),
    "LLVMGetAttributesAtIndex": (None, [_P, _U, _OUT]),
    "LLVMGetCallSiteAttributeCount": (_U, [_P, _U]),
    "LLVMGetCallSiteAttributes": (None, [_P, _U, _OUT]),
    "LLVMIsEnumAttribute": (_I, [_P]),
    "LLVMIsTypeAttribute": (_I, [_P]),
    "LLVMGetEnumAttributeKind": (_U, [_P]),
    "LLVMGetEnumAttributeValue": (ctypes.c_uint64, [_P]),
    "LLVMGetTypeAttributeValue": (_P, [_P]),
    "LLVMGetMDKindIDInContext": (_U, [_P, _S, _U]),
    "LLVMHasMetadata": (_I, [_P]),
    "LLVMGetMetadata": (_P, [_P, _U]),
    "LLVMGetMDNodeNumOperands": (_U, [_P]),
    "LLVMGetMDNodeOperands": (None, [_P, _OUT]),
    "LLVMGetNSW": (_I, [_P]),
    "LLVMGetNUW": (_I, [_P]),
    "LLVMCreateEnumAttribute": (_P, [_P, _U, ctypes.c_uint64]),
    "LLVMAddAttributeAtIndex": (None, [_P, _U, _P]),
    "LLVMAddFunction": (_P, [_P, _S, _P]),
    "LLVMFunctionType": (_P, [_P, _OUT, _U, _I]),
    "LLVMVoidTypeInContext": (_P, [_P]),
    "LLVMInt1TypeInContext": (_P, [_P]),
    "LLVMCreateBuilderInContext": (_P, [_P]),
    "LLVMDisposeBuilder": (None, [_P]),
    "LLVMPositionBuilderBefore": (None, [_P, _P]),
    "LLVMBuildSub": (_P, [_P, _P, _P, _S]),
    "LLVMBuildICmp": (_P, [_P, _I, _P, _P, _S]),
    "LLVMBuildIsNotNull": (_P, [_P, _P, _S]),
    "LLVMBuildCall2": (_P, [_P, _P, _P, _OUT, _U, _S]),
    "LLVMCreatePassBuilderOptions": (_P, []),
    "LLVMDisposePassBuilderOptions": (None, [_P]),
    "LLVMRunPasses": (_P, [_P, _S, _P, _P]),
    "LLVMGetErrorMessage": (_P, [_P]),
    "LLVMDisposeErrorMessage": (None, [_P]),
    "LLVMGetTargetFromTriple": (_I, [_S, _OUT, _OUT]),
    "LLVMCreateTargetMachine": (_P, [_P, _S, _S, _S, _I, _I, _I]),
    "LLVMSetTargetMachineAsmVerbosity": (None, [_P, _I]),
    "LLVMDisposeTargetMachine": (None, [_P]),
    "LLVMTargetMachineEmitToMemoryBuffer": (_I, [_P, _P, _I, _OUT, _OUT]),
    "LLVMParseCommandLineOptions": (None, [_I, ctypes.POINTER(_S), _S]),
}

# cl::ResetAllOptionOccurrences has no C binding; it is exported by every libLLVM since 3.x and takes no arguments.
_RESET_OPTIONS = "_ZN4llvm2cl25ResetAllOptionOccurrencesEv"
# cl::ParseCommandLineOptions(int, const char *const *, StringRef, raw_ostream *, const char *, bool): the C binding
# gives it a null stream for its errors, with which it ignores an unknown option in silence; without one it exits.
_PARSE_OPTIONS = "_ZN4llvm2cl23ParseCommandLineOptionsEiPKPKcNS_9StringRefEPNS_11raw_ostreamES2_b"

_TARGET_PARTS = ("TargetInfo", "Target", "TargetMC", "AsmPrinter", "AsmParser")


@dataclass(frozen=True)
class FoundLibrary:
    """A libLLVM on this machine: where it is and how it was found (`LLMC_LIBLLVM`, `wheel` or `system`)."""

    path: Path
    origin: str


class Library:
    """A loaded libLLVM. `lib.LLVMRunPasses(…)` calls straight into C with the declared types."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._dll = ctypes.CDLL(str(path))
        except OSError as error:
            raise ToolchainError(f"cannot load {path}: {error}; point LLMC_LIBLLVM at a libLLVM of version 17 or newer"
                                 ) from error
        for name, (restype, argtypes) in _PROTOTYPES.items():
            try:
                function = getattr(self._dll, name)
            except AttributeError as error:
                raise ToolchainError(
                    f"{path} has no {name}: it is not a libLLVM of version {MINIMUM_MAJOR} or newer; unset LLMC_LIBLLVM"
                ) from error
            function.restype, function.argtypes = restype, argtypes
            setattr(self, name, function)
        if self.version[0] < MINIMUM_MAJOR:
            raise ToolchainError(f"{path} is LLVM {self.version_text}; version {MINIMUM_MAJOR} or newer is needed")
        self._reset_options: Callable[[], None] | None = getattr(self._dll, _RESET_OPTIONS, None)
        self._parse_options: Any = getattr(self._dll, _PARSE_OPTIONS, None)
        if self._parse_options is not None:
            self._parse_options.restype = ctypes.c_bool
            self._parse_options.argtypes = [_I, ctypes.POINTER(_S), _S, _Z, _P, _S, ctypes.c_bool]
        for target in self.targets:
            for part in _TARGET_PARTS:
                initialise = getattr(self._dll, f"LLVMInitialize{target}{part}", None)
                if initialise is not None:
                    initialise()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} is not declared in llvm/library.py")

    @cached_property
    def version(self) -> tuple[int, int, int]:
        """(major, minor, patch)"""
        parts = [_U(), _U(), _U()]
        self.LLVMGetVersion(*(ctypes.byref(part) for part in parts))
        major, minor, patch = (int(part.value) for part in parts)
        return major, minor, patch

    @property
    def version_text(self) -> str:
        return ".".join(map(str, self.version))

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Back ends in this library, by the names of their initialisers (`X86`, `AArch64` …)."""
        known = ("X86", "AArch64", "ARM", "RISCV", "WebAssembly", "Mips", "PowerPC", "SystemZ", "AMDGPU", "NVPTX",
                 "AVR", "BPF", "Hexagon", "Lanai", "LoongArch", "MSP430", "Sparc", "VE", "XCore")
        return tuple(name for name in known if hasattr(self._dll, f"LLVMInitialize{name}TargetInfo"))

    @property
    def can_reset_options(self) -> bool:
        """Whether options set by `set_options` can be taken back in the same process."""
        return self._reset_options is not None

    def set_options(self, options: tuple[str, ...]) -> None:
        """Set LLVM's command-line options for the whole process, after taking back the ones set before.

        LLVM itself ends the process with exit code 1 on an unknown or malformed option: call this in a worker only.
        A library that exports no cl::ParseCommandLineOptions passes over unknown ones.
        """
        if self._reset_options is not None:
            self._reset_options()
        if not options:
            return
        words = [b"llmc", *(option.encode() for option in options)]
        argv = (_S * len(words))(*words)
        if self._parse_options is not None:
            self._parse_options(len(words), argv, b"", 0, None, None, False)
        else:
            self.LLVMParseCommandLineOptions(len(words), argv, b"")

    def take_string(self, address: int | None) -> str:
        """Copy a string that LLVM allocated, and free it."""
        if not address:
            return ""
        text = ctypes.string_at(address).decode(errors="replace")
        self.LLVMDisposeMessage(address)
        return text

    def option_names(self) -> frozenset[str]:
        """Lower-case strings of the library that could be names of passes or options."""
        return _strings(self.path)


def _candidates() -> Iterator[FoundLibrary]:
    prefix = Path(sys.prefix)
    for pattern in ("lib/libLLVM-17.so", "lib/libLLVM-*.so", "lib/libLLVM.so*"):
        for name in sorted(glob.glob(str(prefix / pattern))):
            yield FoundLibrary(Path(name), "wheel")
    for folder in ("/usr/lib/llvm-*/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/local/lib", "/usr/lib"):
        for name in sorted(glob.glob(f"{folder}/libLLVM*.so*")):
            yield FoundLibrary(Path(name), "system")


def found_libraries() -> list[FoundLibrary]:
    """Every libLLVM that could be used, the preferred one first, each file once."""
    found: list[FoundLibrary] = []
    named = os.environ.get("LLMC_LIBLLVM")
    if named:
        found.append(FoundLibrary(Path(named), "LLMC_LIBLLVM"))
    seen: set[Path] = set()
    for item in _candidates():
        real = item.path.resolve()
        match = re.search(r"libLLVM[-.a-z]*(\d+)", real.name)
        if real in seen or not real.exists() or (match and int(match.group(1)) < MINIMUM_MAJOR):
            continue
        seen.add(real)
        found.append(item)
    return found


@lru_cache(maxsize=1)
def load() -> Library:
    """The libLLVM in use: the one named by LLMC_LIBLLVM, else the wheel's, else the system's.

    Raises ToolchainError when there is none.
    """
    libraries = found_libraries()
    if not libraries:
        raise ToolchainError("no libLLVM was found: `pip install karellen-llvm-core==17.0.6.0`, or set LLMC_LIBLLVM")
    return Library(libraries[0].path)


@lru_cache(maxsize=2)
def _strings(path: Path) -> frozenset[str]:
    data = path.read_bytes()
    return frozenset(text.decode() for text in re.findall(rb"(?<=\x00)[a-z][a-z0-9-]{1,48}(?=[\x00<])", data))
