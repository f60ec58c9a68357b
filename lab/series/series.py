# SPDX-License-Identifier: GPL-2.0
"""
The patch series, made from the overlay and lab/series/.

An overlay file is a new file, kept in this repository at the path it has in a
kernel tree. An edit, lab/series/edits/*.diff, changes a file that the kernel
already has. lab/series/commits/ divides them into commits, in the order of the
file names. Each is a message with a head:

    Subject: misc: cmem: Add the driver
    Files: drivers/misc/cmem include/uapi/linux/cmem.h
    Edits: misc.diff
    Without: drivers/misc/cmem/Kconfig /^config TI_CMEM_KUNIT_TEST/,$d

    Why this is needed.

Files are git pathspecs (globs; a directory stands for all below it). Every overlay
file, every edit and MAINTAINERS.snippet, which becomes a section of the kernel's
MAINTAINERS, belongs to exactly one commit. A file that grows over several commits
belongs to the first of them; a later one says, as a sed -E script, what the file
is like without it.

The overlay and the edits are for the newest of the kernels that lab/kernel/releases names.
What an older one needs differently of the next newer one is in lab/series/v<release>/, see
lab/series/README: backport.diff changes overlay files, renames says which of them are
elsewhere or are left out, and an edit in edits/ takes the place of that of its name. So a
change of the kernel is told of once, at the last release without it, and holds for all
that are older.

Of a kernel that Debian has no source of, the committed series is itself the record: what
stands in its patches around the changes is all of the kernel that a series needs.

A vendor's tree is another one. So the commits that build something change only what they
must, in the kernel's lists and the like (LISTS) with one line around it; what changes
documents and boards is in the last commits, which say that they may be left out.

Nothing depends on when, where or by whom this is run: author and dates are fixed.
"""

import bisect
import email
import email.header
import email.utils
import fnmatch
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
OVERLAY = ("arch", "drivers", "include", "Documentation", "tools")
SNIPPET = "MAINTAINERS.snippet"
FIRST_DATE = datetime(2025, 1, 1, tzinfo=timezone.utc)
MOST_COMMITS = 23
LARGEST_MAIL = 300_000
BASE_LINE = "Base: "
COVER = "0000-cover-letter.txt"     # git am *.patch must not see it
# What builds no driver, or repairs the core, and differs from tree to tree, and what the commits
# that change it say
SPARED = re.compile(r"^(Documentation/|MAINTAINERS$|arch/[^/]*/boot/dts/|(mm|include/linux)/mempolicy|"
                    r"mm/gup\.c$|include/linux/mm\.h$|"
                    r"drivers/dma-buf/dma-heap\.c$)")
# Where the placeholder of the maintainer's name stands
NAMING = ("Documentation/", "tools/cmem/debian/")
MAY_GO = "does not apply, leave it out"
# Lists, and files whose changes stand by themselves
LISTS = re.compile(r"(^|/)(Makefile|Kconfig|MAINTAINERS|[^/]*\.(rst|txt)|contiguous\.c|"
                   r"dma-map-ops\.h|dma-(buf|heap)\.[ch])$")


class Error(Exception):
    """Something is wrong with the series; the message says what and where."""


def releases():
    """
    The kernels that there is a series for, the one that the overlay is for first, and
    where Debian's source of each is (lab/kernel/releases).
    """
    text = (TOP / "lab/kernel/releases").read_text()
    return dict(line.split() for line in text.splitlines() if line and line[0] != "#")


def run(*args, **kwargs):
    """Runs a command and returns what it prints; its complaint becomes an Error."""
    done = subprocess.run(args, text=True, stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.PIPE, **kwargs)
    if done.returncode:
        raise Error(f"{' '.join(map(str, args[:4]))}: {(done.stdout + done.stderr).strip()}")
    return done.stdout


