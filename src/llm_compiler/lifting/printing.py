"""A settled function as the text of an LLVM-IR module."""

from __future__ import annotations

import re
from collections.abc import Sequence

from llm_compiler.lifting.calls import KNOWN, Call
from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.instructions import Instructions
from llm_compiler.lifting.operands import name_of
from llm_compiler.lifting.settle import Settled
from llm_compiler.lifting.values import Value, bits, signed

_HEAD = '''target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"
'''
_WORDS = ('"min-legal-vector-width"="0" "no-trapping-math"="true" "stack-protector-buffer-size"="8" '
          '"target-cpu"="x86-64" "target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic"')
_EXTENDED = ("i1", "i8", "i16")  # what callers extend


def printed(settled: Settled) -> str:
    """Raises LiftError for what has no text."""
    return _Printer(settled).module()


class _Printer(Instructions):
    def module(self) -> str:
        settled, graph = self.settled, self.graph
        parameters = []
        for item in settled.parameters:
            if item == "...":
                parameters.append("...")
                continue
            name = self._fresh()
            if isinstance(item, Value):
                self.names[id(item)] = name
                ext = " zeroext" if item.type == "i1" else ""
                parameters.append(f"{self._type(item)}{ext} {name}")
            else:
                parameters.append(f"{item} {name}")
        bodies: dict[int, list[str]] = {}
        order = [index for index in range(len(graph.blocks)) if index in graph.filled and (
            index == 0 or graph.predecessors[index])]
        for index in order:  # phis first, so that uses ahead have names
            phis = sorted((value for value in graph.blocks[index] if value.op == "phi"), key=_rank)
            graph.blocks[index] = [*phis, *(value for value in graph.blocks[index] if value.op != "phi")]
            for value in phis:
                if value.op == "phi" and id(value) in settled.live:
                    self.names[id(value)] = self._fresh()
        sequence = self._sequence(order)
        for index in sequence:
            self.lines = bodies[index] = []
            for value in graph.blocks[index]:
                if id(value) in settled.live and value.op != "phi":
                    self._value(value)
            self._end(index)
        for index in order:
            bodies[index][:0] = self._phis(index, bodies)
        body = [line for index in order for line in (f"b{index}:", *bodies[index])] + self._common_return()
        first = ["entry:"]
        first += [f"  {name} = alloca {self._object(start)}" for start, name in self.objects.items()]
        body[:1] = first
        result = self._result_word()
        head = (f"define {self._linkage()}{result} {name_of(self.code.name)}({', '.join(parameters)}) "
                f"local_unnamed_addr #0 {{")
        text = "\n".join([head, *body, "}"]).replace("label %b0,", "label %entry,")
        text = re.sub(r"%b0(?!\d)", "%entry", text)
        words = f"minsize nounwind optsize {self._protected()}{self._tables()}{self._frame_pointer()}{_WORDS}"
        group = f"attributes #0 = {{ {words} }}"
        return "\n".join([_HEAD, *self.data.values(), "", text, "", *self.declared.values(), "", group,
                          "attributes #1 = { minsize nounwind optsize }",
                          "attributes #2 = { minsize noreturn nounwind optsize }", ""])

    def _sequence(self, order: Sequence[int]) -> list[int]:
        """Blocks so that definitions come before uses."""
        seen: set[int] = set()
        found: list[int] = []
        stack = [(0, iter(self.graph.successors[0]))]
        seen.add(0)
        while stack:
            index, rest = stack[-1]
            following = next((item for item in rest if item not in seen), None)
            if following is None:
                found.append(index)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(self.graph.successors[following])))
        return found[::-1]

    def _linkage(self) -> str:
        name = self.code.name
        words = self.code.directives
        known = any(word.split(None, 1)[-1].strip('"') == name for word in words
                    if word.startswith((".globl", ".weak")))
        hidden = any(word.startswith(".hidden") and word.split(None, 1)[-1].strip('"') == name for word in words)
        weak = any(word.startswith(".weak") and word.split(None, 1)[-1].strip('"') == name for word in words)
        if not known:
            return "internal "
        return ("weak " if weak else "") + ("hidden " if hidden else "dso_local ")

    def _protected(self) -> str:
        return "sspstrong " if self.settled.machine.frame.guards else ""

    def _tables(self) -> str:
        return "uwtable " if ".cfi_startproc" in self.code.directives else ""

    def _frame_pointer(self) -> str:
        return '"frame-pointer"="all" ' if any(fp is not None for places in self.settled.machine.frame.before
                                               for _, fp in places) else ""

    def _result_word(self) -> str:
        for end in self.graph.ends:
            if end is not None and end.op == "ret" and end.args:
                if len(end.args) == 2:
                    return "{ i64, i64 }"
                values = [item.args[0] for item in self.graph.ends if item is not None and item.op == "ret"]
                if any(id(value) in self.settled.pointers for value in values):
                    return "ptr"
                result = self.settled.result
                extended = result in ("i1", "i16") or (self.settled.choice.extended and result == "i8")
                return f"zeroext {result}" if extended else result
        return "void"

    def _object(self, start: int) -> str:
        frame = self.settled.machine.frame
        size = frame.ends[frame.starts.index(start)] - start
        align = next(align for align in (16, 8, 4, 2, 1) if (start - 8) % align == 0 and size >= align)
        return f"[{size} x i8], align {align}"

    def _call(self, value: Value) -> None:
        call: Call = value.extra
        args = value.args
        if call.callee is not None:
            callee, args = self._use(args[0], "ptr"), args[1:]
        else:
            callee = name_of(call.name)
        shown, types = [], []
        for number, arg in enumerate(args):
            wanted = call.types[number] if number < len(call.types) else self._natural(arg)[0]
            ext = " zeroext" if wanted in _EXTENDED else ""
            shown.append(f"{wanted}{ext} {self._use(arg, wanted)}")
            types.append(f"{wanted}{ext}")
        result = self._call_result(value)
        variadic = call.variadic is not None if call.name not in KNOWN else KNOWN[call.name].variadic
        signature = result = f"zeroext {result}" if result == "i1" else result
        if variadic:
            signature = f"{result} ({', '.join([*types[: call.fixed], '...'])})"
        if call.callee is None:
            parameters = ", ".join([*types[: call.fixed], "..."] if variadic else types)
            self._declare(call.name, result, parameters, call.plt)
        text = f"{'tail ' if call.tail else ''}call {signature} {callee}({', '.join(shown)}) #{2 if call.ends else 1}"
        if result == "void":
            self.lines.append(f"  {text}")
        else:
            self.names[id(value)] = self._emit(text)
        for item in self.pairs.get(id(value), ()):
            part = self._emit(f"extractvalue {{ i64, i64 }} {self.names[id(value)]}, {int(item.extra == 'rdx')}")
            if item.type != "i64":
                part = self._emit(f"trunc i64 {part} to {item.type}")
            elif id(item) in self.settled.pointers:
                part = self._emit(f"inttoptr i64 {part} to ptr")
            self.results[id(item)] = part

    def _call_result(self, value: Value) -> str:
        call: Call = value.extra
        used = [item for block in self.graph.blocks for item in block if item.op == "result" and item.args[0] is value
                and id(item) in self.settled.live]
        used += [item for item in self._loose_results if item.args[0] is value and id(item) in self.settled.live]
        kinds = {id(item): item for item in used}
        if len({item.extra for item in kinds.values()} - {"rdx"}) > 1:
            raise LiftError("a call with two results")
        if any(item.extra == "rdx" for item in kinds.values()):
            self.pairs.update({id(value): list(kinds.values())})
            return "{ i64, i64 }"
        for item in kinds.values():
            return self._type(item)
        return call.result if call.name in KNOWN else "void"

    @property
    def _loose_results(self) -> list[Value]:
        if not hasattr(self, "_results"):
            self._results: list[Value] = []
            seen: set[int] = set()
            for block in self.graph.blocks:
                for item in block:
                    for arg in item.args:
                        if arg.op == "result" and id(arg) not in seen:
                            seen.add(id(arg))
                            self._results.append(arg)
            for end in self.graph.ends:
                for arg in end.args if end is not None else ():
                    if arg.op == "result" and id(arg) not in seen:
                        seen.add(id(arg))
                        self._results.append(arg)
        return self._results

    def _phis(self, index: int, bodies: dict[int, list[str]]) -> list[str]:
        found = []
        before = self.graph.predecessors[index]
        for value in self.graph.blocks[index]:
            if value.op != "phi" or id(value) not in self.settled.live:
                continue
            kind = self._type(value)
            parts = []
            for block, arg in zip(before, value.args, strict=True):
                self.lines = []
                text = self._use(arg, kind)
                bodies[block][-1:-1] = self.lines
                parts.append(f"[ {text}, %b{block} ]")
            found.append(f"  {self.names[id(value)]} = phi {kind} {', '.join(parts)}")
        return found

    def _end(self, index: int) -> None:
        end = self.graph.ends[index]
        assert end is not None
        if end.op == "jump":
            self.lines.append(f"  br label %b{end.extra[0]}")
        elif end.op == "br":
            one, two = end.extra
            condition = end.args[0]
            if one == two:
                self.lines.append(f"  br label %b{one}")
            else:
                if self._inverted(condition):
                    one, two = two, one
                self.lines.append(f"  br i1 {self._use(condition, 'i1')}, label %b{one}, label %b{two}")
        elif end.op == "switch":
            self._switch(end)
        elif end.op == "ret":
            self._return(index, end)
        elif end.op == "trap":
            self._intrinsic("llvm.trap", "void")
            self.lines += ["  call void @llvm.trap()", "  unreachable"]
        else:
            self.lines.append("  unreachable")

    def _return(self, index: int, end: Value) -> None:
        kind = self._result_word().removeprefix("zeroext ")
        text = ""
        if len(end.args) == 2:
            one, two = (self._use(arg, "i64") for arg in end.args)
            first = self._emit(f"insertvalue {kind} poison, i64 {one}, 0")
            text = self._emit(f"insertvalue {kind} {first}, i64 {two}, 1")
        elif end.args:
            text = self._use(end.args[0], kind)
        self.returned.append((text, index))
        self.lines.append("  br label %out" if self.several else f"  ret {kind} {text}".rstrip())

    def _common_return(self) -> list[str]:
        """The one block that clang has for all returns."""
        if not self.several:
            return []
        kind = self._result_word().removeprefix("zeroext ")
        if kind == "void":
            return ["out:", "  ret void"]
        parts = ", ".join(f"[ {text}, %b{index} ]" for text, index in self.returned)
        return ["out:", f"  %result = phi {kind} {parts}", f"  ret {kind} %result"]

    def _switch(self, end: Value) -> None:
        default, places = end.extra
        value = end.args[0]
        add = 0
        if value.op == "add" and value.args[1].constant is not None:
            add = -value.args[1].constant
            value = value.args[0]
        kind = value.type
        text = self._use(value, kind)
        cases = [f"{kind} {signed(number + add, bits(kind))}, label %b{place}" for number, place in enumerate(places)
                 if place != default]
        name = f"%b{default}" if default is not None else "%nowhere"
        self.lines.append(f"  switch {kind} {text}, label {name} [ {' '.join(cases)} ]")
        if default is None:
            raise LiftError("a switch without a check of its range")


def _rank(phi: Value) -> int:
    """Without optimisation, phis get their slots in turn."""
    name = str(phi.extra)
    return int(name.removeprefix("slot")) if name.startswith("slot") else 0
