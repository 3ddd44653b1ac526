#!/usr/bin/env python3
"""Counts the events that each rule of sigma_queries.toml is about, without looking at the rule's query.

usage: sigma_check.py EVENTS.ndjson > COUNTS.json

A rule's `where` is a Python expression over one event as it was sent; the names it uses are the functions below marked
`rule_word`. They know what the description of the query language says, and nothing of our code:

- Case and Unicode form do not matter.
- A path names what lies under it: a dot in a key is like nesting, a list adds each of its elements.
- null, {} and [] are nothing. A number is also compared by its value; a text that looks like one is a text.
- Values of members called `password`, `token` and the like were replaced before they were stored.

Prints a JSON object of titles and counts. Exits 3 if this Python is too old (tomllib came with 3.11).
"""
import datetime
import functools
import ipaddress
import json
import pathlib
import re
import sys
import unicodedata
from decimal import Decimal

try:
    import tomllib
except ImportError:
    print("tomllib came with Python 3.11", file=sys.stderr)
    sys.exit(3)

HERE = pathlib.Path(__file__).resolve().parent
RULES = HERE / "sigma_queries.toml"
CATALOGUE = HERE.parent.parent / "index-schema" / "actions.toml"
# What a search for words looks at; of these members, all that lies below.
FREE_TEXT = """
    id reason context detail actor.id actor.name actor.email on_behalf_of.id on_behalf_of.name on_behalf_of.email
    target.id target.name related.id related.name changes.field changes.before changes.after
""".split()


class Number(str):
    """A number exactly as it was sent: 1.50 is not 1.5, and 64 bits stay 64 bits."""


@functools.lru_cache(maxsize=1 << 17)
def fold(text):
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", "".join(map(str.lower, text)).replace("ς", "σ"))


class Event:
    """One event, taken apart: folded paths and the scalars under each."""

    def __init__(self, line, secrets):
        self.sent = json.loads(line, parse_int=Number, parse_float=Number)
        self.leaves = {}
        self.collect(self.sent, (), secrets)

    def collect(self, value, keys, secrets):
        if isinstance(value, dict):
            for key, member in value.items():
                in_detail = keys[:1] == ("detail",)
                if in_detail and member is not None and any(same_name(part) in secrets for part in parts_of(key)):
                    member = "[redacted]"
                self.collect(member, (*keys, fold(key)), secrets)
        elif isinstance(value, list):
            for element in value:
                self.collect(element, keys, secrets)
        elif value is not None:
            text = {True: "true", False: "false"}[value] if isinstance(value, bool) else value
            self.leaves.setdefault(".".join(keys), []).append(text)

    def at(self, path):
        return self.leaves.get(fold(path), ())

    def has_under(self, path):
        path = fold(path)
        return any(known == path or known.startswith(path + ".") for known in self.leaves)

    @functools.cached_property
    def free_text(self):
        """Folded values of what a search for words looks at."""
        within = tuple(path + "." for path in FREE_TEXT)
        return [fold(v) for path, found in self.leaves.items() if (path + ".").startswith(within) for v in found]


@functools.lru_cache(maxsize=1 << 14)
def parts_of(key):
    """The names in a dotted key. In front of a slash a domain of Kubernetes says only whose name it is."""
    return re.sub(r"^([^/]*\.)?(k8s|kubernetes)\.io/(?=.)", "", key).split(".")


@functools.lru_cache(maxsize=1 << 14)
def same_name(name):
    """Names of secrets are compared without case, _ and -."""
    return fold(name).replace("_", "").replace("-", "")


# The event that the rule words are asked about.
event = None
RULE_WORDS = {}


def rule_word(function):
    RULE_WORDS[function.__name__] = function
    return function


def any_value(path, texts, fits):
    wanted = [fold(text) for text in texts]
    return any(fits(fold(value), text) for value in event.at(path) for text in wanted)


@rule_word
def one_of(path, *texts):
    """A value at the path is one of these."""
    return any_value(path, texts, str.__eq__)


@rule_word
def contains(path, *texts):
    """A value at the path contains one of these."""
    return any_value(path, texts, str.__contains__)


@rule_word
def starts(path, *texts):
    """A value at the path starts with one of these."""
    return any_value(path, texts, str.startswith)


@rule_word
def ends(path, *texts):
    """A value at the path ends with one of these."""
    return any_value(path, texts, str.endswith)


@rule_word
def matches(path, expression):
    """A whole value at the path matches; the expression is written in lower case."""
    return any(re.fullmatch(expression, fold(value), re.DOTALL) for value in event.at(path))


@rule_word
def some(path):
    """There is a value at the path or below it."""
    return event.has_under(path)


@rule_word
def number(path, fits):
    """A number at the path fits."""
    return any(fits(Decimal(value)) for value in event.at(path) if isinstance(value, Number))


@rule_word
def text(*parts):
    """Some free text contains one of these."""
    return any(fold(part) in value for value in event.free_text for part in parts)


@rule_word
def phrase(*words):
    """These words, of ASCII letters and digits, stand one behind the other in some free text."""
    expression = r"(?<![a-z0-9])" + r"[^a-z0-9]+".join(words) + r"(?![a-z0-9])"
    return any(re.search(expression, value) for value in event.free_text)


@rule_word
def changed(field, before=None, after=None):
    """One change is of this field, and from and to these, where they are given."""
    def fits(wanted, found):
        return wanted is None or (isinstance(found, str) and fold(found) == fold(wanted))

    return any(
        fold(change["field"]) == fold(field) and fits(before, change.get("before")) and fits(after, change.get("after"))
        for change in event.sent.get("changes", ())
    )


@rule_word
def has(member):
    """The event has this member, be it empty."""
    return event.sent.get(member) is not None


@rule_word
def event_as_sent():
    """The event before secrets were replaced."""
    return event.sent


@rule_word
def noun():
    """The first word of the action."""
    return re.split("[.:]", fold(event.sent["action"]))[0]


@rule_word
def in_network(path, *networks):
    """An address at the path lies in one of these networks; IPv4 within IPv6 is IPv4."""
    for value in event.at(path):
        try:
            address = ipaddress.ip_address(value.strip())
        except ValueError:
            continue
        address = getattr(address, "ipv4_mapped", None) or address
        if any(address in network_of(network) for network in networks):
            return True
    return False


@functools.cache
def network_of(written):
    return ipaddress.ip_network(written)


@rule_word
def at():
    """When it happened."""
    return moment(event.sent["time"])


@rule_word
@functools.lru_cache(maxsize=1 << 10)
def moment(written):
    """A moment; without an offset it is UTC."""
    found = datetime.datetime.fromisoformat(written)
    return found if found.tzinfo else found.replace(tzinfo=datetime.timezone.utc)


def main():
    global event
    rules = tomllib.loads(RULES.read_text(encoding="utf-8"))["rule"]
    secrets = {same_name(key) for key in tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))["secrets"]["keys"]}
    conditions = [(rule["title"], compile(rule["where"], rule["title"], "eval")) for rule in rules]
    counts = {rule["title"]: 0 for rule in rules}
    with open(sys.argv[1], encoding="utf-8", newline="\n") as lines:
        for line in lines:
            event = Event(line, secrets)
            for title, condition in conditions:
                counts[title] += bool(eval(condition, RULE_WORDS))
    json.dump(counts, sys.stdout, indent=1, ensure_ascii=False)
    print()


main()