def replace(path, data, permissions=0o644):
    """Gives a file new contents without writing into other links to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(permissions)


def mode(path):
    """The permissions that git would give a file."""
    return 0o755 if os.access(path, os.X_OK) else 0o644


def patch(tree, diff, name, what="the kernel"):
    """Applies a unified diff to a tree; fuzz is an error."""
    try:
        run("patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch", "-s", "-f", "-i", str(diff),
            cwd=tree)
    except Error as e:
        raise Error(f"{name} does not apply to {what}: {e}") from e


def overlay_files(*pathspecs):
    """The overlay's files, or those that the pathspecs name."""
    listed = run("git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard",
                 "--", *(f":(top,glob){p}" for p in pathspecs or OVERLAY), cwd=TOP)
    return sorted({f for f in listed.split("\0") if f and (TOP / f).is_file()
                   and f.partition("/")[0] in OVERLAY})


def edited_files(diff):
    """The paths of the kernel's files that a diff changes."""
    return [line.split("\t")[2] for line in
            run("git", "apply", "--numstat", str(diff), cwd=TOP).splitlines()]


def snippet():
    """The section for MAINTAINERS; lines that begin with # are for readers of the snippet."""
    lines = [line for line in (TOP / SNIPPET).read_text().splitlines() if not line.startswith("#")]
    return "\n".join(lines).strip("\n") + "\n"


def placeholder():
    """Who stands for the maintainer in the overlay and in the snippet."""
    found = re.search(r"^M:\s*(.+ <.+>)$", snippet(), re.M)
    if not found:
        raise Error(f"{SNIPPET}: no 'M:\tname <address>' line to take the series' author from")
    return found[1]


def maintainer():
    """The maintainer, and author of the series: MAINTAINER in the environment, or the placeholder."""
    name = os.environ.get("MAINTAINER") or placeholder()
    # What stands in YAML and in a mail's head as it is, and what git leaves as it is
    if not re.fullmatch(r"[^\W_]([\w .'-]*\w)? <[\w.+-]+@[\w.-]+>", name):
        raise Error(f"MAINTAINER='{name}': must be a name and an address, Name <name@example.org>, "
                    "the name of letters, digits, blanks, . ' and -, and none of these at its end")
    return name


def chosen_release():
    """The release that CMEM_BASE names, as everywhere in the lab."""
    main = next(release for release, where in releases().items() if where == "package")
    release = os.environ.get("CMEM_BASE") or main
    if release not in releases():
        raise Error(f"CMEM_BASE={release}: there is a series for {', '.join(releases())}")
    return release


class Source:
    """A kernel's own files, out of its whole tree."""

    def __init__(self, tree, name):
        self.tree = tree
        self.name = name

    def has(self, path):
        """Tell if the kernel has a file."""
        return (self.tree / path).is_file()

    def read(self, path):
        """A file's contents."""
        if not self.has(path):
            raise Error(f"{self.name} has no {path}; new files are overlay")
        return (self.tree / path).read_bytes()

    def mode(self, path):
        """A file's permissions."""
        return mode(self.tree / path)

    def section_line(self, section):
        """The line of MAINTAINERS that a section belongs before, counted from 0."""
        lines = self.read("MAINTAINERS").decode().splitlines()
        first = lines.index("3C59X NETWORK DRIVER")
        titles = [n for n in range(first, len(lines)) if lines[n] and not lines[n - 1]]
        place = bisect.bisect([lines[n].upper() for n in titles], section.upper())
        return titles[place]

    @staticmethod
    def restore(text):
        """A patch as it was generated: its hashes are the kernel's."""
        return text


