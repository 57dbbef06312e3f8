#!/usr/bin/env python3
"""Writes cases.json: what Python's Jinja2, set up as transformers does, makes of the templates below.

    pip install jinja2==3.1.6
    python3 generate.py > cases.json

Lists and dicts can be changed (transformers forbids it; templates from elsewhere do it). A case is a template; all of
them see CONTEXT. The result is a text, or null if Python raises an error.
"""
import datetime
import json
import random
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox
from jinja2 import nodes

CONTEXT = {
    "s": "Hello, World",
    "t": "  two words\t",
    "u": "Größe ΑΣ 日本 🧑‍🚀",
    "e": "",
    "h": "<b>\"a\" & 'c'</b>",
    "lines": "one\ntwo\r\n\n  four\n",
    "i": 42,
    "n": -7,
    "big": 12345678901234567890,
    "f": 2.5,
    "x": 0.1,
    "l": [3, 1, 2],
    "w": ["b", "A", "c", "a"],
    "d": {"b": 1, "a": [1, {"k": "v"}], "items": 5},
    "people": [
        {"name": "Ann", "age": 30, "city": {"zip": 1}},
        {"name": "bob", "age": 25, "city": {"zip": 2}},
        {"name": "Cid", "age": 30},
    ],
    "none_": None,
    "yes": True,
    "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1.5}}}]},
        {"role": "tool", "content": [{"type": "text", "text": "x"}]},
    ],
}


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(lineno)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def strftime_now(format):
    return datetime.datetime(2026, 3, 14, 9, 26, 53).strftime(format)


env = jinja2.sandbox.SandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
)
env.filters["tojson"] = tojson
env.globals["raise_exception"] = raise_exception
env.globals["strftime_now"] = strftime_now

