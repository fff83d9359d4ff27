"""Contexts and modules: parse, print, verify, count, run passes. Errors of LLVM become `LlvmError`."""

from __future__ import annotations

import ctypes
import hashlib
import re
import weakref
from types import TracebackType
from typing import Any, Self

from llm_compiler.errors import InputError, PipelineError
from llm_compiler.llvm.library import Library

_DIAGNOSTIC = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_AVAILABLE_EXTERNALLY, _WEAK_ODR = 1, 6
_DISCARDABLE = (2, 3, 8, 9)  # LLVMLinkage: linkonce, linkonce_odr, internal, private
_RETURN_STATUS = 2  # LLVMVerifierFailureAction
BITCODE_MAGIC = (b"BC\xc0\xde", b"\xde\xc0\x17\x0b")

REFUSED = "the verifier refuses the result"
"""What is said of code that passes have broken, whoever finds out."""


class Context:
    """An LLVMContext; one a job, closed with everything in it."""

    def __init__(self, lib: Library) -> None:
        self.lib = lib
        self.messages: list[str] = []
        self._handle: int | None = lib.LLVMContextCreate()
        messages = self.messages

        def on_diagnostic(info: int, _: Any) -> None:
            if lib.LLVMGetDiagInfoSeverity(info) == 0:
                messages.append(lib.take_string(lib.LLVMGetDiagInfoDescription(info)))

        self._callback = _DIAGNOSTIC(on_diagnostic)  # referenced as long as LLVM may call it
        lib.LLVMContextSetDiagnosticHandler(self._handle, ctypes.cast(self._callback, ctypes.c_void_p), None)
        self._modules: weakref.WeakSet[Module] = weakref.WeakSet()

    @property
    def handle(self) -> int:
        if self._handle is None:
            raise ValueError("the context is closed")
        return self._handle

    def parse(self, data: bytes, name: str = "input") -> Module:
        """A module from bitcode or from IR text. Raises InputError with LLVM's own message."""
        self.messages.clear()
        lib = self.lib
        buffer = lib.LLVMCreateMemoryBufferWithMemoryRangeCopy(data, len(data), name.encode())
        out, message = ctypes.c_void_p(), ctypes.c_void_p()
        binary = data[:4] in BITCODE_MAGIC
        # As clang does: names cost time and, through tie-breaks, now and then a byte. IR text cannot do without.
        lib.LLVMContextSetDiscardValueNames(self.handle, int(binary))
        if binary:
            failed = lib.LLVMParseBitcodeInContext2(self.handle, buffer, ctypes.byref(out))
            lib.LLVMDisposeMemoryBuffer(buffer)
        else:
            failed = lib.LLVMParseIRInContext(self.handle, buffer, ctypes.byref(out), ctypes.byref(message))
        text = lib.take_string(message.value)
        if failed or not out.value:
            reason = text or "; ".join(self.messages) or "it is neither LLVM bitcode nor LLVM IR"
            raise InputError(f"{name}: LLVM {lib.version_text} cannot read it: {' '.join(reason.split())}")
        module = Module(self, out.value)
        self._modules.add(module)
        return module

    def close(self) -> None:
        if self._handle is not None:
            for module in list(self._modules):
                module.close()
            self.lib.LLVMContextDispose(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


class Module:
    """An LLVM module; it belongs to its context and is closed with it."""

    def __init__(self, context: Context, handle: int) -> None:
        self.context = context
        self.lib = context.lib
        self._handle: int | None = handle

    @property
    def handle(self) -> int:
        if self._handle is None:
            raise ValueError("the module is closed")
        return self._handle

    def close(self) -> None:
        if self._handle is not None:
            self.lib.LLVMDisposeModule(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @property
    def triple(self) -> str:
        return (ctypes.string_at(self.lib.LLVMGetTarget(self.handle)) or b"").decode()

    @triple.setter
    def triple(self, text: str) -> None:
        self.lib.LLVMSetTarget(self.handle, text.encode())

    def flag(self, name: str) -> int | None:
        """An integer module flag such as `PIC Level`; None when it is absent."""
        lib = self.lib
        metadata = lib.LLVMGetModuleFlag(self.handle, name.encode(), len(name))
        if not metadata:
            return None
        # The C API reads no integer out of metadata; it prints one, as `i32 2`.
        value = lib.LLVMMetadataAsValue(self.context.handle, metadata)
        match = re.fullmatch(r"i\d+ (-?\d+)", lib.take_string(lib.LLVMPrintValueToString(value)))
        return int(match.group(1)) if match else None

    def add_flag(self, name: str, value: int) -> None:
        """Add an integer module flag that is absent; modules that differ in it cannot be linked."""
        lib = self.lib
        number = lib.LLVMConstInt(lib.LLVMInt32TypeInContext(self.context.handle), value, 0)
        lib.LLVMAddModuleFlag(self.handle, 0, name.encode(), len(name), lib.LLVMValueAsMetadata(number))

    def functions(self) -> list[int]:
        """Handles of the functions that have a body."""
        lib, found = self.lib, []
        function = lib.LLVMGetFirstFunction(self.handle)
        while function:
            if not lib.LLVMIsDeclaration(function):
                found.append(function)
            function = lib.LLVMGetNextFunction(function)
        return found

    def count_instructions(self) -> int:
        """IR instructions in all bodies."""
        return sum(self.count_in(function) for function in self.functions())

    def count_in(self, function: int, limit: int | None = None) -> int:
        """IR instructions of one function; counting stops at `limit`."""
        lib, count = self.lib, 0
        block = lib.LLVMGetFirstBasicBlock(function)
        while block:
            instruction = lib.LLVMGetFirstInstruction(block)
            while instruction:
                count += 1
                if count == limit:
                    return count
                instruction = lib.LLVMGetNextInstruction(instruction)
            block = lib.LLVMGetNextBasicBlock(block)
        return count

    def name_of(self, value: int) -> str:
        """The name of a function or global."""
        length = ctypes.c_size_t()
        address = self.lib.LLVMGetValueName2(value, ctypes.byref(length))
        return ctypes.string_at(address, length.value).decode(errors="replace")

    def functions_with_attribute(self, name: str) -> list[str]:
        """Names of the functions with a body that carry an enum attribute such as `optnone`."""
        lib = self.lib
        kind = lib.LLVMGetEnumAttributeKindForName(name.encode(), len(name))
        found = []
        for function in self.functions():
            if lib.LLVMGetEnumAttributeAtIndex(function, 0xFFFFFFFF, kind):
                found.append(self.name_of(function))
        return found

    def discardable_functions(self) -> list[str]:
        """Names of static and inline functions with a body that something refers to, in the order of the module.

        Functions whose source has settled their inlining are left out.
        """
        lib = self.lib
        settled = {name for attribute in ("noinline", "alwaysinline", "optnone")
                   for name in self.functions_with_attribute(attribute)}
        names = [self.name_of(function) for function in self.functions()
                 if lib.LLVMGetLinkage(function) in _DISCARDABLE and lib.LLVMGetFirstUse(function)]
        return [name for name in names if name not in settled]

    def emit_inline_copies(self) -> None:
        """Give functions that are defined elsewhere, too (C's `inline`), a weak definition of this module's own."""
        for function in self.functions():
            if self.lib.LLVMGetLinkage(function) == _AVAILABLE_EXTERNALLY:
                self.lib.LLVMSetLinkage(function, _WEAK_ODR)

    def verify(self) -> str | None:
        """What LLVM's verifier says against a module as it was read; None when nothing. After passes: check_result."""
        message = ctypes.c_void_p()
        broken = self.lib.LLVMVerifyModule(self.handle, _RETURN_STATUS, ctypes.byref(message))
        text = self.lib.take_string(message.value)
        return text or "the module is broken" if broken else None

    def check_result(self) -> None:
        """Verify what passes have left. Raises PipelineError, which names the first function that is broken.

        Passes that break code (structurizecfg, over landing pads) leave uses of values that are freed. Printing them,
        as the verifier's messages do, crashes, and writing them gives other bitcode from run to run, now and then some
        that can be read. So this comes before any writing, and asks for a verdict only.
        """
        lib = self.lib
        if not lib.LLVMVerifyModule(self.handle, _RETURN_STATUS, None):
            return
        # The verdict is on debug information, too. Whoever reads it in bitcode drops it all when it is broken.
        if self.flag("Debug Info Version") is not None:
            lib.LLVMStripModuleDebugInfo(self.handle)
            if not lib.LLVMVerifyModule(self.handle, _RETURN_STATUS, None):
                return
        broken = next((function for function in self.functions()
                       if lib.LLVMVerifyFunction(function, _RETURN_STATUS)), None)
        raise PipelineError(REFUSED if broken is None else f"{REFUSED}: function '{self.name_of(broken)}' is broken")

    def run_passes(self, pipeline: str, target_machine: int | None) -> None:
        """Run a pipeline in place. Raises PipelineError when LLVM does not take the text."""
        lib = self.lib
        options = lib.LLVMCreatePassBuilderOptions()
        try:
            error = lib.LLVMRunPasses(self.handle, pipeline.encode(), target_machine, options)
        finally:
            lib.LLVMDisposePassBuilderOptions(options)
        if error:
            address = lib.LLVMGetErrorMessage(error)
            text = ctypes.string_at(address).decode(errors="replace")
            lib.LLVMDisposeErrorMessage(address)
            raise PipelineError(text)

    def bitcode(self) -> bytes:
        return _take_buffer(self.lib, self.lib.LLVMWriteBitcodeToMemoryBuffer(self.handle))

    def text(self) -> str:
        """The module as IR text."""
        return self.lib.take_string(self.lib.LLVMPrintModuleToString(self.handle))

    def emit(self, target_machine: int, *, assembly: bool = False) -> bytes:
        """Lower to an object (or assembly). The module is changed by it and must not be used afterwards.

        Raises InputError with LLVM's message.
        """
        self._spell_bcmp_as_memcmp()
        message, buffer = ctypes.c_void_p(), ctypes.c_void_p()
        failed = self.lib.LLVMTargetMachineEmitToMemoryBuffer(
            target_machine, self.handle, 0 if assembly else 1, ctypes.byref(message), ctypes.byref(buffer)
        )
        text = self.lib.take_string(message.value)
        if failed or not buffer.value:
            raise InputError(f"lowering failed: {' '.join(text.split())}")
        if self.context.messages:
            self.lib.LLVMDisposeMemoryBuffer(buffer)
            raise InputError(f"lowering failed: {' '.join(self.context.messages[0].split())}")
        return _take_buffer(self.lib, buffer.value)


    def _spell_bcmp_as_memcmp(self) -> None:
        # LLVMTargetMachineEmit… lowers with library information for no triple, in which bcmp does not exist, so that
        # the back end expands no bcmp inline as clang does. It expands memcmp, and alike: the call takes equal room.
        lib = self.lib
        bcmp = lib.LLVMGetNamedFunction(self.handle, b"bcmp")
        if not bcmp or not lib.LLVMIsDeclaration(bcmp):
            return
        memcmp = lib.LLVMGetNamedFunction(self.handle, b"memcmp")
        if memcmp:
            lib.LLVMReplaceAllUsesWith(bcmp, memcmp)
        else:
            lib.LLVMSetValueName2(bcmp, b"memcmp", 6)


def _take_buffer(lib: Library, buffer: int) -> bytes:
    data = ctypes.string_at(lib.LLVMGetBufferStart(buffer), lib.LLVMGetBufferSize(buffer))
    lib.LLVMDisposeMemoryBuffer(buffer)
    return data


def digest(data: bytes) -> str:
    """32 hexadecimal digits that identify bitcode or an object."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
