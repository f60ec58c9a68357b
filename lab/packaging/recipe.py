#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
Reads a recipe as bitbake does, as far as ours goes: assignments, appends, ${...}, inherit and
shell functions.

    recipe.py RECIPE variables NAME=VALUE...    prints NAME<tab>value, expanded, for each variable
    recipe.py RECIPE function NAME NAME=VALUE...    prints the body of a task, expanded

NAME=VALUE is what bitbake's own configuration would set.
"""
import re
import sys


def parse(text):
    """The variables and the functions of a recipe. What is neither is an error."""
    values, functions = {}, {}
    text = re.sub(r"\\\n", " ", text)
    lines = iter(text.split("\n"))
    for line in lines:
        found = re.fullmatch(r'([\w:${}\[\]-]+) *(=\+|\+=|\?=|=) *"(.*)"', line)
        if found:
            name, how, value = found.groups()
            old = values.get(name, "")
            values[name] = {"=": value, "?=": old or value, "+=": f"{old} {value}",
                            "=+": f"{value} {old}"}[how]
        elif line.startswith("inherit "):
            values["inherit"] = values.get("inherit", "") + line[7:]
        elif re.fullmatch(r"\w+\(\) \{", line):
            body = []
            for inner in lines:
                if inner == "}":
                    break
                body.append(inner)
            functions[line[:-4]] = "\n".join(body)
        elif line and line[0] != "#":
            sys.exit(f"recipe.py: no line of a recipe: {line}")
    return values, functions


def expand(text, values):
    """A text with all ${...} replaced; one that nothing sets is an error."""
    def value(found):
        if found[1] not in values:
            sys.exit(f"recipe.py: ${{{found[1]}}} is set by nobody")
        return expand(values[found[1]], values)
    return re.sub(r"\$\{([\w-]+)\}", value, text)


def main():
    recipe, what, *words = sys.argv[1:]
    name = words.pop(0) if what == "function" else None
    values, functions = parse(open(recipe, encoding="utf-8").read())
    given = dict(word.split("=", 1) for word in words)
    given = {key: value for key, value in given.items() if key not in values} | values
    if name:
        print(expand(functions[name], given))
    else:
        for key in values:
            print(expand(key, given), " ".join(expand(values[key], given).split()), sep="\t")


main()
