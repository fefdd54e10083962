#!/usr/bin/env python3
"""Holds the house in order: arrows between folders, instruction sets in one folder, files of a readable length, tests found
by name."""

import argparse
import pathlib
import re
import sys

INSTRUCTION_SET = re.compile(r"__x86_64__|__aarch64__|__AVX|__ARM_|gnu::target|__builtin_ia32|__builtin_cpu|immintrin\.h|arm_neon\.h")
LONGEST = 300
PUBLIC = re.compile(r"^namespace emend \{", re.MULTILINE)


def sources(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix in {".hpp", ".ipp", ".cpp", ".cuh", ".cu"})


def lines_of(table):
    for line in table.read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            yield line


def read_arrows(table):
    """The table as {folder: those that it may include}, and what is wrong with the table itself."""
    arrows, errors = {}, []
    for line in lines_of(table):
        folder, _, targets = line.partition(":")
        for target in targets.split():
            if target not in arrows:
                errors.append(f"{table.name}: {folder} may not include {target}, which does not stand above it")
        arrows[folder.strip()] = set(targets.split())
    return arrows, errors


def check_arrows(base, place, table):
    """base / place: the folder whose folders include each other as <place/FOLDER/..>."""
    arrows, errors = read_arrows(table)
    library = base / place
    include = re.compile(rf'^\s*#\s*include\s*[<"]{place}/(\w+)/[^>"]*[>"]')
    found = {folder: set() for folder in arrows}
    folders = sorted(path.name for path in library.iterdir() if path.is_dir())
    for folder in folders:
        if folder not in arrows:
            errors.append(f"{table.name} has no line for the folder {folder}")
            continue
        for path in sources(library / folder):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                target = include.match(line)
                if not target or target[1] == folder:
                    continue
                found[folder].add(target[1])
                if target[1] not in arrows[folder]:
                    errors.append(f"{path}:{number}: {folder} may not include {target[1]} ({table.name})")
    for folder in arrows.keys() & set(folders):
        for target in sorted(arrows[folder] - found[folder]):
            errors.append(f"{table.name}: nothing in {folder} includes {target}: strike the arrow out")
    return errors


def check_instruction_sets(root):
    errors = []
    for part in ("include", "backends"):
        for path in sources(root / part):
            if root / "include/emend/simd" in path.parents:
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                name = INSTRUCTION_SET.search(line)
                if name:
                    errors.append(f"{path}:{number}: {name[0]} belongs into include/emend/simd")
    return errors


def check_lengths(root, table):
    allowed = {name: int(count) for name, count in (line.split() for line in lines_of(table))}
    errors = []
    for part in ("include", "backends"):
        for path in sources(root / part):
            name, length = path.relative_to(root).as_posix(), len(path.read_text().splitlines())
            most = allowed.pop(name, LONGEST)
            if length > most:
                errors.append(f"{path}: {length} lines, {most} allowed")
            elif most > LONGEST and length <= LONGEST:
                errors.append(f"{table.name}: {name} has {length} lines now: strike it out")
    return errors + [f"{table.name}: there is no {name}" for name in allowed]


def check_tests(root, table):
    """tests/unit/FOLDER/NAME.cpp for every public header, or tests/threads/NAME.cpp; or a line of the table where there
    is none yet."""
    library, untested, errors = root / "include/emend", set(lines_of(table)), []
    headers = [path for path in library.glob("*/*.hpp") if PUBLIC.search(path.read_text())]
    for path in sorted(headers):
        name = path.relative_to(library).with_suffix("").as_posix()
        is_tested = any((root / f"tests/{test}.cpp").exists() for test in (f"unit/{name}", f"threads/{path.stem}"))
        if not is_tested and name not in untested:
            errors.append(f"{path}: no tests/unit/{name}.cpp")
        if is_tested and name in untested:
            errors.append(f"{table.name}: {name} has a test of its name now: strike it out")
        untested.discard(name)
    return errors + [f"{table.name}: there is no public header {name}" for name in sorted(untested)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, required=True, help="the repository")
    root = parser.parse_args().root.resolve()
    tables = pathlib.Path(__file__).resolve().parent
    errors = check_arrows(root / "include", "emend", tables / "arrows.txt")
    errors += check_arrows(root / "backends/libtorch", "emend/libtorch", tables / "arrows_libtorch.txt")
    errors += check_instruction_sets(root)
    errors += check_lengths(root, tables / "long_files.txt")
    errors += check_tests(root, tables / "untested_headers.txt")
    for error in errors:
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
