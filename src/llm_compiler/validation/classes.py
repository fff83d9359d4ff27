"""Classes of pointers: which values may be equal, what is known of what they point to, and how that spreads.

Pointers that one function mixes are one class, after Steensgaard, "Points-to analysis in almost linear time" (POPL
1996). Between functions, and through fields, classes are not merged but linked: `free` and `void *` would make one
class of everything. A class keeps the types that its own uses show; one without any takes those of its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from llm_compiler.llvm.walk import FunctionType, Type, TypeKind

_LARGEST_COPY = 1 << 16


@dataclass(slots=True)
class Callee:
    """Code that pointers of a class lead to: where it was called or, with `call` false, the function itself.

    rooms: of a call, bytes that are left in the local variable that each argument points into, else 0.
    """

    type: FunctionType
    parameters: list[int | None]
    result: int | None
    site: int
    call: bool
    rooms: tuple[int, ...] = ()


class Classes:
    """Nodes are numbers, each in a class; None stands for null, undef and what has no pointer."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._hints: dict[int, dict[Type, int]] = {}
        self._behind: dict[int, int] = {}
        self._code: dict[int, list[Callee]] = {}
        self._accesses: dict[int, list[int]] = {}
        self._struct_accesses: dict[Type, list[int]] = {}
        self._copied: dict[int, int] = {}
        self._cells: dict[tuple[Type, int], int] = {}
        self._links: list[tuple[int, int]] = []
        self._truths: set[int] = set()
        self._known: dict[int, int] = {}
        self._best: dict[int, Type | FunctionType] = {}
        # Classes that pass on nothing that they got from others: of functions whose callers disagree, and of free.
        self._shy: set[int] = set()
        self._mute: set[int] = set()

    # --- building

    def new(self, hint: Type | None = None) -> int:
        node = len(self._parent)
        self._parent.append(node)
        if hint is not None:
            self.hint(node, hint)
        return node

    def _find(self, node: int) -> int:
        parent = self._parent
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    def union(self, one: int | None, other: int | None) -> None:
        pending = [(one, other)]
        while pending:
            one, other = pending.pop()
            if one is None or other is None:
                continue
            kept, gone = self._find(one), self._find(other)
            if kept == gone:
                continue
            self._parent[gone] = kept
            for hint, count in self._hints.pop(gone, {}).items():
                self.hint(kept, hint, count)
            plain, volatile = self._accesses.pop(gone, (0, 0))
            if plain or volatile:
                counts = self._accesses.setdefault(kept, [0, 0])
                counts[0] += plain
                counts[1] += volatile
            if gone in self._code:
                self._code.setdefault(kept, []).extend(self._code.pop(gone))
            behind = self._behind.pop(gone, None)
            if behind is not None:
                pending.append((self._behind.setdefault(kept, behind), behind))

    def hint(self, node: int | None, hint: Type, count: int = 1) -> None:
        if node is not None and hint.size:
            hints = self._hints.setdefault(self._find(node), {})
            hints[hint] = hints.get(hint, 0) + count

    def link(self, one: int | None, other: int | None) -> None:
        if one is not None and other is not None and one != other:
            self._links.append((one, other))

    def behind_of(self, node: int | None) -> int | None:
        """`behind`, made when there is none."""
        if node is None:
            return None
        root = self._find(node)
        found = self._behind.get(root)
        if found is None:
            found = self._behind[root] = self.new()
        return found

    def called(self, node: int | None, callee: Callee) -> None:
        """Note code that a class leads to."""
        if node is not None:
            self._code.setdefault(self._find(node), []).append(callee)

    def accessed(self, node: int | None, volatile: bool) -> None:
        """Note a load or store through a class."""
        if node is not None:
            self._accesses.setdefault(self._find(node), [0, 0])[volatile] += 1

    def truth(self, node: int | None) -> None:
        """Note that what is loaded through a class, or kept in the field of a cell, is 0 or 1."""
        if node is not None:
            self._truths.add(node)

    def copied(self, node: int | None, length: int | None) -> None:
        """Note that bytes of any type are moved through a class: so many, or None when their number varies."""
        if node is not None:
            self._copied[node] = max(self._copied.get(node, 0), min(length or 0, _LARGEST_COPY))

    def cell(self, struct: Type, offset: int) -> int:
        """The node of the pointers kept in a field, made when there is none."""
        found = self._cells.get((struct, offset))
        if found is None:
            found = self._cells[struct, offset] = self.new()
        return found

    # --- what was found

    def pointee(self, node: int | None) -> tuple[int, Type | FunctionType] | None:
        """(class, type) of what a node points to: the class whose uses showed the type; None when nothing did."""
        known = None if node is None else self._known.get(self._find(node))
        return None if known is None else (known, self._best[known])

    def behind(self, node: int) -> int | None:
        """The node of the pointers that lie where a node points."""
        return self._behind.get(self._find(node))

    def code(self, node: int) -> Callee:
        """How code of a class is called; only for a class whose pointee is a function type."""
        return self._code[self._find(node)][0]

    def callees(self) -> Iterable[Callee]:
        """Code that is called through pointers, once per class."""
        return [callees[0] for callees in self._code.values() if callees[0].call]

    def is_volatile(self, node: int | None) -> bool:
        """Whether every load and store through a class is volatile, and there is one."""
        plain, volatile = self._accesses.get(self._find(node), (0, 0)) if node is not None else (0, 0)
        return volatile > 0 and not plain

    def is_volatile_struct(self, struct: Type) -> bool:
        """Whether every load and store through pointers to a struct is volatile, and there is one."""
        plain, volatile = self._struct_accesses.get(struct, (0, 0))
        return volatile > 0 and not plain

    def holds_truth(self, node: int | None) -> bool:
        """Whether a load through a class, or of the field of a cell, promised 0 or 1."""
        return node is not None and self._find(node) in self._truths

    # --- conclusions

    def settle(self, shy: Iterable[int], mute: Iterable[int], bytes_type: Callable[[int], Type]) -> None:
        """Conclude; no node may be merged or linked afterwards.

        Types do not spread on from the classes of `shy` nodes when neighbours disagree on them, never from those of
        `mute` nodes; `bytes_type` gives [n x i8], and i8 for 1.
        """
        self._join_code()
        self._join_first_fields()
        neighbours = self._neighbours()
        for root in (*self._hints, *self._code):
            self._known[root] = root
        for root in self._known:
            self._best[root] = self._code[root][0].type if root in self._code else _best(self._hints[root])
        self._shy = {self._find(node) for node in shy}
        self._mute = {self._find(node) for node in mute} - set(self._known)
        self._spread(neighbours)
        self._adopt_structs(neighbours)
        # Bytes are the last resort: what a copy moves is most often known by other uses.
        lengths: dict[int, int] = {}
        for node, length in self._copied.items():
            root = self._find(node)
            if root not in self._known:
                lengths[root] = max(lengths.get(root, 0), length)
        for root, length in lengths.items():
            self._known[root] = root
            self._best[root] = bytes_type(max(length, 1))
        self._spread(neighbours)
        self._truths = {self._find(node) for node in self._truths}
        for root, counts in self._accesses.items():
            struct = self._best.get(self._known.get(root, -1))
            if isinstance(struct, Type) and struct.kind == TypeKind.STRUCT:
                sums = self._struct_accesses.setdefault(struct, [0, 0])
                sums[0] += counts[0]
                sums[1] += counts[1]

    def _spread(self, neighbours: dict[int, list[int]]) -> None:
        """Give classes without a type those of their neighbours, the nearest first."""
        frontier = list(self._known)
        while frontier:
            reached = dict.fromkeys(other for root in frontier for other in neighbours.get(root, ()))
            found: dict[int, int] = {}
            for root in reached:
                if root in self._known:
                    continue
                votes = self._votes(other for other in neighbours[root] if other not in self._mute)
                if votes:
                    found[root] = votes[0][1][0]
                    if len(votes) > 1 and root in self._shy:
                        self._mute.add(root)
            self._known.update(found)
            frontier = list(found)

    def _adopt_structs(self, neighbours: dict[int, list[int]]) -> None:
        """C++ reads the table of an object's virtual functions through the object's own address, as any pointer."""
        for root, hints in self._hints.items():
            if root in self._code or _best(hints).kind != TypeKind.POINTER:
                continue
            for best, voters in self._votes(neighbours.get(root, ()))[:1]:
                first = best.field_at(0) if isinstance(best, Type) else None
                if first and first[2].element.kind == TypeKind.POINTER:
                    self._known[root] = voters[0]

    def _votes(self, classes: Iterable[int]) -> list[tuple[Type | FunctionType, list[int]]]:
        """What classes point to, with those that showed it, the most frequent first; then the largest."""
        votes: dict[Type | FunctionType, list[int]] = {}
        for root in classes:
            known = self._known.get(root)
            if known is not None:
                votes.setdefault(self._best[known], []).append(known)
        return sorted(votes.items(), key=lambda vote: (-len(vote[1]), -_size(vote[0])))

    def _join_code(self) -> None:
        """Leave one callee a class: what its call sites and functions have in common. Rooms are those of all calls of
        code of the same type, since pointers to it may come from other classes.
        """
        rooms: dict[FunctionType, list[tuple[int, ...]]] = {}
        for callee in (callee for callees in self._code.values() for callee in callees if callee.call):
            rooms.setdefault(callee.type, []).append(callee.rooms)
        for root, callees in list(self._code.items()):
            called = [callee for callee in callees if callee.call] or callees
            counts: dict[FunctionType, int] = {}
            for callee in called:
                counts[callee.type] = counts.get(callee.type, 0) + 1
            type_ = max(counts, key=lambda found: counts[found])
            alike = [callee for callee in callees if callee.type is type_]
            site = next(callee for callee in called if callee.type is type_)
            joined = Callee(type_, [], None, site.site, site.call, _least(rooms.get(type_, ())))
            for index, parameter in enumerate(type_.parameters):
                node = self.new() if parameter.kind == TypeKind.POINTER else None
                joined.parameters.append(node)
                for callee in alike:
                    self.link(node, callee.parameters[index])
            if type_.result.kind == TypeKind.POINTER:
                joined.result = self.new()
                for callee in alike:
                    self.link(joined.result, callee.result)
            self._code[root] = [joined]

    def _join_first_fields(self) -> None:
        """A pointer at the start of a struct may be read through the struct's own address."""
        for root, behind in list(self._behind.items()):
            hints = self._hints.get(root)
            field_ = _best(hints).field_at(0) if hints else None
            if field_ and field_[2].element.kind == TypeKind.POINTER:
                self.link(behind, self.cell(*field_[:2]))

    def _neighbours(self) -> dict[int, list[int]]:
        """Linked classes. What lies behind two linked classes is linked, and so is how their code is called."""
        found: dict[int, list[int]] = {}
        seen: set[tuple[int, int]] = set()
        pending = self._links
        while pending:
            following: list[tuple[int, int]] = []
            for one, other in pending:
                one, other = self._find(one), self._find(other)
                if one == other or (one, other) in seen:
                    continue
                seen |= {(one, other), (other, one)}
                found.setdefault(one, []).append(other)
                found.setdefault(other, []).append(one)
                if one in self._behind and other in self._behind:
                    following.append((self._behind[one], self._behind[other]))
                if one in self._code and other in self._code:
                    left, right = self._code[one][0], self._code[other][0]
                    if left.type is right.type:
                        pairs = zip((*left.parameters, left.result), (*right.parameters, right.result), strict=True)
                        following += [(a, b) for a, b in pairs if a is not None and b is not None]
            pending = following
        return found


def _least(rooms: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """For each argument the least room that a call leaves, of those that leave any."""
    return tuple(min(filter(None, sizes), default=0) for sizes in zip(*rooms, strict=True))


def _size(type_: Type | FunctionType) -> int:
    return type_.size if isinstance(type_, Type) else 0


def _best(hints: dict[Type, int]) -> Type:
    """The largest struct, one with a name before others, else the most frequent type."""
    structs = [hint for hint in hints if hint.kind == TypeKind.STRUCT]
    if structs:
        return max(structs, key=lambda hint: (bool(hint.name), hint.size, len(hint.elements), hint.name))
    return max(hints, key=lambda hint: (hints[hint], hint.size, hint.text))
