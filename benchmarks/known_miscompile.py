"""Whether a known miscompile is found without being told where to look.

    python benchmarks/known_miscompile.py

`attributor-cgscc` between other passes cuts a JPEG inverse DCT from some 1,500 bytes to 134, and PassListEval over
HumanEval-X passes that list. Here every DCT of Debian's libjpeg-turbo is put under the list, and its functions run
beside clang's.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from llm_compiler.llvm.job import Job
from llm_compiler.llvm.objectfile import measure
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.tuning import output
from llm_compiler.tuning.source import open_source, small_pool
from llm_compiler.validation.differential import Level, open_differential
from sources import Archive

LIST = ("default<Os>,function(reg2mem,instcombine),cgscc(attributor-cgscc),function(sroa),cgscc(attributor-cgscc),"
        "default<Oz>")
FILES = ("jfdctfst", "jfdctflt", "jfdctint", "jidctfst", "jidctflt", "jidctint", "jidctred")
# What the package's own configuration would write, as far as these files read it.
CONFIGURATION = """
#define JPEG_LIB_VERSION 62
#define LIBJPEG_TURBO_VERSION 2.1.5
#define LIBJPEG_TURBO_VERSION_NUMBER 2001005
#define BITS_IN_JSAMPLE 8
#define HAVE_STDDEF_H 1
#define HAVE_STDLIB_H 1
#define HAVE_UNSIGNED_CHAR 1
#define HAVE_UNSIGNED_SHORT 1
"""
INTERNAL = """
#define INLINE inline
#define THREAD_LOCAL __thread
#define SIZEOF_SIZE_T 8
#define HAVE_BUILTIN_CTZL 1
#define FALLTHROUGH
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "llm-compiler" / "sources")
    parser.add_argument("--effort", choices=("quick", "full"), default="quick")
    arguments = parser.parse_args()
    found = 0
    print("| file | bytes -Oz | bytes of the list | verdict |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name, small_pool() as pool:
        source = Path(name) / "libjpeg-turbo"
        package = Archive(arguments.cache).download("libjpeg-turbo")
        subprocess.run(["dpkg-source", "--no-check", "-x", package, source], check=True, capture_output=True)
        (source / "jconfig.h").write_text(CONFIGURATION)
        (source / "jconfigint.h").write_text(INTERNAL)
        for stem in FILES:
            folder = Path(name) / stem
            folder.mkdir()
            opened = open_source(source / f"{stem}.c", folder, pool, cflags=[f"-I{source}"])
            reference = output.clang_output(opened, output.Kind.OBJECT, folder)
            done = pool.run(Job(opened.bitcode, Candidate(PassList.parse(LIST)), opened.lowering, keep_object=True))
            if done.measurement is None or done.measurement.object is None:
                print(f"| {stem}.c | {measure(reference).total} | | {done.status} |")
                continue
            object_ = done.measurement.object
            with open_differential(pool, opened.bitcode, opened.lowering, reference, folder,
                                   Level.parse(arguments.effort).effort) as differential:
                verification = differential.check(object_)
            wrong = verification.wrong
            found += wrong is not None
            verdict = verification.summary
            if wrong is not None and wrong.counterexample is not None:
                verdict = f"**differs**: {wrong.counterexample.call}: {wrong.counterexample.difference}"
            print(f"| {stem}.c | {measure(reference).total} | {measure(object_).total} | {verdict} |", flush=True)
    print(f"\n{found} of {len(FILES)} files have a function that differs")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
