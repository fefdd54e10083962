#!/usr/bin/env python3
"""The C++ blocks of the guides as sources that the tests compile.

A block of C++ in a guide has a comment of HTML in the line above its fence, which names its snippet:

    <!-- snippet: NAME [needs=LIBRARY] [scope=file] [run=no] -->

Blocks of one name are one function, in their order; their includes come first in the source. What they use and do not
declare is in tests/snippets/NAME.hpp, in the namespace snippets::NAME, in which the function is, too. With scope=file a
block stands outside of functions and namespaces as it is. The snippets of one library are one source, whose main()
runs them unless they say run=no; those of the library cuda are a source for nvcc, without main().

A block without such a comment, a fence of an unknown language, and a name without its header are errors.
"""

import argparse
import pathlib
import re
import sys

CPP = {"cpp", "c++", "cc", "cxx", "hpp", "cuda", "cu"}
OTHER = {"sh", "bash", "console", "cmake", "text", "json", "python", ""}
COMMENT = re.compile(r"<!--\s*snippet:\s*(\w+)((?:\s+\w+=\w+)*)\s*-->\s*$")
ATTRIBUTES = {"needs": None, "scope": {"file", "function"}, "run": {"yes", "no"}}
LIBRARIES = {"core", "libtorch", "mpi", "c10d", "cuda"}
# What a block that forgot its language has and a listing of output has not.
LOOKS_LIKE_CPP = re.compile(r"^\s*#include\s*[<\"]|\bemend::.*[;{]\s*(//.*)?$", re.MULTILINE)


class Block:
    def __init__(self, guide, line, name, attributes, lines):
        self.guide, self.line, self.name, self.lines = guide, line, name, lines
        self.needs = attributes.get("needs", "core")
        self.is_file_scope = attributes.get("scope") == "file"
        self.is_run = attributes.get("run", "yes") == "yes"


def blocks_of(root, guide, errors):
    """The blocks of one guide."""
    lines = (root / guide).read_text(encoding="utf-8").split("\n")
    blocks, at = [], 0
    while at < len(lines):
        fence = re.match(r"\s*(```+|~~~+)\s*(.*?)\s*$", lines[at])
        if not fence:
            at += 1
            continue
        start, end = at, at + 1
        while end < len(lines) and not re.match(r"\s*" + re.escape(fence[1]) + r"\s*$", lines[end]):
            end += 1
        where = f"{guide}:{start + 1}"
        if end == len(lines):
            errors.append(f"{where}: a block without an end")
        body = lines[start + 1 : end]
        at = end + 1
        language = fence[2].split(" ")[0].lower()
        comment = COMMENT.search(lines[start - 1]) if start > 0 else None
        if language not in CPP:
            if language not in OTHER:
                errors.append(f"{where}: a block of the unknown language '{language}'")
            elif comment or LOOKS_LIKE_CPP.search("\n".join(body)) and language in {"", "text"}:
                errors.append(f"{where}: a block of C++ that does not say so; write ```cpp")
            continue
        if not comment:
            errors.append(f"{where}: a block of C++ without <!-- snippet: NAME --> in the line above")
            continue
        attributes = dict(word.split("=") for word in comment[2].split())
        for key, value in attributes.items():
            if key not in ATTRIBUTES or (ATTRIBUTES[key] and value not in ATTRIBUTES[key]):
                errors.append(f"{where}: an unknown attribute, {key}={value}")
        block = Block(guide, start + 2, comment[1], attributes, body)
        if block.needs not in LIBRARIES:
            errors.append(f"{where}: an unknown library, needs={block.needs}")
        blocks.append(block)
    return blocks


def source_of(root, library, blocks, folder, errors):
    """One source of all snippets of a library."""
    includes, text, functions, runs = [], [], {}, []

    def numbered(block, lines):
        return [f'#line {block.line} "{block.guide}"'] + lines

    for block in blocks:
        hoisted = [line.strip() for line in block.lines if line.lstrip().startswith("#include")]
        includes += [line for line in hoisted if line not in includes]
        rest = ["" if line.lstrip().startswith("#include") else line for line in block.lines]
        if block.is_file_scope:
            text += numbered(block, rest)
            continue
        if block.name not in functions:
            functions[block.name] = []
            if block.is_run:
                runs.append(block.name)
        functions[block.name] += numbered(block, rest)
    prologues = []
    for name in functions:
        header = folder / f"{name}.hpp"
        if header.exists():
            prologues.append(f"#include <snippets/{name}.hpp>")
        else:
            where = next(f"{b.guide}:{b.line}" for b in blocks if b.name == name)
            errors.append(f"{where}: no header {header.relative_to(root)} for the snippet {name}")
    text = includes + prologues + text
    for name, lines in functions.items():
        text += [f"namespace snippets::{name} {{", "void snippet() {", *lines, "}", "}"]
    if library != "cuda":
        text += ["int main() {", *(f"snippets::{name}::snippet();" for name in runs), "}"]
    return "\n".join(text) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, required=True, help="the repository")
    parser.add_argument("--output", type=pathlib.Path, help="folder of the sources; without it the guides are checked")
    arguments = parser.parse_args()
    root, errors = arguments.root.resolve(), []
    guides = sorted(
        path.relative_to(root)
        for pattern in ("*.md", "include/**/*.md", "backends/**/*.md", "examples/**/*.md", "bench/**/*.md", "tests/**/*.md")
        for path in root.glob(pattern)
    )
    blocks = [block for guide in guides for block in blocks_of(root, guide, errors)]
    folder = root / "tests" / "snippets"
    used = {block.name for block in blocks if not block.is_file_scope}
    for header in folder.glob("*.hpp"):
        if header.stem not in used:
            errors.append(f"{header.relative_to(root)}: no guide has a snippet of that name")
    for name in used:
        if len({block.needs for block in blocks if block.name == name}) > 1:
            errors.append(f"the snippet {name} needs two libraries")
    sources = {}
    for library in sorted(LIBRARIES):
        of_library = [block for block in blocks if block.needs == library]
        sources[library] = source_of(root, library, of_library, folder, errors)
    for error in errors:
        print(error, file=sys.stderr)
    if errors:
        return 1
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        for library, text in sources.items():
            path = arguments.output / f"snippets_{library}.{'cu' if library == 'cuda' else 'cpp'}"
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")
    else:
        print(f"{len(blocks)} blocks of C++ in {len(guides)} guides")
    return 0


if __name__ == "__main__":
    sys.exit(main())
