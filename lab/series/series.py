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

Nothing depends on when, where or by whom this is run: author and dates are fixed.
"""

import bisect
import email
import fnmatch
import os
import re
import shutil
import subprocess
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
OVERLAY = ("arch", "drivers", "include", "Documentation", "tools")
SNIPPET = "MAINTAINERS.snippet"
FIRST_DATE = datetime(2025, 1, 1, tzinfo=timezone.utc)
MOST_COMMITS = 12
BASE_LINE = "Base: "
COVER = "0000-cover-letter.txt"     # git am *.patch must not see it


class Error(Exception):
    """Something is wrong with the series; the message says what and where."""


def run(*args, **kwargs):
    """Runs a command and returns what it prints; its complaint becomes an Error."""
    done = subprocess.run(args, text=True, stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.PIPE, **kwargs)
    if done.returncode:
        raise Error(f"{' '.join(map(str, args[:4]))}: {(done.stdout + done.stderr).strip()}")
    return done.stdout


def replace(path, data, mode=0o644):
    """Gives a file new contents without writing into other links to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def patch(tree, diff, name):
    """Applies a unified diff to a tree; fuzz is an error."""
    try:
        run("patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch", "-s", "-f", "-i", str(diff),
            cwd=tree)
    except Error as e:
        raise Error(f"{name} does not apply to the kernel: {e}") from e


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


def identity():
    """The author of the series: the maintainer that the snippet names."""
    found = re.search(r"^M:\s*(.+?) <(.+)>$", snippet(), re.M)
    if not found:
        raise Error(f"{SNIPPET}: no 'M:\tname <address>' line to take the series' author from")
    return found.groups()


def pristine():
    """Where the kernel source is; the last part of the path is its Debian version."""
    return Path(run(str(TOP / "lab/kernel/source")).strip())


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
        self.base = base            # pristine kernel source
        self.commits = [Commit(p) for p in sorted((HERE / "commits").iterdir())]
        if len(self.commits) > MOST_COMMITS:
            raise Error(f"{len(self.commits)} commits: at most {MOST_COMMITS} can be reviewed")
        self.check_claims()
        self.check_maintainers()
        self.edited = {name: edited_files(HERE / "edits" / name)
                       for commit in self.commits for name in commit.edits}
        for path in overlay_files():
            if (base / path).exists():
                raise Error(f"{path}: the kernel has this file; changes of it are an edit")
        for name, paths in self.edited.items():
            for path in paths:
                if not (base / path).is_file():
                    raise Error(f"edits/{name}: the kernel has no {path}; new files are overlay")

    def check_claims(self):
        """Every file, edit and the snippet belong to exactly one commit."""
        edits = sorted(p.name for p in (HERE / "edits").glob("*.diff"))
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
                if run("sed", "-E", script, str(TOP / path)) == (TOP / path).read_text():
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

    def touched(self):
        """Every path that the series adds or changes."""
        return sorted({p for c in self.commits for p in c.files} | self.changed())

    def touched_by(self, k):
        """The paths that commit number k adds or changes."""
        commit = self.commits[k - 1]
        return sorted({*commit.files, *(path for path, _ in commit.grown),
                       *(p for name in commit.edits for p in self.edited[name]),
                       *["MAINTAINERS"] * commit.snippet})

    def changed(self):
        """The paths of the kernel's own files that the series changes."""
        return {p for paths in self.edited.values() for p in paths} | {"MAINTAINERS"}

    def contents(self, path, k):
        """An overlay file after k commits, without what later ones add."""
        text = (TOP / path).read_bytes()
        for commit in reversed(self.commits[k:]):
            for grown, script in commit.grown:
                if grown == path:
                    text = run("sed", "-E", script, input=text.decode()).encode()
        return text

    def compose(self, tree, k):
        """Fills an empty directory with all touched files as they are after k commits."""
        for path in self.changed():
            replace(tree / path, (self.base / path).read_bytes())
        for n, commit in enumerate(self.commits[:k], 1):
            for path in commit.files:
                mode = 0o755 if os.access(TOP / path, os.X_OK) else 0o644
                replace(tree / path, self.contents(path, k), mode)
            for name in commit.edits:
                patch(tree, HERE / "edits" / name, f"lab/series/edits/{name}")
            if commit.snippet:
                self.insert_section(tree / "MAINTAINERS")

    @staticmethod
    def insert_section(maintainers):
        """Puts the snippet where it belongs in the alphabet."""
        section = snippet()
        head, first, listing = maintainers.read_text().partition("3C59X NETWORK DRIVER\n")
        sections = (first + listing).split("\n\n")
        place = bisect.bisect(sections, section.upper(), key=str.upper)
        sections.insert(place, section.rstrip("\n"))
        maintainers.write_text(head + "\n\n".join(sections))

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
        name, address = identity()
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
                self.git(repo, "commit", "-q", "--signoff", "-F", "-", input=commit.message,
                         date=FIRST_DATE + timedelta(minutes=k))
            cover = (HERE / "cover-letter").read_text().strip()
            self.git(repo, "config", "branch.series.description",
                     f"{cover}\n\n{BASE_LINE}{base_name}\n")
            self.git(repo, "format-patch", "-q", "--cover-letter",
                     "--cover-from-description=subject", "--numbered", "--zero-commit",
                     "--no-renames", "--abbrev=12", "--no-signature",
                     "--output-directory", str(out), "base")
            (out / "0000-cover-letter.patch").rename(out / COVER)
        return sorted(p.name for p in out.iterdir())


def release(base):
    """The kernel release that a pristine source is of: 6.12 of 6.12.117-1~deb12u1."""
    return ".".join(base.name.split(".")[:2])


def patches(base):
    """Where the series for a pristine source is."""
    return TOP / "patches" / f"v{release(base)}"


def installed_base(base):
    """The name of a pristine source, as the cover letter records it."""
    return f"Debian linux-source-{release(base)} {base.name}"


def recorded_base(directory):
    """The base that a generated series was made for: its cover letter alone says so."""
    cover = directory / COVER
    if cover.is_file():
        for line in cover.read_text().splitlines():
            if line.startswith(BASE_LINE):
                return line.removeprefix(BASE_LINE)
    raise Error(f"{cover}: no line '{BASE_LINE}...' to be found: run make series")