EXPRESSIONS = """
1 + 2 * 3 - 4
-2 ** 2
2 ** -1
2 ** 3 ** 2
7 // 2
-7 // 2
7 % -3
-7 % 3
7.5 // 2
-7.5 % 2
7 / 2
6 / 3
1e3
1.0
1_000
0x1F
1e16 + 0.5
1 / 3
x + 0.2
x * 3
1e-7
123456789012345678
big + 1
big * big
big / 2
0.1 + 0.2
10 ** 20
10.0 ** 20
5 // 0
5 % 0
5 / 0.0
true + 1
true and 0
0 or "" or none_
not s
not not s
1 < 2 < 3
1 < 3 < 2
1 < 2 == 2
3 > 2 > 1 > 0
1 == 1.0
"1" == 1
true == 1
none_ == false
undefined_ == undefined2
undefined_ == none_
[1, 2] < [1, 3]
[1, 2] == (1, 2)
(1, 2) == (1, 2)
{"a": 1, "b": 2} == {"b": 2, "a": 1}
"a" < "b"
"a" < 1
none_ < 1
1 in l
9 not in l
"ell" in s
"b" in d
1 in none_
"x" in undefined_
1 in s
"a" ~ 1 ~ none_ ~ true ~ 1.0 ~ [1]
"a" + "b"
"a" + 1
1 + "a"
"ab" * 3
3 * "ab"
[1] * 3
"a" * -1
l + [4]
l + (4,)
(1,) + (2, 3)
"%s-%d" % ("a", 5)
"%s" % l
"%s" % "x"
"%(b)s" % d
"%5.2f|%-6s|%06d|%x|%X|%o|%e|%g|%%|%c|%r" % (3.14159, "ab", 42, 255, 255, 8, 12345.678, 0.00001234, "z", "q")
"%+d % d %#x" % (5, 5, 255)
"%s" % (1, 2)
"%d" % "a"
"%s %s" % ("a",)
s if yes else e
s if e
s if e else n if n else i
(s if e) is defined
1 if 0 else 2 if 0 else 3
l[0]
l[-1]
l[5]
l[-4]
l["0"]
l[1.0]
l[true]
l[1:]
l[:-1]
l[::-1]
l[::2]
l[5:1]
l[2:0:-1]
l[-2:]
l[none_:2]
l["a":]
s[0]
s[-1]
s[100]
s[1:4]
s[::-1]
s[::2]
s[-3:]
s[10:2:-3]
u[3]
u[-3:]
u[::-1]
u|length
d.b
d["b"]
d.items
d["items"]
d.get("items")
d.missing
d.missing is defined
d.missing.more
d["missing"]["more"]
d.a[1].k
none_.x
none_["x"]
i.x
s.x
l.x
undefined_
undefined_.x
undefined_[0]
undefined_()
undefined_ + 1
undefined_ ~ "a"
undefined_|length
undefined_|list
undefined_|upper
undefined_|default("d")
undefined_|d
e|default("d")
e|default("d", true)
none_|default("d")
e|default("d", boolean=true)
[1, "a", none_, true, 2.5, {"k": (1,)}, ()]
("a",)
()
[]
{}
{"a": 1, 2: "b", none_: [], (1, 2): 3}
{"it's": "\\n", "q": 'say "hi"', "both": "'\\""}
["\\u00e9\\u2028\\x7f\\t"]
[u]
s.upper()
s.lower()
u.upper()
u.lower()
u.casefold()
u.swapcase()
u.title()
"they're bill's friends".title()
"hello wORLD".capitalize()
"éa".capitalize()
t.strip()
t.lstrip()
t.rstrip()
"xxaxbxx".strip("x")
"abcab".strip("ba")
"www.x.com".lstrip("w.")
"a.b".rstrip("b.")
s.split()
s.split(", ")
s.split(",", 0)
"a,b,c".split(",", 1)
"a,b,c".rsplit(",", 1)
"a,b,c".split(",", maxsplit=1)
"a,b,c".split(sep=",")
" a  b c ".split(none_, 1)
" a  b c ".rsplit(none_, 1)
" a  b c ".split(" ")
"".split()
"".split(",")
"abc".split("")
"abc".split(1)
lines.splitlines()
lines.splitlines(true)
lines.splitlines(keepends=true)
"a\\x0bb\\x85c".splitlines()
s.startswith("Hell")
s.startswith(("x", "He"))
s.startswith(["x"])
s.startswith("World", 7)
s.startswith("")
s.endswith(("d", "x"))
s.endswith("World", 0, 5)
s.replace("l", "L")
s.replace("l", "L", 2)
s.replace("", "-")
s.replace("l", "L", 0)
"aaa".replace("aa", "b")
s.find("o")
s.rfind("o")
s.find("o", 5)
s.find("zz")
s.index("W")
s.index("zz")
s.count("l")
s.count("")
u.find("日")
"-".join(w)
"-".join([1])
"-".join("abc")
"".join([])
"a-b-c".partition("-")
"a-b-c".rpartition("-")
"abc".partition("-")
"abc".rpartition("-")
"ab".center(5, "*")
"ab".center(6)
"abc".center(6, "*")
"ab".ljust(4) ~ "|"
"ab".rjust(4, "0")
"-42".zfill(6)
"42".zfill(1)
"a\\tb\\tc".expandtabs(4)
"TestHook".removeprefix("Test")
"MiscTests".removesuffix("Tests")
"abc".removesuffix("")
"abc".isalpha()
"ab1".isalnum()
"12".isdigit()
"1.2".isdigit()
"²".isdigit()
"ABC".isupper()
"aBC".islower()
"  ".isspace()
"Ab Cd".istitle()
"a_1".isidentifier()
"".isalpha()
"{} {}".format("a", 1)
"{1} {0}".format("a", "b")
"{a} {b[0]} {c[k]}".format(a=1, b=[2], c={"k": 3})
"{:>5}|{:<5}|{:^5}|{:*^5}".format("a", "b", "c", "d")
"{:5d}|{:05d}|{:+d}|{:,}|{:x}|{:#b}".format(42, 42, 42, 1234567, 255, 5)
"{:.2f}|{:8.3f}|{:e}|{:g}|{:%}|{:.1%}".format(3.14159, 2.5, 12345.0, 0.0001, 0.5, 0.123)
"{!r} {!s}".format("a", "b")
"{:{}}|".format("a", 5)
"{{}} {}".format(1)
"{}".format([1, "a"])
"{}".format(none_)
"{} {}".format("a")
"{:d}".format("a")
"{:.3}".format("abcdef")
"{0}{0}".format("ab")
"{:>10}".format(true)
"{}".format(1.0)
"{:.3}".format(1234.5)
"{".format()
s.nothing()
s.nothing
l.copy()
l.count(1)
l.index(2)
l.index(9)
l.index(1, 1)
d.keys()
d.values()
d.items()
d.keys()|list
d.items()|list
d|list
d|length
d.items()|length
d.keys() == d.keys()
d.get("b")
d.get("zz")
d.get("zz", 3)
d.get()
d.copy() == d
dict(a=1, b=2)
dict([("a", 1)])
dict({"a": 1}, b=2)
namespace(a=1)
range(3)
range(3)|list
range(1, 4)|list
range(5, 0, -2)|list
range(0)
range(2, 8, 3)[1]
range(10)[2:4]|list
range(3) == range(0, 3)
2 in range(3)
range(3)|length
range(1, 2, 0)
range(1000001)
range("a")
l|sort
l|sort(reverse=true)
w|sort
w|sort(case_sensitive=true)
people|sort(attribute="age")|map(attribute="name")|list
people|sort(attribute="age,name")|map(attribute="name")|join(",")
people|sort(true, attribute="name")|map(attribute="name")|join(",")
[1, "a"]|sort
l|reverse|list
s|reverse
l|first
l|last
[]|first
[]|last
s|first
s|last
d|first
l|min
l|max
w|min
w|max
[]|min
people|max(attribute="age")
l|sum
people|sum(attribute="age")
l|sum(start=10)
[[1], [2]]|sum(start=[])
w|unique|list
[1, 1.0, true, 2]|unique|list
w|join
l|join(", ")
people|join("|", attribute="name")
people|map(attribute="city.zip")|list
people|map(attribute="city.zip", default=0)|list
people|map(attribute="nope", default="-")|join
[]|join
none_|join
s|join("-")
l|map("string")|list
w|map("upper")|join
w|map("replace", "a", "x")|list
l|map("nothing")|list
[[1, 2], [3]]|map("first")|list
[[1, 2], [3]]|map(attribute=0)|list
[[1, 2], [3]]|map("length")|list
l|select("odd")|list
l|select("gt", 1)|list
l|select|list
[0, 1, "", "a"]|select|list
[0, 1, "", "a"]|reject|list
l|reject("equalto", 1)|list
people|selectattr("age", "equalto", 30)|map(attribute="name")|list
people|rejectattr("age", "lt", 30)|map(attribute="name")|list
people|selectattr("city")|list|length
people|selectattr("city", "defined")|list|length
people|groupby("age")
people|groupby("age")|map(attribute="grouper")|list
people|groupby("city.zip", default=0)|map("first")|list
d|dictsort
{"b": 1, "A": 2, "c": 0}|dictsort
{"b": 1, "A": 2, "c": 0}|dictsort(true)
{"b": 1, "A": 2, "c": 0}|dictsort(false, "value")
{"b": 1, "A": 2}|dictsort(reverse=true)
d|items|list
l|batch(2)|list
l|batch(2, 0)|list
l|slice(2)|list
l|slice(2, 0)|list
l|list
s|list
"abc"|length
i|length
l|length
l|count
i|abs
n|abs
f|int
"42"|int
" 42 "|int
"42.9"|int
"zz"|int
"zz"|int(7)
"0x1f"|int(0, 16)
"1f"|int(base=16)
"1_000"|int
none_|int
none_|int(default=3)
[]|int
"1e3"|int
"1.5"|float
"zz"|float
"zz"|float(1.5)
i|float
"inf"|float
42.55|round
42.55|round(1)
42.55|round(1, "floor")
42.55|round(1, "ceil")
2.5|round
3.5|round
2.675|round(2)
i|round
1234|round(-2)
1234.5|round(-2)
0.5|round|int
i|string
f|string
l|string
none_|string
yes|string
s|upper
s|lower
s|title
"foo-bar (baz) x_y"|title
s|capitalize
i|upper
s|center(20)
t|trim
"xax"|trim("x")
i|trim
s|replace("o", "0")
s|replace("o", "0", 1)
i|replace("4", "x")
lines|indent
lines|indent(2)
lines|indent(2, true)
lines|indent(2, blank=true)
lines|indent("> ", first=true)
e|indent(first=true)
"a\\n"|indent(2, true, true)
s|truncate(8)
s|truncate(8, true)
s|truncate(5, true, "..", 0)
"foo bar baz qux"|truncate(9)
"foo bar baz qux"|truncate(11, false, "...", 0)
"short"|truncate
s|wordcount
"a-b c_d é"|wordcount
"foo bar baz qux"|wordwrap(7)
"abcdefghij kl"|wordwrap(4)
"abcdefghij kl"|wordwrap(4, false)
"well-known fact"|wordwrap(6)
h|escape
h|e
h|forceescape
h|e|e
h|e|forceescape
h|safe
h|safe + h
h + h|safe
h|striptags
"<p>a  b</p><!-- c -->d &amp; e"|striptags
h|urlencode
"a b/c?d=é"|urlencode
{"a": "b c", "d": 1}|urlencode
[("a", 1)]|urlencode
{"class": "a b", "id": 5, "x": none_}|xmlattr
1|filesizeformat
999|filesizeformat
1000|filesizeformat
1234567|filesizeformat
1234567|filesizeformat(true)
"%s and %s"|format("a", 1)
"%(a)s"|format(a=1)
d|tojson
d|tojson(indent=2)
d|tojson(indent=0)
d|tojson(separators=(",", ":"))
{"b": 1, "a": 2}|tojson(sort_keys=true)
{"b": [1, {"c": []}], "a": {}}|tojson(indent=4)
u|tojson
u|tojson(ensure_ascii=true)
h|tojson
"\\x00\\x1f\\x7f\\u2028\\t\\n\\r\\b\\f\\\\\\""|tojson
[1.0, 1e20, 1e-7, 0.1, -0.0, 1e16]|tojson
[none_, true, false]|tojson
{1: 2, none_: 3, true: 4, 1.5: 5}|tojson
(1, 2)|tojson
undefined_|tojson
range(3)|tojson
big|tojson
{(1, 2): 3}|tojson
messages|tojson
s|attr("upper")
d|attr("b")
s|attr("nope")
l|pprint
s|nothing
1 is odd
2 is even
2 is odd
9 is divisibleby 3
9 is divisibleby(4)
s is defined
undefined_ is defined
undefined_ is undefined
undefined_ is not defined
none_ is none
none_ is not none
yes is boolean
1 is boolean
false is false
0 is false
yes is true
1 is integer
yes is integer
1.0 is integer
1.0 is float
1 is number
yes is number
"1" is number
"abc" is lower
"ABC" is upper
"Abc" is lower
"1" is lower
s is string
h|safe is string
l is string
d is mapping
l is mapping
l is sequence
d is sequence
s is sequence
i is sequence
(1,) is sequence
undefined_ is sequence
none_ is sequence
range(3) is sequence
l|map("string") is sequence
l is iterable
i is iterable
none_ is iterable
undefined_ is iterable
l|map("string") is iterable
range is callable
s.upper is callable
s is callable
l is sameas l
l is sameas [3, 1, 2]
none_ is sameas none_
h is escaped
h|safe is escaped
1 is in l
1 is in [2]
1 is eq 1
1 is ne 2
1 is lt 2
2 is ge 2
2 is >(1)
2 is greaterthan 1
"upper" is filter
"nope" is filter
"odd" is test
s is nothing
not 1 is odd
-1 is odd
1 is odd and 2 is even
l is not mapping and d is mapping
"a" "b" 'c'
"\\x41\\101\\u0042\\n".strip()
'it\\'s'
"\\q"
s.upper
s.upper == s.upper
l|map("upper")|first
[1, 2, 3].pop()
[1, 2, 3].pop(0)
[].pop()
{"a": 1}.pop("a")
{"a": 1}.pop("b", 2)
{"a": 1}.pop("b")
{"a": 1}.setdefault("b", 2)
{"a": 1}.popitem()
[3, 1, 2].sort()
cycler("a", "b").next()
joiner()
strftime_now("%Y-%m-%d %H:%M %A %j")
raise_exception("no")
{"a": 1}["a"]
[[1, 2], [3, 4]][1][0]
[1,2,3,]
{"a": 1,}
(1 + 2) * 3
1.5.is_integer()
l.0
people.0.name
loop
loop is defined
caller is defined
self is defined
"abc"[1:][0]
"abc"[:]
"a" if "a" is defined else "b"
[] is defined and [] == []
1 if [] else 0
1 if [0] else 0
1 if {} else 0
1 if 0.0 else 0
1 if " " else 0
1 if range(0) else 0
l == l.copy()
[l] == [[3, 1, 2]]
l in [[3, 1, 2]]
{"a": {"b": [1, 2, {"c": "d"}]}}.a.b[2].c
{1: "int", "1": "str"}[1]
{1: "int", "1": "str"}["1"]
{1.0: "f"}[1]
{true: "t"}[1]
{[1]: 2}
{}[[1]]
undefined_ in l
undefined_ == ""
undefined_ < 1
-undefined_
none_ + 1
none_ ~ ""
s % 1
"" % ()
"%d%%" % 50
"%.3s|" % "abcdef"
"%*d" % (5, 42)
"%i" % 3.99
"%d" % 3.99
"%s" % none_
"%5s|%-5s|" % ("a", "b")
"%05.1f" % 3.14159
"%x" % -255
"%g" % 1e20
"%g" % 100000
"%g" % 1000000
"%#o" % 8
"%s %(a)s" % {"a": 1}
""".strip().split("\n")

