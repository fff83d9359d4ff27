"""IR with fewer tokens, for models of our own, and back: `expand(compact(x))` is the same code.

Compact IR leaves out what can be told from the rest, and turns defaults round: what is nearly always there is left
out, and its absence is written. Every line is expanded again when it is made, and kept as LLVM prints it when the two
differ. What does not come back: comments, the source's name, `!llvm.ident`, `!srcloc`, the numbers of attribute groups
and of metadata, metadata that nothing refers to, and the order of declarations. All else does, value names included.

    header        x86-64 Linux and its data layout go without saying
    attributes    `#[+a -b]`: the difference from what clang -Oz gives a definition, a declaration or a call
    declarations  left out when they say what the first call says; those of intrinsics when there is a call
    noundef       goes without saying for arguments, intrinsics aside; `?` before an argument without it
    align         left out of loads, stores and allocas when it is the type's
    br, switch    without `label`; load, store, gep without `ptr`; lifetimes as `life` and `dead`
    metadata      `!int`, `!p` …: clang's usual TBAA tags, `!t4`: tag !4; `!loop`: a loop that must progress
    module flags  `flags pic`, `flags pie`: clang's usual sets
    strings       `@.str = str "…"`: private unnamed_addr constant, zero-terminated
    '             begins a line that is as LLVM prints it, attribute groups written out
"""

from llm_compiler.tasks.compact.compaction import compact
from llm_compiler.tasks.compact.expansion import expand
from llm_compiler.tasks.compact.header import LAYOUTS

__all__ = ["LAYOUTS", "compact", "expand"]
