#!/usr/bin/env python3
"""Reads a CSV export with Python's own csv module and compares it, field by field, with the NDJSON export of the same rows.

usage: csv_check.py EXPORT.csv EXPORT.ndjson [ZONE]

Exits 1 at the first cell that is not what the JSON says. The rules are those of the API's description: RFC 4180 with
CRLF; text cells that begin with = + - @ tab or CR, apostrophes before them or not, get one more leading apostrophe;
objects are compact JSON; a field that changed twice in one event is numbered.
"""
import csv
import datetime
import json
import re
import sys
import zoneinfo

COLUMNS = (
    "seq,id,time_utc,time_local,time_zone,received_utc,tenant,source,actor_type,actor_id,actor_name,actor_email,on_behalf_of,"
    "action,category,outcome,reason,target_type,target_id,target_name,related,changed_fields,before,after,ip,user_agent,"
    "request_id,session_id,detail,hash"
).split(",")
DANGEROUS = ("=", "+", "-", "@", "\t", "\r")
JSON_COLUMNS = {"related", "before", "after", "detail"}
NUMBERS_AND_TIMES = {"seq", "time_utc", "time_local", "received_utc"}


class Number(str):
    """A number token exactly as it stands, so that 1.50 is not 1.5."""


class Obj(list):
    """An object with its members in order."""


def load(text):
    return json.loads(text, parse_int=Number, parse_float=Number, object_pairs_hook=Obj)


def member(value, *path):
    for name in path:
        if not isinstance(value, Obj):
            return None
        value = next((v for k, v in value if k == name), None)
    return value


def defused(text):
    return "'" + text if text.lstrip("'").startswith(DANGEROUS) else text


def sides(changes, side):
    """Fields of the changes and their value on one side; a change without it has none."""
    found, times = Obj(), {}
    for change in changes:
        field = member(change, "field")
        times[field] = times.get(field, 0) + 1
        name = field if times[field] == 1 else f"{field} ({times[field]})"
        if any(key == side for key, _ in change):
            found.append((name, member(change, side)))
    return found


def expected(event):
    def text(*path):
        value = member(event, *path)
        return "" if value is None else value

    changes = member(event, "changes") or []
    cells = {
        "seq": text("seq"),
        "id": text("id"),
        "time_utc": text("time"),
        "received_utc": text("received"),
        "tenant": text("tenant"),
        "source": text("source"),
        "actor_type": text("actor", "type"),
        "actor_id": text("actor", "id"),
        "actor_name": text("actor", "name"),
        "actor_email": text("actor", "email"),
        "on_behalf_of": "/".join(filter(None, (text("on_behalf_of", "type"), text("on_behalf_of", "id")))),
        "action": text("action"),
        "category": text("category"),
        "outcome": text("outcome"),
        "reason": text("reason"),
        "target_type": text("target", "type"),
        "target_id": text("target", "id"),
        "target_name": text("target", "name"),
        "related": member(event, "related"),
        "changed_fields": ";".join(member(change, "field") for change in changes),
        "before": sides(changes, "before") or None,
        "after": sides(changes, "after") or None,
        "ip": text("context", "ip"),
        "user_agent": text("context", "user_agent"),
        "request_id": text("context", "request_id"),
        "session_id": text("context", "session_id"),
        "detail": member(event, "detail"),
        "hash": text("hash"),
    }
    return cells


def in_zone(utc, zone):
    """A time such as 2026-11-20T13:32:07.412Z as the clocks of a zone show it, with its offset and the same digits."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{3,9})Z", utc)
    if not match:
        sys.exit(f"{utc!r} is not a time in UTC with 3 to 9 digits")
    local = datetime.datetime.fromisoformat(match[1] + "+00:00").astimezone(zone).isoformat()
    return local[:19] + match[2] + local[19:]


def fail(row, column, found, wanted):
    sys.exit(f"row {row}, {column}: {found!r}\n         wanted {wanted!r}")


def main():
    csv_path, ndjson_path = sys.argv[1:3]
    zone_name = sys.argv[3] if len(sys.argv) > 3 else "UTC"
    zone = zoneinfo.ZoneInfo(zone_name)
    csv.field_size_limit(1 << 30)
    with open(csv_path, "rb") as raw:
        data = raw.read()
    if not data.endswith(b"\r\n"):
        sys.exit("the file does not end with CRLF")
    with open(ndjson_path, encoding="utf-8", newline="\n") as lines:
        events = [load(line) for line in lines.read().split("\n") if line]
    with open(csv_path, encoding="utf-8", newline="") as text:
        rows = list(csv.reader(text, strict=True))
    if rows[0] != COLUMNS:
        fail(0, "header", rows[0], COLUMNS)
    if len(rows) - 1 != len(events):
        sys.exit(f"{len(rows) - 1} rows in CSV, {len(events)} in NDJSON")
    for number, (row, event) in enumerate(zip(rows[1:], events), start=1):
        if len(row) != len(COLUMNS):
            fail(number, "columns", len(row), len(COLUMNS))
        cells = dict(zip(COLUMNS, row))
        for column, wanted in expected(event).items():
            found = cells[column]
            if column in JSON_COLUMNS:
                if wanted is None:
                    if found != "":
                        fail(number, column, found, "")
                elif load(found) != wanted:
                    fail(number, column, found, wanted)
                continue
            if column not in NUMBERS_AND_TIMES:
                wanted = defused(wanted)
            if found != wanted:
                fail(number, column, found, wanted)
        if cells["time_zone"] != zone_name:
            fail(number, "time_zone", cells["time_zone"], zone_name)
        if cells["time_local"] != in_zone(cells["time_utc"], zone):
            fail(number, "time_local", cells["time_local"], in_zone(cells["time_utc"], zone))
    print(f"{len(events)} rows, {len(COLUMNS)} columns: equal")


main()