TEMPLATES = [
    # Lists and dicts are objects: everybody who holds one sees its changes.
    "{% set q = namespace(ids=[]) %}{% for x in l %}{% set _ = q.ids.append(x) %}{% endfor %}{{ q.ids }}",
    "{% set q = namespace(ids=[]) %}{% for x in l %}{{ q.ids.append(x) }}{% endfor %}{{ q.ids|length }}",
    "{% set a = [1] %}{% set b = a %}{{ b.append(2) or '' }}{{ a }}{{ b }}",
    "{% set a = [1] %}{% set b = a + [] %}{{ b.append(2) or '' }}{{ a }}{{ b }}",
    "{% set a = [1] %}{% set b = a[:] %}{{ b.append(2) or '' }}{{ a }}{{ b }}",
    "{% set a = [1] %}{% set b = a.copy() %}{{ b.append(2) or '' }}{{ a }}{{ b }}",
    "{% set a = [1] %}{% set b = a|list %}{{ b.append(2) or '' }}{{ a }}{{ b }}",
    "{% set a = [] %}{% set d = {'k': a} %}{{ a.append(1) or '' }}{{ d }}{{ d.k.append(2) or '' }}{{ a }}",
    "{% set a = [[]] * 2 %}{{ a[0].append(1) or '' }}{{ a }}",
    "{% set a = [[], []] %}{{ a[0].append(1) or '' }}{{ a }}",
    "{% set o = {'x': {'y': [1, {'z': []}]}} %}{% set z = o.x.y[1].z %}{{ z.append('in') or '' }}{{ o }}",
    "{% set o = {'x': [{'y': []}]} %}{% for i in o.x %}{{ i.y.append(1) or '' }}{{ i.update(n=2) or '' }}{% endfor %}{{ o }}",
    "{% set o = [{'c': []}, {'c': []}] %}{% for i in o %}{% for j in range(2) %}{{ i.c.append(j) or '' }}{% endfor %}{% endfor %}{{ o }}",
    "{% macro add(list, item) %}{{ list.append(item) or '' }}{% endmacro %}{% set a = [] %}{{ add(a, 1) }}{{ add(a, 2) }}{{ a }}",
    "{% macro f(a=[]) %}{{ a.append(1) or '' }}{{ a }}{% endmacro %}{{ f() }}{{ f() }}",
    "{{ messages[0].update({'content': 'new'}) or '' }}{{ messages[0].content }}{{ messages|length }}",
    "{% for m in messages %}{{ m.update(seen=loop.index) or '' }}{% endfor %}{{ messages|map(attribute='seen')|list }}",
    "{% set m = messages[0] %}{{ m.setdefault('role', 'x') }}{{ m.setdefault('new', []).append(1) or '' }}{{ messages[0].new }}",
    "{{ messages.append({'role': 'x'}) or '' }}{{ messages|length }}{{ messages[-1].role }}",
    "{{ messages.pop(0).role }}{{ messages|length }}",
    "{{ messages.insert(0, {'role': 'system'}) or '' }}{{ messages|map(attribute='role')|join(',') }}",
    "{% set a = [1, 2, 3] %}{{ a.pop() }}{{ a.pop(0) }}{{ a }}",
    "{% set a = [1, 2, 3] %}{{ a.insert(1, 'x') or '' }}{{ a.insert(-1, 'y') or '' }}{{ a.insert(99, 'z') or '' }}{{ a }}",
    "{% set a = [1, 2] %}{{ a.extend((3, 4)) or '' }}{{ a.extend('ab') or '' }}{{ a.extend({'k': 1}) or '' }}{{ a }}",
    "{% set a = [1, 2] %}{{ a.extend(a) or '' }}{{ a }}",
    "{% set a = [1, 2, 1] %}{{ a.remove(1) or '' }}{{ a }}{{ a.remove(9) }}",
    "{% set a = [1, 2, 3] %}{{ a.reverse() or '' }}{{ a }}{{ a.clear() or '' }}{{ a }}",
    "{% set a = [3, 1, 2] %}{{ a.sort() or '' }}{{ a }}{{ a.sort(reverse=true) or '' }}{{ a }}",
    "{% set a = ['b', 'A'] %}{{ a.sort() or '' }}{{ a }}",
    "{% set a = [] %}{{ a.append(a) or '' }}{{ a }}{{ a|length }}{{ a[0][0] is sameas a }}",
    "{% set d = {} %}{{ d.update(me=d) or '' }}{{ d }}",
    "{% set a = [] %}{% set b = [a] %}{{ a.append(b) or '' }}{{ a }}{{ b }}",
    "{% set n = namespace() %}{% set n.me = 1 %}{% set n.x = [n.me] %}{{ n.x.append(2) or '' }}{{ n.x }}",
    "{% set n = namespace(inner=namespace(v=1)) %}{% set inner = n.inner %}{% set inner.v = 2 %}{{ n.inner.v }}",
    "{% set n = namespace(a=1) %}{% set m = n %}{% set m.a = 2 %}{{ n.a }}{{ n }}",
    "{% set n = namespace({'a': 1}, b=2) %}{{ n.a }}{{ n.b }}{{ n.c is defined }}{{ n['a'] }}",
    "{% set n = namespace(a=1) %}{% set n.a, n.b = 5, 6 %}{{ n.a }}{{ n.b }}",
    "{% set n = namespace(t='') %}{% set n.t %}block{{ 1 }}{% endset %}{{ n.t }}",
    "{% set n = 5 %}{% set n.x = 1 %}",
    "{% set d = {'a': 1} %}{{ d.update({'b': 2}, c=3) or '' }}{{ d.update([('a', 9)]) or '' }}{{ d }}",
    "{% set d = {'a': 1, 'b': 2} %}{{ d.pop('a') }}{{ d }}{{ d.popitem() }}{{ d }}{{ d.clear() or '' }}{{ d }}",
    "{% set d = {'a': 1} %}{% set k = d.keys() %}{{ d.update(b=2) or '' }}{{ k }}{{ k|list }}{{ k|length }}",
    "{% set d = {'a': 1} %}{% set e2 = d.copy() %}{{ e2.update(b=2) or '' }}{{ d }}{{ e2 }}",
    "{% set d = {1: 'a'} %}{{ d.update({true: 'b'}) or '' }}{{ d }}",
    "{% set a = [1, 2] %}{% for x in a %}{% if x < 5 %}{{ a.append(x + 2) or '' }}{% endif %}{{ x }}{% endfor %}{{ a }}",
    "{% set a = [1, 2, 3] %}{% for x in a %}{{ x }}{{ a.pop() }}{% endfor %}{{ a }}",
    "{% set a = [1] %}{% set t = (a, 2) %}{{ a.append(3) or '' }}{{ t }}",
    "{% set m = l|map('string') %}{{ m|list }}{{ m|list }}",
    "{% set m = l|select('odd') %}{{ m|first }}{{ m|list }}",
    "{% set a = d.a %}{{ a.append('x') or '' }}{{ d['a'] }}{{ d|tojson }}",
    "{% set c = d %}{{ c.update(new=1) or '' }}{{ 'new' in d }}",
    # Scopes.
    "{% set x = 1 %}{% for i in l %}{% set x = i %}{{ x }}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% if false %}{% set i = 2 %}{% endif %}{{ i }}",
    "{% for a in l %}{% if loop.first %}{% set z = 1 %}{% endif %}{{ z is defined }}{% endfor %}{{ z is defined }}",
    "{% for i in l %}{{ i }}{% set i = 'x' %}{{ i }}{% endfor %}{{ i }}",
    "{% for i in l %}{% for i in w %}{{ i }}{% endfor %}{{ i }}{% endfor %}",
    "{% set x = 'a' %}{% for i in [1, 2] %}{{ x }}{% set x = x ~ i %}{{ x }};{% endfor %}{{ x }}",
    "{% set x = 1 %}{% macro f() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ f() }}",
    "{% macro f() %}{% set x = 5 %}{{ x }}{% endmacro %}{{ f() }}{{ x }}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% set c = 3 %}{% endwith %}{{ a is defined }}{{ c is defined }}",
    "{% set a = 9 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% set x %}block {{ i }}{% set y = 1 %}{% endset %}{{ x }}{{ y is defined }}",
    "{% set x | upper | replace('B', 'x') %}block {{ i }}{% endset %}{{ x }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set a, b = b, a %}{{ a }}{{ b }}",
    "{% set (a, b), c = (1, 2), 3 %}{{ a }}{{ b }}{{ c }}",
    "{% set a, b = [1] %}",
    "{% set x = 1, 2 %}{{ x }}",
    # Loops.
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}-{{ x }}-{{ loop.nextitem }};{% endfor %}",
    "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }}{% endfor %}",
    "{% for x in l %}{{ loop }}{% endfor %}",
    "{% for x in l %}{% for y in w %}{{ loop.index }}{{ loop.depth }}{% endfor %}{{ loop.index }}{% endfor %}",
    "{% for x in l %}{% set outer = loop %}{% for y in [1, 2] %}{{ outer.index }}.{{ loop.index }} {% endfor %}{% endfor %}",
    "{% for x in [] %}a{% else %}b{% endfor %}",
    "{% for x in l %}{{ x }}{% else %}b{% endfor %}",
    "{% for x in undefined_ %}a{% else %}b{% endfor %}",
    "{% for x in none_ %}a{% endfor %}",
    "{% for x in i %}a{% endfor %}",
    "{% for x in s[:3] %}{{ x }}.{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{% endfor %}",
    "{% for x in l if x > 1 %}{{ x }}{{ loop.index }}{{ loop.length }}{{ loop.last }};{% endfor %}",
    "{% for x in l if x > 9 %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% break %}{% else %}e{% endfor %}",
    "{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}{{ y }}{% endfor %}{{ x }}{% endfor %}",
    "{% for x in l %}{% set y %}a{% if x == 1 %}{% break %}{% endif %}{% endset %}{{ y }}{% endfor %}",
    "{% for x in [[1, [2]], [3]] recursive %}{% if x is iterable %}[{{ loop(x) }}]{% else %}{{ x }}{% endif %}{{ loop.depth }}{% endfor %}",
    "{% for x in [{'n': 'a', 'c': [{'n': 'b', 'c': []}]}] recursive %}{{ x.n }}{{ loop.depth0 }}{% if x.c %}({{ loop(x.c) }}){% endif %}{% endfor %}",
    "{% for x in range(3) %}{{ x }}{% endfor %}{% for x in range(3, 0, -1) %}{{ x }}{% endfor %}",
    "{% for x in l|map('string') %}{{ x }}{{ loop.last }}{{ loop.length }}{% endfor %}",
    "{% for x in l %}{{ loop.nope is defined }}{% endfor %}",
    "{% for x in l %}{{ loop(x) }}{% endfor %}",
    "{% for m in messages %}{{ m.role }}:{{ m.content if m.content is string else '' }}{% if not loop.last %},{% endif %}{% endfor %}",
    "{% for m in messages[::-1] %}{{ m.role }}{% endfor %}{% for m in messages[1:] %}{{ loop.index0 }}{% endfor %}",
    "{% set n = namespace(found=false) %}{% for m in messages %}{% if m.tool_calls %}{% set n.found = true %}{% endif %}{% endfor %}{{ n.found }}",
    # Macros and calls.
    "{% macro f(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(1, c=4) }}{{ f(b=1, a=2) }}",
    "{% macro f(a, b) %}{{ a }}{{ b }}{{ b is defined }}{% endmacro %}{{ f(1) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, x=2) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, a=2) }}",
    "{% macro f(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, x=4) }}{{ f() }}",
    "{% macro f(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ f(*[1, 2]) }}{{ f(**{'a': 1, 'b': 2}) }}{{ f(1, *[2]) }}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% macro f() %}x{% endmacro %}{% set y = f() %}{{ y|upper }}{{ y is string }}{{ f.name }}{{ f.arguments }}",
    "{% macro f() %}[{{ caller() }}]{% endmacro %}{% call f() %}body {{ i }}{% endcall %}",
    "{% macro f() %}[{{ caller(1, 2) }}]{% endmacro %}{% call(a, b=5) f() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro f() %}{{ caller is defined }}{% endmacro %}{{ f() }}{% call f() %}{% endcall %}",
    "{% macro f(x) %}{{ x }}{% endmacro %}{% call f(1) %}b{% endcall %}",
    "{% macro outer() %}{% macro inner() %}in{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}",
    "{% macro a() %}A{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}",
    "{% for x in l %}{% macro f() %}{{ x }}{% endmacro %}{{ f() }}{% endfor %}",
    "{% filter upper %}abc{{ s }}{% endfilter %}",
    "{% filter replace('a', 'b')|upper %}aac{% endfilter %}",
    "{% block x %}in block {{ s }}{% endblock %}{{ self.x() }}",
    "{% set v = 1 %}{% block x %}{{ v }}{% endblock x %}",
    "{% for q in l %}{% block y scoped %}{{ q }}{% endblock %}{% endfor %}",
    "{% for q in l %}{% block y %}{{ q }}{% endblock %}{% endfor %}",
    "{% generation %}a{% set z = 1 %}{{ z }}{% endgeneration %}{{ z is defined }}",
    "{% print 1, 2 %}",
    # White space, comments, raw, line ends.
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n",
    "a\n  {%- if true -%}\n  b\n  {%- endif -%}\nc",
    "a\n  {%+ if true +%}\n  b\n  {% endif %}\nc",
    "a {{- s -}} b",
    "a \n {{ s }} \n b",
    "{% if true %}\n\nx{% endif %}\n\n",
    "{# c #}\na{#- c -#}\n b\n  {# c #}\nd",
    "{# {{ x }} {% if %} #}x",
    "{% raw %}{{ a }}{% if %}{% endraw %}",
    "a\n  {% raw %}\n b {{\n  {% endraw %}\nc",
    "a {%- raw -%} b {%- endraw -%} c",
    "a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc\r\n",
    "a\r{% if true %}\rb\r{% endif %}\rc\r",
    "{{ 'a\r\nb'|tojson }}",
    "{% for m in messages %}\r\n<|{{ m.role }}|>\r\n{% endfor %}\r\n",
    "x\n",
    "x\n\n",
    "x\r\n\r\n",
    "",
    "\n",
    "{{ s }}\n",
    "{%- for x in l %}\n- {{ x }}\n{%- endfor %}",
    "{% for x in l -%}\n  {{ x }},\n{%- endfor %}",
    "{{ '{{' }}{{ '}}' }}{{ {'a': {'b': 1}}['a'] }}",
    "{{ {'a': {'b': {}}}}}",
    "  {% set x = 1 %}  \n  {{ x }}",
    "\t{%if true%}x{%endif%}",
    "{% if true %}{% if false %}a{% elif 1 %}b{% else %}c{% endif %}{% endif %}",
    "{% if 1, 2 %}t{% endif %}",
    "{%if x%}1{%elif s%}2{%else%}3{%endif%}",
    "{{ 1 }}{{ }}",
    "{{ 1 2 }}",
    "{% if %}{% endif %}",
    "{% endif %}",
    "{% for x in %}{% endfor %}",
    "{{ (1 }}",
    "{{ [1 }}",
    "{% if true %}",
    "{% set 1 = 2 %}",
    "{{ a.b. }}",
    "{{ 'abc }}",
    "{% nope %}",
    "{{ x is }}",
    "{{ x | }}",
    "{% break %}",
    "{% macro f(a=1, b) %}{% endmacro %}",
    "{{ f(a=1, 2) }}",
    "{# never closed",
    "{% raw %}x",
    "{% for x in l %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(is_first=false, tool=false) %}{% for m in messages %}{% if m['role'] == 'user' %}{% set ns.is_first = true %}{% endif %}{% endfor %}{{ ns.is_first }}",
    "{% set loop_messages = messages[1:] %}{% for m in loop_messages %}{{ m['role'] }}{% if m.tool_calls is defined and m.tool_calls %}{{ m.tool_calls[0].function.arguments|tojson }}{% endif %}{% endfor %}",
    "{% for m in messages|selectattr('role', 'equalto', 'user') %}{{ m.content }}{% endfor %}",
    "{{ (messages|last).role }}{{ messages[-1]['content'][0].text }}",
    "{% if messages[0]['role'] == 'user' and not (messages[1].content) %}yes{% endif %}",
    "{{ cycler('a', 'b') is defined }}{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}",
    "{% set j = joiner(', ') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}",
    "{% autoescape false %}{{ h }}{% endautoescape %}",
    "{{ 'x'|indent }}{{ '%d items'|format(3) }}",
    "{% set content = ['a', 'b'] %}{% set content = content + ['c'] %}{{ content|join('\\n') }}",
    "{% set s2 = '' %}{% for x in w %}{% set s2 = s2 ~ x %}{% endfor %}[{{ s2 }}]",
    "{{ 'yes' if 'tool_calls' in messages[1] else 'no' }}{{ messages[1].get('tool_calls', [])|length }}",
    "{{ dict(messages[0], extra=1)|tojson }}{{ messages[0].items()|list }}",
    "{{ messages|map(attribute='content')|select('string')|join(',') }}",
    "{{ messages|rejectattr('content', 'none')|list|length }}",
    "{% do l.append(1) %}",
]


