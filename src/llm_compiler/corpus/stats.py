"""What a corpus holds, in tables and plots: `llmc corpus stats`. Reads manifests and reports, no rows of shards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llm_compiler.corpus.shards import MANIFEST, Manifest, shard_metadata
from llm_compiler.errors import InputError

_PLOTTED = 40  # packages in a plot


@dataclass
class PackageStats:
    """seen, captured: compilations of the build, as far as its report tells. bytes: of the shards of modules."""

    package: str
    version: str = ""
    how: str = ""
    dsc: str = ""  # of a Debian source package
    dsc_sha256: str = ""
    split: str = ""
    seen: int | None = None
    captured: int | None = None
    modules: int = 0
    bytes: int = 0
    candidates: int = 0
    kept: int = 0
    exact_duplicates: int = 0
    near_duplicates: int = 0
    refused: int = 0

    @property
    def share(self) -> float | None:
        """Captured of the compilations seen."""
        return None if self.seen is None or self.captured is None or not self.seen else self.captured / self.seen


@dataclass
class CorpusStats:
    """counts: of the functions' manifest; empty before that stage."""

    packages: list[PackageStats]
    counts: dict[str, Any] = field(default_factory=dict)
    functions_bytes: int = 0
    datasets: dict[str, dict[str, int]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        packages = [{**asdict(package), "share": package.share} for package in self.packages]
        return {"packages": packages, "functions": self.counts, "functions_bytes": self.functions_bytes,
                "datasets": self.datasets}

    @property
    def captured_share(self) -> float | None:
        """Captured of the compilations seen, over all packages whose reports tell."""
        known = [package for package in self.packages if package.share is not None]
        seen = sum(package.seen or 0 for package in known)
        return sum(package.captured or 0 for package in known) / seen if seen else None


def collect(corpus: Path) -> CorpusStats:
    """Raises InputError when the folder holds no corpus."""
    modules = corpus / "modules"
    if not modules.is_dir():
        raise InputError(f"{corpus} holds no corpus (no folder modules/); name one with --corpus, or record a build")
    packages: dict[str, PackageStats] = {}
    for shard in sorted(modules.glob("*.parquet")):
        share = shard.stat().st_size
        told = shard_metadata(shard).get("packages", [])
        rows = sum(entry[3] for entry in told) or 1
        for name, version, _, count in told:
            package = packages.setdefault(name, PackageStats(name, version))
            package.modules += count
            package.bytes += share * count // rows
    for report in sorted(modules.glob("*.json")):
        if report.name != MANIFEST:
            _add_report(packages, report)
    if not packages:
        raise InputError(f"{corpus} holds no modules yet; record a build or add sources first")
    stats = CorpusStats([packages[name] for name in sorted(packages)])
    if (corpus / "functions" / MANIFEST).exists():
        manifest = Manifest.read(corpus / "functions")
        stats.counts = manifest.counts
        sizes = manifest.counts.get("instructions", {})  # JSON has them in the order of the alphabet
        stats.counts["instructions"] = {name: sizes[name] for name in sorted(
            sizes, key=lambda name: (int(name.strip("<=>")), name.startswith(">")))}
        stats.functions_bytes = sum(shard.bytes for shard in manifest.shards)
        for name, counts in manifest.counts.get("by_package", {}).items():
            if name in packages:
                _add_counts(packages[name], counts)
        for name, split in manifest.counts.get("split_of", {}).items():
            if name in packages:
                packages[name].split = split
    for path in sorted((corpus / "datasets").glob(f"*/{MANIFEST}")):
        found = Manifest.read(path.parent)
        stats.datasets[path.parent.name] = {"rows": sum(shard.rows for shard in found.shards),
                                            "bytes": sum(shard.bytes for shard in found.shards)}
    return stats


def _add_report(packages: dict[str, PackageStats], path: Path) -> None:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path} is no report of a package; delete it and record the package again") from error
    if not isinstance(content, dict) or "package" not in content:
        return
    package = packages.setdefault(content["package"], PackageStats(content["package"], content.get("version", "")))
    package.how = ", ".join(content.get("how", ()))
    parameters = content.get("parameters", {})
    package.dsc, package.dsc_sha256 = parameters.get("dsc", ""), parameters.get("dsc_sha256", "")
    commands = content.get("commands", {})
    if commands.get("seen"):
        package.seen, package.captured = commands["seen"], commands.get("captured", 0)


def _add_counts(package: PackageStats, counts: Mapping[str, int]) -> None:
    for name in ("candidates", "kept", "exact_duplicates", "near_duplicates"):
        setattr(package, name, counts.get(name, 0))
    package.refused = _refused(counts)


def _refused(counts: Mapping[str, int]) -> int:
    """Functions, for whatever reason."""
    return sum(number for name, number in counts.items() if name.startswith("refused_"))


# --- tables ----------------------------------------------------------------------------------------------------------