class Record:
    """
    A kernel's own files, as far as its committed series shows them. Lines that it does not
    show read as MISSING, so that no edit can apply to them.
    """

    MISSING = "(the series does not show this line)"

    def __init__(self, patches):
        self.name = recorded_base(patches)
        self.lines, self.modes, self.section = {}, {}, None
        self.heads, self.added = {}, set()
        for path in sorted(patches.glob("*.patch")):
            for diff in re.split(r"^(?=diff --git )", path.read_text(), flags=re.M)[1:]:
                self.read_diff(diff)

    def read_diff(self, diff):
        """Takes what a diff shows of a file that was there before it."""
        head, *hunks = re.split(r"^@@ -(\d+)(?:,(\d+))? \+\S+ @@.*\n", diff, flags=re.M)
        path = re.match(r"diff --git a/(\S+) ", head)[1]
        if "new file mode" in head:
            self.added.add(path)
        if path in self.added:
            return
        found = re.search(r"^index .*? (\d+)$", head, re.M)
        self.modes[path] = int(found[1], 8) & 0o777
        self.heads[path] = [found[0], *re.findall(r"^@@ .*$", diff, re.M)]
        lines = self.lines.setdefault(path, [])
        for start, count, text in zip(hunks[0::3], hunks[1::3], hunks[2::3]):
            body = text.split("\n")
            shown = [line for line in body if line[:1] in (" ", "-")]
            shown = shown[:int(count or 1)]
            lines += [self.MISSING] * (int(start) - 1 + len(shown) - len(lines))
            lines[int(start) - 1:] = [line[1:] for line in shown]
            if path == "MAINTAINERS":
                self.section = int(start) - 1 + [line[:1] for line in body].index("+")

    def has(self, path):
        """Tell if the kernel is known to have a file."""
        return path in self.lines

    def read(self, path):
        """What is known of a file, at the lines where it is."""
        if path not in self.lines:
            raise Error(f"{self.name}: what is committed does not show {path}: generate the series "
                        "with a tree, as lab/series/README says")
        return ("\n".join(self.lines[path]) + "\n").encode()

    def mode(self, path):
        """A file's permissions."""
        return self.modes[path]

    def section_line(self, _section):
        """The line of MAINTAINERS that the section was put before, counted from 0."""
        if self.section is None:
            raise Error(f"{self.name}: what is committed does not show MAINTAINERS")
        return self.section

    def restore(self, text):
        """A patch with the hashes and headings that the kernel's whole files give it."""
        diffs = re.split(r"^(?=diff --git )", text, flags=re.M)
        for i, diff in enumerate(diffs):
            path = re.match(r"diff --git a/(\S+) |", diff)[1]
            index, *hunks = self.heads.get(path, [""])
            if index:
                diff = re.sub(r"^index .*$", index, diff, count=1, flags=re.M)
                for hunk in hunks:
                    place = hunk[:hunk.index("@@", 2) + 2]
                    diff = re.sub(f"^{re.escape(place)}.*$", lambda _, line=hunk: line, diff,
                                  flags=re.M)
                diffs[i] = diff
        return "".join(diffs)