rng = random.Random(20260314)


def mutations():
    """A program that changes lists and dicts through aliases."""
    lists = ["a", "b.k", "n.x", "c[0]", "c[-1]", "b['k']", "o.p.q[0]"]
    values = ["1", "'x'", "[2]", "{'z': 3}", "a|length", "b.k[:1]", "(4,)"]
    steps = [
        "{{ L.append(V) or '' }}", "{{ L.extend([V, V]) or '' }}", "{{ L.insert(N, V) or '' }}", "{% set a = a + [V] %}",
        "{% set c = c + [a] %}", "{% set n.x = L %}", "{% set n.x = n.x[N:] %}", "{{ b.update(k=L) or '' }}",
        "{{ b.update({V2: V}) or '' }}", "{{ L.pop() if L else '' }}", "{{ L.reverse() or '' }}", "{% set a = L %}",
        "{{ b.setdefault('s', []).append(V) or '' }}", "{{ L.remove(L[0]) or '' if L else '' }}", "{{ o.p.update(q=[L]) or '' }}",
        "{% for i in range(2) %}{{ L.append(i) or '' }}{% endfor %}", "{% macro f(l) %}{{ l.append(V) or '' }}{% endmacro %}{{ f(L) }}",
        "{% for i in c %}{{ i.append(loop.index) or '' if i is sequence and i is not mapping }}{% endfor %}", "{{ L.copy().append(V) or '' }}",
        "{% set c = [L, L] %}", "{% set c = [L[:], L] %}", "{{ c.insert(N, L) or '' }}", "{% set d = b.copy() %}{{ d.k.append(V) or '' }}",
        "{{ L.count(1) }}{{ V in L }}", "{% set a = L|list %}", "{% set x %}{{ L.append(V) or '' }}{% endset %}{{ x }}",
    ]
    out = "{% set a = [1] %}{% set b = {'k': a} %}{% set c = [a, [0]] %}{% set n = namespace(x=[5]) %}{% set o = {'p': {'q': [a]}} %}"
    for _ in range(rng.randint(3, 9)):
        step = rng.choice(steps)
        while "L" in step:
            step = step.replace("L", rng.choice(lists) if "if L" not in step and "L[0]" not in step else "a", 1)
        step = step.replace("V2", rng.choice(["'k2'", "1", "(1, 2)", "true"]))
        while "V" in step:
            step = step.replace("V", rng.choice(values), 1)
        out += step.replace("N", str(rng.randint(-3, 3)))
    return out + " {{ a }} {{ b }} {{ c }} {{ n.x }} {{ o }}"