def tables(stats: CorpusStats) -> str:
    """Plain text: packages, then totals by split and language, reasons for refusal, sizes."""
    rows = [("package", "version", "split", "seen", "captured", "share", "modules", "MB", "functions", "exact dup.",
             "near dup.", "refused", "kept")]
    for one in stats.packages:
        rows.append((one.package, one.version, one.split, _number(one.seen), _number(one.captured), _percent(one.share),
                     str(one.modules), f"{one.bytes / 1e6:.1f}", str(one.candidates), str(one.exact_duplicates),
                     str(one.near_duplicates), str(one.refused), str(one.kept)))
    parts = [_table(rows, 3)]
    counts = stats.counts
    total = [f"{len(stats.packages)} packages, {sum(one.modules for one in stats.packages)} modules, "
             f"{sum(one.bytes for one in stats.packages) / 1e6:.1f} MB"]
    if stats.captured_share is not None:
        total.append(f"captured: {_percent(stats.captured_share)} of the compilations that the packages' reports name")
    if counts:
        total.append(f"functions: {counts.get('candidates', 0)} found, {counts.get('unique', 0)} unique by hash, "
                     f"{counts.get('near_duplicates', 0)} near duplicates, {counts.get('kept', 0)} kept "
                     f"({stats.functions_bytes / 1e6:.1f} MB)")
        refused = [f"{number} by {name.removeprefix('refused_')}" for name, number in counts.items()
                   if name.startswith("refused_")]
        total.append(f"refused: {', '.join(refused) or 'none'}")
        total.append(f"modules: {counts.get('modules_kept', 0)} kept, {counts.get('modules_duplicate', 0)} duplicates, "
                     f"{counts.get('modules_refused', 0)} refused")
    parts.append("\n".join(total))
    for title, key in (("split", "by_split"), ("language", "by_language")):
        if counts.get(key):
            head = (title, "modules", "functions", "exact dup.", "near dup.", "refused", "kept")
            names = ("modules", "candidates", "exact_duplicates", "near_duplicates", "refused", "kept")
            found = {name: {**each, "refused": _refused(each)} for name, each in counts[key].items()}
            parts.append(_table([head, *((name, *(str(each.get(column, 0)) for column in names))
                                         for name, each in found.items())], 1))
    if counts.get("instructions"):
        parts.append(_table([("instructions", "functions"),
                             *((name, str(number)) for name, number in counts["instructions"].items())], 1))
    if stats.datasets:
        parts.append(_table([("dataset", "rows", "MB"), *((name, str(found["rows"]), f"{found['bytes'] / 1e6:.1f}")
                                                        for name, found in stats.datasets.items())], 1))
    return "\n\n".join(parts)


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def _table(rows: Sequence[Sequence[str]], left: int) -> str:
    """Aligned columns; the first `left` are text."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) if column < left else cell.rjust(width)
                               for column, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
                     for row in rows)


# --- plots -----------------------------------------------------------------------------------------------------------


def plot(stats: CorpusStats, folder: Path) -> list[Path]:
    """PNG files: function sizes, functions by package, captured share, duplicates; those that there are numbers for.

    Raises InputError without matplotlib.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise InputError("plots need matplotlib; pip install 'llm-compiler[corpus]'") from error
    matplotlib.use("agg")
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    sizes = stats.counts.get("instructions", {})
    if sizes:
        written.append(_bars(folder / "function-sizes.png", "Functions by IR instructions", list(sizes),
                             {"functions": list(sizes.values())}))
    largest = sorted((one for one in stats.packages if one.kept), key=lambda one: -one.kept)[:_PLOTTED]
    if largest:
        written.append(_bars(folder / "functions-by-package.png", "Functions kept", [one.package for one in largest],
                             {"kept": [one.kept for one in largest]}))
    known = [one for one in stats.packages if one.share is not None][:_PLOTTED]
    if known:
        written.append(_bars(folder / "captured-share.png", "Compilations captured, %", [one.package for one in known],
                             {"captured": [100 * (one.share or 0.0) for one in known]}))
    many = sorted((one for one in stats.packages if one.candidates), key=lambda one: -one.candidates)[:_PLOTTED]
    if many:
        names = [one.package for one in many]
        series = {"kept": [one.kept for one in many], "near duplicates": [one.near_duplicates for one in many],
                  "exact duplicates": [one.exact_duplicates for one in many], "refused": [one.refused for one in many]}
        written.append(_bars(folder / "duplicates.png", "Functions found", names, series))
    return written


def _bars(path: Path, title: str, names: Sequence[str], series: Mapping[str, Sequence[float]]) -> Path:
    """Stacked horizontal bars, the first name on top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.22 * len(names)), layout="constrained")
    axes = figure.subplots()
    bottom = [0.0] * len(names)
    for label, values in series.items():
        axes.barh(range(len(names)), values, left=bottom, label=label)
        bottom = [start + value for start, value in zip(bottom, values, strict=True)]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_title(title)
    if len(series) > 1:
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    return path
