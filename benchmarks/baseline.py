"""Does in process equal clang? Over real files, section by section.

    python benchmarks/baseline.py --files 220

The baseline of `deploy` is clang's own object by construction; what is proved here is that the figures of the search
are comparable to it: clang's own -Oz bitcode lowered in process against `clang -Oz -c`, and the pipeline written out
(data/oz-17.txt) and `default<Oz>` as text, run and lowered in process, against it too.

LLVM's C API knows neither -ffunction-sections nor .init_array: where a package asks for the one, or C++ for the other,
equal bytes stand under other names. `folded` sums sections up by the first part of their names, .ctors as .init_array.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from corpus import sample, units
from llm_compiler.errors import LlmcError
from llm_compiler.llvm import frontend, registry
from llm_compiler.llvm.job import Inspection, Job
from llm_compiler.llvm.objectfile import measure
from llm_compiler.llvm.oz import oz_pipeline
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.target import X86_64, Lowering
from llm_compiler.llvm.worker import WorkerPool


def fold(sections: tuple[tuple[str, int], ...]) -> dict[str, int]:
    """Bytes by the first part of the names."""
    sums: dict[str, int] = {}
    for name, size in sections:
        first = ".".join(name.split(".")[:2]).replace(".ctors", ".init_array").replace(".gcc_except_table", ".except")
        sums[first] = sums.get(first, 0) + size
    return sums


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=220)
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    oz = oz_pipeline(registry.load())
    ways = {
        "clang's -Oz bitcode, lowered in process": PassList(),
        "the -Oz pipeline written out": oz,
        "default<Oz> as text": PassList.parse("default<Oz>"),
    }
    equal = dict.fromkeys(ways, 0)
    folded = dict.fromkeys(ways, 0)
    totals = dict.fromkeys(ways, 0)
    files = base = 0
    with tempfile.TemporaryDirectory() as name, WorkerPool(2) as pool:
        folder = Path(name)
        for unit in sample(units(), arguments.files, arguments.seed):
            clang = frontend.clang_for(X86_64, frontend.is_cxx(unit.source))
            before, after, object_ = folder / f"{files}.bc", folder / f"{files}.oz.bc", folder / "clang.o"
            try:
                frontend.emit_unoptimised(clang, unit.source, unit.flags, before)
                frontend.emit_optimised(clang, unit.source, unit.flags, after)
                clang.run([*unit.flags, "-Oz", "-c", str(unit.source), "-o", str(object_)])
            except LlmcError as error:
                print(f"{unit.name}: {error}", file=sys.stderr)
                continue
            inspection = pool.inspect(before)
            if not isinstance(inspection, Inspection):
                print(f"{unit.name}: {inspection.message}", file=sys.stderr)
                continue
            lowering = Lowering(inspection.triple, relocation=inspection.relocation, code_model=inspection.code_model)
            expected = measure(object_.read_bytes())
            files += 1
            base += expected.total
            for way, passes in ways.items():
                job = Job(before if passes.passes else after, Candidate(passes), lowering)
                measured = pool.run(job).measurement
                if measured is not None and measured.size is not None:
                    equal[way] += measured.size.sections == expected.sections
                    alike = fold(measured.size.sections) == fold(expected.sections)
                    folded[way] += alike
                    totals[way] += measured.size.total
                    if not passes.passes and not alike:
                        print(f"{unit.name}: {fold(expected.sections)} but {fold(measured.size.sections)}",
                              file=sys.stderr)
            before.unlink()
            after.unlink()
    print(f"| {files} files, {base:,} bytes by clang -Oz -c | equal section by section | equal, folded | bytes |\n"
          "|---|---|---|---|")
    for way in ways:
        print(f"| {way} | {equal[way]} | {folded[way]} | {totals[way]:,} ({100 * (totals[way] / base - 1):+.3f} %) |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