def arithmetic():
    """An expression over numbers."""
    number = lambda: rng.choice([str(rng.randint(-99, 99)), repr(round(rng.uniform(-9, 9), rng.randint(0, 3))), "x", "f", "i", "true"])
    expression = number()
    for _ in range(rng.randint(1, 4)):
        operator = rng.choice(["+", "-", "*", "/", "//", "%", "<", ">=", "==", "~"])
        expression = rng.choice(["%s %s %s", "(%s) %s %s", "%s %s (%s)"]) % (expression, operator, number())
    return "{{ %s }}" % expression


def slices():
    part = lambda: rng.choice(["", "", str(rng.randint(-8, 8))])
    step = rng.choice(["", ":", ":%d" % rng.choice([-3, -2, -1, 1, 2, 3])])
    return "{{ %s[%s:%s%s] }}" % (rng.choice(["s", "u", "w", "l", "(1, 2, 3, 4)", "range(9)|list"]), part(), part(), step)


def formats():
    value = rng.choice([str(rng.randint(-10**6, 10**6)), repr(rng.uniform(-1000, 1000)), repr(10.0 ** rng.randint(-12, 20)), "0.0"])
    fill = rng.choice(["", "<", ">", "^", "*<", "0=", "x^"])
    sign = rng.choice(["", "+", " "])
    width = rng.choice(["", "8", "012"])
    if rng.random() < 0.3:
        return "{{ '%%%s%s%s%s' %% (%s,) }}" % (rng.choice(["", "-", "+", " ", "0"]), rng.choice(["", "10"]), rng.choice(["", ".0", ".3"]), rng.choice("dfegsr"), value)
    if "." in value or "e" in value:
        kind = rng.choice(["", "f", "e", "g", "%", ".0f", ".2f", ".3e", ".4g", ".10g", ",.1f", ".2", ".1%"])
    else:
        kind = rng.choice(["", "d", ",", "_", "x", "X", "#x", "b", "o", "#o", "f", "e"])
    if kind.startswith("#"):
        width = kind[0] + width
        kind = kind[1:]
    return "{{ '{:%s%s%s%s}'.format(%s) }}" % (fill, sign, width, kind, value)


def floats():
    value = rng.choice([rng.uniform(-1, 1), rng.uniform(-1e6, 1e6), rng.random() * 10.0 ** rng.randint(-20, 30), float(rng.randint(-10**6, 10**6))])
    return "{{ %s }}{{ (%s)|tojson }}{{ (%s)|round(%d) }}{{ (%s)|int }}" % (repr(value), repr(value), repr(value), rng.randint(0, 3), repr(value))


def render(template):
    try:
        context = json.loads(json.dumps(CONTEXT))
        return env.from_string(template).render(**context)
    except Exception:
        return None


cases = [{"template": "{{ %s }}" % e} for e in EXPRESSIONS] + [{"template": t} for t in TEMPLATES]
for make, count in [(mutations, 250), (arithmetic, 120), (slices, 80), (formats, 120), (floats, 60)]:
    cases += [{"template": make()} for _ in range(count)]
# Addresses differ from run to run.
cases = [case for case in cases if " at 0x" not in (render(case["template"]) or "")]
for case in cases:
    case["expect"] = render(case["template"])
json.dump({"context": CONTEXT, "cases": cases}, sys.stdout, ensure_ascii=False, indent=0)
print()