class Base:
    """
    A kernel that a series is for, and what the overlay and the edits are there. @tree is a
    source to take in place of Debian's, as CMEM_TREE is for the kernel of CMEM_BASE, and
    @backported says whether its own backport.diff is wanted.
    """

    def __init__(self, release, backported=True, tree=None):
        names = list(releases())
        place = names.index(release)
        self.release = release
        self.newer = Base(names[place - 1]) if place else None
        self.patches = TOP / "patches" / f"v{release}"
        self.own = HERE / f"v{release}"
        foreign = os.environ.get("CMEM_TREE") if release == os.environ.get("CMEM_BASE") else None
        self.tree = tree or foreign and Path(foreign)
        self.renames = self.read_renames()
        self.backport = self.read_backport() if backported else {}

    @functools.cached_property
    def kernel(self):
        """The kernel's own files."""
        if self.tree:
            make = (self.tree / "Makefile").read_text()
            version = re.findall(r"^(?:VERSION|PATCHLEVEL|SUBLEVEL) *= *(\d+)$", make, re.M)
            return Source(self.tree, f"Linux {'.'.join(version)}")
        where = releases()[self.release]
        if where == "-":
            return Record(self.patches)
        if where != "package":
            gone = subprocess.run([TOP / "lab/kernel/fetch", self.release], check=False,
                                  stdout=subprocess.DEVNULL).returncode == 77
            if gone:
                return Record(self.patches)
        tree = Path(run(str(TOP / "lab/kernel/source"),
                        env=os.environ | {"CMEM_BASE": self.release}).strip())
        # The last part of the path is Debian's version of the package.
        return Source(tree, f"Debian linux-source-{self.release} {tree.name}")

    def read_renames(self):
        """The table of renames: (overlay path, path here or None)."""
        table = []
        if (self.own / "renames").is_file():
            for line in (self.own / "renames").read_text().splitlines():
                words = line.partition("#")[0].split()
                if words and len(words) != 2:
                    raise Error(f"{self.own}/renames: '{line}': <overlay path> <path here, or ->")
                if words:
                    table.append((words[0], None if words[1] == "-" else words[1]))
        for path, _ in table:
            if not (TOP / path).exists():
                raise Error(f"{self.own}/renames: the overlay has no {path}")
        return table + (self.newer.renames if self.newer else [])

    def place(self, path):
        """Where an overlay file is in this kernel; None if it is left out."""
        for old, new in self.renames:
            if path == old or old.endswith("/") and path.startswith(old):
                return new and new + path.removeprefix(old)
        return path

    def read_backport(self):
        """What backport.diff makes of the next newer kernel's: contents by overlay path."""
        diff = self.own / "backport.diff"
        if not diff.is_file():
            return {}
        with tempfile.TemporaryDirectory(prefix="cmem-series-") as scratch:
            paths = edited_files(diff)
            for path in paths:
                if not (TOP / path).is_file():
                    raise Error(f"{diff.relative_to(TOP)}: the overlay has no {path}")
                replace(Path(scratch, path), self.newer.contents(path))
            patch(scratch, diff, diff.relative_to(TOP), f"what {self.newer.release} has")
            return {path: Path(scratch, path).read_bytes() for path in paths}

    def unfinished(self, path, data):
        """What finished() was given, from what it made."""
        if path.startswith(NAMING):
            data = data.replace(maintainer().encode(), placeholder().encode())
        if path.startswith("Documentation/ABI/"):
            version = re.search(rb"^KernelVersion:.*$", (TOP / path).read_bytes(), re.M)[0]
            data = re.sub(rb"^KernelVersion:.*$", version, data, flags=re.M)
        return data

    def contents(self, path):
        """An overlay file as it is in this kernel, for backport.diff of the next older one."""
        if path in self.backport:
            return self.backport[path]
        return self.newer.contents(path) if self.newer else (TOP / path).read_bytes()

    def finished(self, path):
        """An overlay file as it is in this kernel, with what is different for each series."""
        data = self.contents(path)
        if path.startswith(NAMING):
            data = data.replace(placeholder().encode(), maintainer().encode())
        if path.startswith("Documentation/ABI/"):
            data = re.sub(rb"^(KernelVersion:\s*).*$", rb"\g<1>" + self.release.encode(), data,
                          flags=re.M)
        return data

    def all_edits(self):
        """The edits of this kernel's files and those that it does without, by name."""
        found = self.newer.all_edits() if self.newer else {
            p.name: p for p in (HERE / "edits").glob("*.diff")}
        return found | {p.name: p for p in (self.own / "edits").glob("*.diff")}

    def edits(self):
        """The edits of this kernel's files: their diffs by name."""
        return {name: diff for name, diff in sorted(self.all_edits().items())
                if diff.stat().st_size}

    def snippet(self):
        """The section for MAINTAINERS, with the paths of this kernel."""
        def line(found):
            place = self.place(found[1])
            return f"F:\t{place}\n" if place else ""
        text = snippet().replace(placeholder(), maintainer())
        return re.sub(r"^F:\s*(\S+)\n", line, text, flags=re.M)

    def write(self, tree):
        """
        Fills an empty directory with the overlay and the edited files, whether or not
        lab/series/commits/ knows them, and returns their paths.
        """
        paths = {path for diff in self.edits().values() for path in edited_files(diff)}
        for path in sorted(paths):
            if self.kernel.has(path) or not (self.tree and SPARED.search(path)):
                replace(tree / path, self.kernel.read(path), self.kernel.mode(path))
        for name, diff in self.edits().items():
            edited = edited_files(diff)
            try:
                patch(tree, diff, diff.relative_to(TOP), self.kernel.name)
            except Error as e:
                if not self.tree or not all(map(SPARED.search, edited)):
                    raise
                print(f"left out, as {name} may be: {e}", file=sys.stderr)
                for path in edited:
                    (tree / path).unlink(missing_ok=True)
                    if self.kernel.has(path):
                        replace(tree / path, self.kernel.read(path), self.kernel.mode(path))
                paths -= {path for path in edited if not self.kernel.has(path)}
        for path in overlay_files():
            place = self.place(path)
            if place:
                if self.kernel.has(place):
                    raise Error(f"{place} exists in {self.kernel.name}: " + (
                        "the series is there already" if self.tree else
                        "changes to it belong in lab/series/edits/"))
                replace(tree / place, self.finished(path), mode(TOP / path))
                paths.add(place)
        return sorted(paths)


