"""Lowering profiles and target machines."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from enum import StrEnum

from llm_compiler.errors import InputError, ToolchainError
from llm_compiler.llvm.library import Library
from llm_compiler.llvm.module import Module

X86_64 = "x86_64-unknown-linux-gnu"
AARCH64 = "aarch64-unknown-linux-gnu"


class Profile(StrEnum):
    """How objects are lowered.

    deploy: as `clang -Oz` lowers. paper: codegen level -O0, as the reference (arXiv 2407.02524) measures.
    """

    DEPLOY = "deploy"
    PAPER = "paper"

    @property
    def codegen_level(self) -> int:
        """LLVMCodeGenOptLevel: clang -Oz lowers at the default level (2), -O0 at none (0)."""
        return 2 if self is Profile.DEPLOY else 0


@dataclass(frozen=True)
class Lowering:
    """Everything beside the module that decides an object: profile, triple, relocation and code model.

    relocation: LLVMRelocMode (1 static, 2 PIC); code_model: LLVMCodeModel (0 default, 1 JIT default, 2 tiny, 3 small,
    4 kernel, 5 medium, 6 large). external: the command that lowers where the libLLVM in use lacks the target, with
    the words INPUT and OUTPUT in it.
    """

    triple: str = X86_64
    profile: Profile = Profile.DEPLOY
    relocation: int = 2
    code_model: int = 0
    cpu: str = ""
    features: str = ""
    external: tuple[str, ...] = ()


def architecture(triple: str) -> str:
    """`x86_64`, `aarch64` … of a triple."""
    name = triple.split("-")[0]
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def normalise_triple(text: str) -> str:
    """The full triple of a short one (`aarch64-linux-gnu`). Raises InputError for an unknown target."""
    arch = architecture(text)
    if arch == "x86_64":
        return X86_64
    if arch == "aarch64":
        return AARCH64
    raise InputError(f"unknown target '{text}'; use x86_64-linux-gnu or aarch64-linux-gnu")


class TargetMachine:
    """An LLVM target machine for one `Lowering`. Raises ToolchainError when the library lacks the target."""

    def __init__(self, lib: Library, lowering: Lowering) -> None:
        self._lib = lib
        self._handle: int | None = None
        target, message = ctypes.c_void_p(), ctypes.c_void_p()
        failed = lib.LLVMGetTargetFromTriple(lowering.triple.encode(), ctypes.byref(target), ctypes.byref(message))
        text = lib.take_string(message.value)
        if failed:
            raise ToolchainError(f"{lib.path.name} has no target for {lowering.triple} ({text})")
        self._handle = lib.LLVMCreateTargetMachine(
            target, lowering.triple.encode(), lowering.cpu.encode(), lowering.features.encode(),
            lowering.profile.codegen_level, lowering.relocation, lowering.code_model,
        )

    @property
    def handle(self) -> int:
        if self._handle is None:
            raise ValueError("the target machine is closed")
        return self._handle

    def close(self) -> None:
        if self._handle is not None:
            self._lib.LLVMDisposeTargetMachine(self._handle)
            self._handle = None


def lowering_of(module: Module, profile: Profile) -> Lowering:
    """The lowering that clang would choose for a module, from its triple and its flags."""
    pic = module.flag("PIC Level")
    model = module.flag("Code Model")
    # llvm::CodeModel: 0 tiny, 1 small, 2 kernel, 3 medium, 4 large; LLVMCodeModel counts from 2.
    return Lowering(
        triple=module.triple or X86_64,
        profile=profile,
        relocation=2 if pic else 1,
        code_model=0 if model is None else model + 2,
    )