class Commit:
    """One commit: its message and what it carries."""

    def __init__(self, path):
        self.name = path.name
        message = email.message_from_string(path.read_text())
        unknown = set(message.keys()) - {"Subject", "Files", "Edits", "Without"}
        if unknown:
            raise Error(f"{self.name}: unknown head line '{unknown.pop()}': "
                        "Subject, Files, Edits or Without")
        if not message["Subject"] or not message.get_payload().strip():
            raise Error(f"{self.name}: a commit needs a Subject and says why")
        self.message = f"{message['Subject']}\n\n{message.get_payload().strip()}\n"
        patterns = " ".join(message.get_all("Files", [])).split()
        self.snippet = SNIPPET in patterns
        self.files = []
        for pattern in patterns:
            found = overlay_files(pattern)
            if not found and pattern != SNIPPET:
                raise Error(f"{self.name}: no overlay file matches '{pattern}'")
            self.files += found
        self.edits = " ".join(message.get_all("Edits", [])).split()
        self.grown = [value.split(None, 1) for value in message.get_all("Without", [])]
        for entry in self.grown:
            if len(entry) != 2:
                raise Error(f"{self.name}: 'Without: {entry[0]}': <file> <sed script> is right")


class Series:
    """All commits, checked against the overlay and the edits."""

    def __init__(self, base):
        self.base = base
        self.commits = [Commit(p) for p in sorted((HERE / "commits").iterdir())]
        if len(self.commits) > MOST_COMMITS:
            raise Error(f"{len(self.commits)} commits: at most {MOST_COMMITS} can be reviewed")
        self.check_claims()
        self.check_maintainers()
        self.edits = base.edits()
        self.edited = {name: edited_files(diff) for name, diff in self.edits.items()}
        self.check_spared()
        for path in overlay_files():
            place = base.place(path)
            if place and base.kernel.has(place):
                raise Error(f"{place}: the kernel has this file; changes of it are an edit")

    def check_claims(self):
        """Every file, edit and the snippet belong to exactly one commit."""
        edits = sorted({p.name for d in (HERE, *HERE.glob("v*")) for p in d.glob("edits/*.diff")})
        for what, there, claims in (
                ("overlay file", overlay_files(), lambda c: c.files),
                ("edit", edits, lambda c: c.edits),
                ("section", [SNIPPET], lambda c: [SNIPPET] * c.snippet)):
            owner = {}
            for commit in self.commits:
                for item in claims(commit):
                    if item in owner:
                        raise Error(f"{item}: {what} claimed by {owner[item]} and {commit.name}")
                    if item not in there:
                        raise Error(f"{commit.name}: there is no {what} {item}")
                    owner[item] = commit.name
            for item in there:
                if item not in owner:
                    raise Error(f"{item}: {what} that no file in lab/series/commits/ claims")
        for k, commit in enumerate(self.commits):
            for path, script in commit.grown:
                if not any(path in c.files for c in self.commits[:k]):
                    raise Error(f"{commit.name}: Without {path}: no earlier commit adds the file")
                text = self.base.contents(path).decode()
                if self.base.place(path) and run("sed", "-E", script, input=text) == text:
                    raise Error(f"{commit.name}: Without {path}: '{script}' changes nothing")

    def check_maintainers(self):
        """MAINTAINERS names every new file, and no file that is not there."""
        paths = overlay_files()
        missing = set(paths)
        for pattern in re.findall(r"^F:\s*(\S+)$", snippet(), re.M):
            found = {p for p in paths if fnmatch.fnmatchcase(p, pattern)
                     or pattern.endswith("/") and p.startswith(pattern)}
            if not found:
                raise Error(f"{SNIPPET}: no overlay file matches 'F:\t{pattern}'")
            missing -= found
        if missing:
            raise Error(f"{SNIPPET}: no F: line for {min(missing)}")

    def check_spared(self):
        """What changes the kernel's documents, its MAINTAINERS or its boards may be left out."""
        for commit in self.commits:
            for path in (p for name in commit.edits for p in self.edited.get(name, [])):
                if SPARED.search(path) and MAY_GO not in " ".join(commit.message.split()):
                    raise Error(f"{commit.name}: {path} is different in each tree: it belongs to a "
                                f"commit that says '{MAY_GO}'")
            if commit.snippet and MAY_GO not in " ".join(commit.message.split()):
                raise Error(f"{commit.name}: MAINTAINERS belongs to a commit that says '{MAY_GO}'")

    def touched(self):
        """Every path that the series adds or changes."""
        return sorted(self.places(p for c in self.commits for p in c.files) | self.changed())

    def places(self, paths):
        """Where overlay files are in this kernel, less those that are left out."""
        return {place for place in map(self.base.place, paths) if place}

    def touched_by(self, k):
        """The paths that commit number k adds or changes."""
        commit = self.commits[k - 1]
        return sorted({*self.places([*commit.files, *(path for path, _ in commit.grown)]),
                       *(p for name in commit.edits for p in self.edited.get(name, [])),
                       *["MAINTAINERS"] * commit.snippet})

    def changed(self):
        """The paths of the kernel's own files that the series changes."""
        return {p for paths in self.edited.values() for p in paths} | {"MAINTAINERS"}

    def contents(self, path, k):
        """An overlay file after k commits, without what later ones add."""
        text = self.base.finished(path)
        for commit in reversed(self.commits[k:]):
            for grown, script in commit.grown:
                if grown == path:
                    text = run("sed", "-E", script, input=text.decode()).encode()
        return text

    def compose(self, tree, k):
        """Fills an empty directory with all touched files as they are after k commits."""
        for path in self.changed():
            replace(tree / path, self.base.kernel.read(path), self.base.kernel.mode(path))
        for commit in self.commits[:k]:
            for path in commit.files:
                if self.base.place(path):
                    replace(tree / self.base.place(path), self.contents(path, k), mode(TOP / path))
            for name in commit.edits:
                if name in self.edits:
                    patch(tree, self.edits[name], self.edits[name].relative_to(TOP))
            if commit.snippet:
                self.insert_section(tree / "MAINTAINERS")

    def insert_section(self, maintainers):
        """Puts the snippet where it belongs in the alphabet."""
        section = self.base.snippet()
        lines = maintainers.read_text().splitlines(keepends=True)
        lines.insert(self.base.kernel.section_line(section), section + "\n")
        maintainers.write_text("".join(lines))

    def set_tree(self, tree, k):
        """
        Brings a copy of the kernel source to the state after k commits. Files that
        are right already are not touched, so that make rebuilds only what it must.
        """
        with tempfile.TemporaryDirectory(prefix="cmem-series-") as scratch:
            self.compose(Path(scratch), k)
            for path in self.touched():
                new, old = Path(scratch, path), tree / path
                if not new.exists():
                    old.unlink(missing_ok=True)
                elif not old.exists() or new.read_bytes() != old.read_bytes():
                    replace(old, new.read_bytes(), new.stat().st_mode)

    def git(self, repo, *args, date=FIRST_DATE, **kwargs):
        """git, deaf to the configuration of the machine and the user."""
        name, address = re.fullmatch("(.*) <(.*)>", maintainer()).groups()
        stamp = date.strftime("%Y-%m-%dT%H:%M:%S+0000")
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8",
               "TZ": "UTC", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
               "GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": address, "GIT_AUTHOR_DATE": stamp,
               "GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": address,
               "GIT_COMMITTER_DATE": stamp}
        return run("git", *args, cwd=repo, env=env, **kwargs)

    def repository(self, repo):
        """A git repository of the touched files of the kernel alone."""
        self.git(repo, "init", "-q", "-b", "series")
        self.compose(repo, 0)
        self.git(repo, "add", "-A")
        self.git(repo, "commit", "-q", "-m", "base")
        self.git(repo, "tag", "base")

    def least_context(self, repo, patch_file, commit):
        """
        Writes the changes of lists in a patch (LISTS) anew with one line of context: their
        other lines come and go from tree to tree.
        """
        head, *diffs = re.split(r"^(?=diff --git )", patch_file.read_text(), flags=re.M)
        for i, diff in enumerate(diffs):
            path = re.match(r"diff --git a/(\S+) ", diff)[1]
            if path in self.changed() and LISTS.search(path):
                diffs[i] = self.git(repo, "show", "-U1", "--format=", "--no-renames", "--abbrev=12",
                                    commit, "--", path)
        patch_file.write_text(self.base.kernel.restore(head + "".join(diffs)))

    def generate(self, out, base_name):
        """Writes the series into a directory and returns the names of its files."""
        with tempfile.TemporaryDirectory(prefix="cmem-series-") as scratch:
            repo = Path(scratch)
            self.repository(repo)
            for k, commit in enumerate(self.commits, 1):
                for path in repo.iterdir():
                    if path.name != ".git":
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
                self.compose(repo, k)
                self.git(repo, "add", "-A", "-f")
                if not self.git(repo, "diff", "--cached", "--name-only"):
                    continue    # this kernel needs nothing of it
                self.git(repo, "commit", "-q", "--signoff", "-F", "-", input=commit.message,
                         date=FIRST_DATE + timedelta(minutes=k))
            cover = (HERE / "cover-letter").read_text().strip()
            if (self.base.own / "cover-letter").is_file():
                cover += "\n\n" + (self.base.own / "cover-letter").read_text().strip()
            if maintainer() == placeholder():
                cover += (f"\n\n{placeholder()}\nis nobody: it stands where the author and the "
                          "maintainer are to be. The repository\nthat this series comes from fills "
                          "them in: make series MAINTAINER=\"Name <mail>\"")
            self.git(repo, "config", "branch.series.description",
                     f"{cover}\n\n{BASE_LINE}{base_name}\n")
            self.git(repo, "format-patch", "-q", "--cover-letter",
                     "--cover-from-description=subject", "--numbered", "--zero-commit",
                     "--no-renames", "--abbrev=12", "--no-signature",
                     "--output-directory", str(out), "base")
            (out / "0000-cover-letter.patch").rename(out / COVER)
            made = self.git(repo, "rev-list", "--reverse", "base..series").split()
            for name, commit in zip(sorted(out.glob("*.patch")), made, strict=True):
                self.least_context(repo, name, commit)
                if name.stat().st_size > LARGEST_MAIL:
                    raise Error(f"{name.name}: {name.stat().st_size} bytes, at most {LARGEST_MAIL} "
                                "go through mailing lists: divide it")
        return sorted(p.name for p in out.iterdir())


def recorded_maintainer(directory):
    """Who a generated series is from."""
    found = re.search(r"^From: (.*)$", (directory / COVER).read_text(), re.M)
    if not found:
        raise Error(f"{directory / COVER}: no line 'From: ' to be found: run make series")
    decoded = str(email.header.make_header(email.header.decode_header(found[1])))
    return "{} <{}>".format(*email.utils.parseaddr(decoded))


def recorded_base(directory):
    """The base that a generated series was made for: its cover letter alone says so."""
    cover = directory / COVER
    if cover.is_file():
        for line in cover.read_text().splitlines():
            if line.startswith(BASE_LINE):
                return line.removeprefix(BASE_LINE)
    raise Error(f"{cover}: no line '{BASE_LINE}...' to be found: run make series")
