"""The negative vectors of make_vectors.py: inputs and what docs/protocol.md expects, by hand.

`also` lists other outcomes that the text leaves open; a test should take those too.
"""

import base64

import sotto_peer as peer


def data_of(text):
    return text if isinstance(text, bytes) else text.encode()


def nested(depth, inner=""):
    return "[" * depth + inner + "]" * depth


def add(text, members):
    """An object's text with members put in front of its closing brace."""
    return text[:-1] + ("," if text != "{}" else "") + members + "}"


# Text that is no JSON, or not the JSON of protocol 1, made from the text of a good object.
def bad_json(good):
    return [
        ("empty", ""), ("blank", "  "), ("a byte order mark", b"\xef\xbb\xbf" + good.encode()),
        ("UTF-16", good.encode("utf-16-le")), ("a trailing comma", good[:-1] + ",}"),
        ("the last brace is missing", good[:-1]), ("text after the object", good + "x"),
        ("two objects", good + good), ("a zero byte after the object", good + "\0"),
        ("a comment", good[:-1] + "/**/}"), ("a form feed as blank", good[:-1] + "\f}"),
        ("a no-break space as blank", good[:-1] + "\u00a0}"), ("single quotes", add(good, "'x':1")),
        ("a name without quotes", add(good, "x:1")), ("no colon", add(good, '"x" 1')),
        ("no value", add(good, '"x":')), ("NaN", add(good, '"x":NaN')),
        ("Infinity", add(good, '"x":-Infinity')), ("True", add(good, '"x":True')),
        ("a number with a leading zero", add(good, '"x":01')), ("a plus sign", add(good, '"x":+1')),
        ("no digit after the point", add(good, '"x":1.')),
        ("no digit before it", add(good, '"x":.5')),
        ("an exponent without digits", add(good, '"x":1e')), ("a lone minus", add(good, '"x":-')),
        ("hexadecimal", add(good, '"x":0x1')),
        ("a control byte in a string", add(good, '"x":"a\nb"')),
        ("a zero byte in a string", add(good, '"x":"a\0b"')),
        ("an unknown escape", add(good, '"x":"\\x41"')),
        ("a short \\u escape", add(good, '"x":"\\u12"')), ("an open string", add(good, '"x":"y')),
        ("a byte that is not UTF-8", add(good, '"x":"y"').encode().replace(b"y", b"\xff")),
        ("an overlong UTF-8 form", add(good, '"x":"y"').encode().replace(b"y", b"\xc0\xaf")),
        ("a surrogate in UTF-8", add(good, '"x":"y"').encode().replace(b"y", b"\xed\xa0\x80")),
        ("beyond U+10FFFF", add(good, '"x":"y"').encode().replace(b"y", b"\xf4\x90\x80\x80")),
        ("a cut UTF-8 sequence", add(good, '"x":"y"').encode().replace(b"y", b"\xe2\x82")),
        ("half a surrogate pair in a name", add(good, '"\\ud800":1')),
        ("surrogates in the wrong order, in a name", add(good, '"\\udc00\\ud800":1')),
        ("nested 65 deep", add(good, '"x":' + nested(64))),
        ("an open array", add(good, '"x":[1')), ("a wrong bracket", add(good, '"x":[1}')),
        ("a duplicate member that is unknown", add(good, '"x":1,"x":1')),
        ("a duplicate hidden by an escape", add(good, '"x":1,"\\u0078":1')),
    ]


# What the same object may hold without harm.
def good_json(good):
    return [
        ("blanks around every token",
         " \t\r\n" + good.replace(",", " ,\n").replace(":", "\t: ") + "\n"),
        ("an unknown member", add(good, '"x":null')),
        ("unknown members of every kind",
         add(good, '"x":[1.5e-3,true,{"y":"\\ud834\\udd1e"}],"":-0')),
        ("duplicates inside an unknown member", add(good, '"x":{"a":1,"a":2}')),
        ("a huge number in an unknown member", add(good, '"x":1e99999,"y":' + "9" * 40)),
        ("an unknown name which differs in case", add(good, '"SOTTO":2,"ID":0,"Close":1')),
        ("nested 64 deep", add(good, '"x":' + nested(63))),
        ("a number inside 64 levels", add(good, '"x":' + nested(63, "1"))),
        ("DEL and line separators in a string", add(good, '"x":"\x7f\u2028\ufeff"')),
    ]


def open_json(good):
    return [("half a surrogate pair in the value of an unknown member", add(good, '"x":"\\ud800"'))]


# ---------------------------------------------------------------- negotiation, protocol 3

def negotiation_cases(epoch):
    xx = '{"sotto":1,"pattern":"XX","curve":"25519","cipher":"AESGCM"}'
    nk = add(xx.replace('"XX"', '"NKpsk0"'), '"epoch":"%s"' % epoch)
    out = []

    def case(expect, why, text, also=(), gated=False, client_auth="none"):
        out.append({"why": why, "server": {"gated": gated, "client_auth": client_auth},
                    "expect": expect,
                    **({"also": list(also)} if also else {}), "data": data_of(text)})

    def swap(old, new, text=xx):
        assert old in text
        return text.replace(old, new)

    for pattern in ("XX", "XXpsk0", "NKpsk0", "IKpsk0"):
        for curve in peer.CURVES:
            for cipher in peer.CIPHERS:
                text = peer.negotiation_text(pattern, curve, cipher,
                                             epoch if pattern in peer.SESSION_PATTERNS else None)
                case("accept", "%s %s %s" % (pattern, curve, cipher), text,
                     gated=pattern == "XXpsk0")
    for why, text in good_json(nk):
        case("accept", why, text)
    case("accept", "members in another order",
         '{"max_message":1024,"epoch":"%s","cipher":"AESGCM","curve":"25519","pattern":"IKpsk0",'
         '"sotto":1}'
         % epoch)
    case("accept", "escapes in names and values",
         swap('"pattern":"XX"', '"p\\u0061ttern":"\\u0058X"'))
    case("accept", "the smallest max_message", add(nk, '"max_message":1024'))
    case("accept", "the largest max_message", add(nk, '"max_message":4294967295'))
    case("accept", "epoch does not count in a bootstrap", add(xx, '"epoch":5'))
    case("accept", "max_message does not count in a bootstrap", add(xx, '"max_message":0'))
    case("accept", "IKpsk0 where keys are required", swap("NKpsk0", "IKpsk0", nk),
         client_auth="required")
    case("accept", "NKpsk0 where keys are optional", nk, client_auth="optional")
    case("accept", "XX where keys are required", xx, client_auth="required")
    case("accept", "1024 bytes, the largest negotiation", xx[:-1] + " " * (1024 - len(xx)) + "}")
    for why, text in open_json(xx):
        case("accept", why, text, also=["malformed"])

    for why, text in bad_json(xx):
        case("malformed", why, text)
    for text in ("null", "true", "1", '"XX"', "[]", "[%s]" % xx):
        case("malformed", "not an object: " + text[:10], text)
    case("malformed", "an empty object", "{}")
    case("malformed", "sotto twice, the same", add(xx, '"sotto":1'))
    case("malformed", "pattern twice", add(xx, '"pattern":"XX"'))
    case("malformed", "epoch twice in a bootstrap", add(xx, '"epoch":1,"epoch":1'))
    case("malformed", "half a surrogate pair in cipher", swap("AESGCM", "\\udc00"))
    case("malformed", "sotto is missing", swap('"sotto":1,', ""))
    for value in ('"1"', "1.0", "1e0", "10e-1", "01", "+1", "null", "true", "[1]", "{}", '""'):
        case("malformed", "sotto is " + value, swap('"sotto":1', '"sotto":' + value))
    for value in ("-1", "-0"):
        case("malformed", "sotto is %s: integers are unsigned" % value,
             swap('"sotto":1', '"sotto":' + value))
    for name in ("pattern", "curve", "cipher"):
        value = {"pattern": "XX", "curve": "25519", "cipher": "AESGCM"}[name]
        member = '"%s":"%s"' % (name, value)
        case("malformed", name + " is missing", xx.replace("," + member, ""))
        for bad in ("null", "1", "true", "[]", '["%s"]' % value, "{}"):
            case("malformed", "%s is %s" % (name, bad), swap(member, '"%s":%s' % (name, bad)))
    case("malformed", "curve is the number 25519", swap('"25519"', "25519"))
    case("malformed", "a session without epoch", swap(',"epoch":"%s"' % epoch, "", nk))
    for why, value in (("in upper case", '"%s"' % epoch.upper()),
                       ("of 15 digits", '"%s"' % epoch[:15]),
                       ("of 17 digits", '"%s0"' % epoch), ("with a letter that is no digit",
                        '"g%s"' % epoch[1:]), ("empty", '""'), ("null", "null"),
                       ("a number", "1234567890123456"),
                       ("with a blank", '" %s"' % epoch[1:]), ("an array", '["%s"]' % epoch),
                       ("with a zero byte at the end", '"%s\\u0000"' % epoch),
                       ("of full-width digits", '"%s"' % ("\uff11" * 16))):
        case("malformed", "epoch " + why, swap('"%s"' % epoch, value, nk))
    for value in ("0", "1023", "4294967296", "18446744073709552640", '"1024"', "1024.0", "2e3",
                  "02048",
                  "null", "-1024", "-0", "true", "[1024]"):
        case("malformed", "max_message is " + value, add(nk, '"max_message":' + value))
    for value in ("2", "0", "4294967297", "18446744073709551617"):
        case("unsupported_version", "sotto is " + value, swap('"sotto":1', '"sotto":' + value))

    case("unsupported_version", "the version comes before missing members", '{"sotto":2}')
    case("unsupported_version", "the version comes before mistyped members",
         '{"sotto":2,"pattern":1,"curve":2,"cipher":3,"epoch":4}')
    case("malformed", "a duplicate comes before the version", '{"sotto":2,"sotto":2}')
    case("malformed", "a version of the wrong type comes before everything",
         '{"sotto":"2","pattern":"KK"}')
    case("malformed", "a missing cipher comes before an unknown pattern",
         '{"sotto":1,"pattern":"KK","curve":"25519"}')
    case("malformed", "a bad epoch comes before an unknown curve",
         swap('"25519"', '"x"', swap(epoch, "x", nk)))
    case("malformed", "a bad max_message comes before an unknown epoch",
         add(swap(epoch, "0" * 16, nk), '"max_message":1'))
    for pattern in ("KK", "XXpsk3", "NK", "IK", "NKpsk2", "xx", "XX ", "nkpsk0", "", "Noise_XX",
                    "XXfallback"):
        case("unsupported_pattern", "pattern %r" % pattern, swap('"XX"', '"%s"' % pattern))
    case("unsupported_pattern", "XXpsk0 at a server without gate", swap('"XX"', '"XXpsk0"'))
    case("unsupported_pattern", "XX at a gated server", xx, gated=True)
    case("unsupported_pattern", "epoch does not count with an unknown pattern",
         swap("NKpsk0", "KKpsk0", swap('"%s"' % epoch, "1", nk)))
    case("unsupported_pattern", "the pattern comes before curve and cipher",
         '{"sotto":1,"pattern":"KK","curve":"x","cipher":"y"}')
    for curve in ("X25519", "25519 ", "P-256", "ed25519", "", "0448", "25519\\u0000"):
        case("unsupported_curve", "curve %r" % curve, swap('"25519"', '"%s"' % curve))
    case("unsupported_curve", "the curve comes before the cipher",
         '{"sotto":1,"pattern":"XX","curve":"x","cipher":"y"}')
    case("unsupported_curve", "the curve comes before the epoch", swap('"25519"', '"x"', swap(
        epoch, "0" * 16, nk)))
    for cipher in ("aesgcm", "AES-GCM", "ChaCha20Poly1305", "chachapoly", "", "AESGCM\\u0000"):
        case("unsupported_cipher", "cipher %r" % cipher, swap('"AESGCM"', '"%s"' % cipher))
    case("unsupported_cipher", "the cipher comes before the epoch", swap('"AESGCM"', '"x"', swap(
        epoch, "0" * 16, nk)))
    case("unknown_epoch", "another epoch", swap(epoch, "0" * 16, nk))
    case("unknown_epoch", "another epoch, IKpsk0",
         swap("NKpsk0", "IKpsk0", swap(epoch, "f" * 16, nk)))
    case("unknown_epoch", "the epoch comes before the client key", swap(epoch, "0" * 16, nk),
         client_auth="required")
    case("client_key_required", "NKpsk0 where keys are required", nk, client_auth="required")
    return out


def refusal_cases():
    good = '{"error":{"code":"busy"}}'
    out = []

    def case(expect, why, text, code=None, retry=None, also=()):
        out.append({"why": why, "expect": expect, "code": code, "retry_after_ms": retry,
                    **({"also": list(also)} if also else {}), "data": data_of(text)})

    case("refusal", "a code alone", good, "busy")
    case("refusal", "an unknown code", '{"error":{"code":"tired","message":"x"}}', "tired")
    case("refusal", "unknown members", '{"a":{"b":1,"b":1},"error":{"code":"busy","c":[]}}', "busy")
    case("refusal", "the smallest hint", '{"error":{"code":"busy","retry_after_ms":1}}', "busy", 1)
    case("refusal", "the largest hint", '{"error":{"code":"busy","retry_after_ms":2147483648}}',
         "busy", 2 ** 31)
    for why, text in bad_json(good):
        case("reject", why, text)
    for text in ("null", "[]", "{}", '{"error":null}', '{"error":"busy"}', '{"error":[]}',
                 '{"error":{}}',
                 '{"error":{"code":1}}', '{"error":{"code":null}}', '{"error":{"message":"x"}}',
                 '{"error":{"code":"busy","message":1}}', '{"error":{"code":"busy","code":"busy"}}',
                 '{"error":{"code":"busy"},"error":{"code":"busy"}}', '{"code":"busy"}'):
        case("reject", "not the shape of a refusal: " + text, text)
    for value in ("0", "2147483649", "1.5", "1e3", '"1"', "null", "-1", "01", "true"):
        case("reject", "retry_after_ms is " + value,
             '{"error":{"code":"busy","retry_after_ms":%s}}' % value)
    return out


# ---------------------------------------------------------------- bootstrap document, protocol 4

def low_order(curve):
    """Encodings of points whose Diffie-Hellman is always zero."""
    prime = {"25519": 2 ** 255 - 19, "448": 2 ** 448 - 2 ** 224 - 1}[curve]
    size = peer.DHLEN[curve]
    points = [("0", 0), ("1", 1), ("p - 1", prime - 1), ("p", prime), ("p + 1", prime + 1)]
    if curve == "25519":
        points += [("of order 8, first",
                    0x00b8495f16056286fdb1329ceb8d09da6ac49ff1fae35616aeb8413b7c7aebe0),
                   ("of order 8, second",
                    0x57119fd0dd4e22d8868e1c58c45c44045bef839c55b1d0b1248c50a3bc959c5f),
                   ("0 with the top bit set", 2 ** 255), ("1 with the top bit set", 2 ** 255 + 1)]
    return [(name, number.to_bytes(size, "little")) for name, number in points]


def document_cases(keys, server_id):
    out = []
    b64 = {c: base64.b64encode(k).decode() for c, k in keys.items()}
    good = ('{"server_id":"%s","salt_index":57,"server_string":"string","iterations":10000,'
            '"curve":"25519","public_key":"%s","other_keys":{"448":"%s"},"client_auth":"none"}'
            % (server_id, b64["25519"], b64["448"]))
    good448 = good.replace('"curve":"25519"', '"curve":"448"').replace(
        '"public_key":"%s"' % b64["25519"], '"public_key":"%s"' % b64["448"]).replace(
        '{"448":"%s"}' % b64["448"], '{"25519":"%s"}' % b64["25519"])

    def case(expect, why, text, curve="25519", key=None, also=()):
        out.append({"why": why,
                    "context": {"curve": curve, "authenticated_key": (key or keys[curve]).hex(),
                                            "salts": 100}, "expect": expect,
                    **({"also": list(also)} if also else {}), "data": data_of(text)})

    def swap(old, new, text=good):
        assert old in text, old
        return text.replace(old, new)

    def member(name, value, text=good):
        """The document with another value of one member, or without it (value None)."""
        at = text.index('"%s":' % name)
        end = text.index("}", at) + 1 if name == "other_keys" else min(
            i for i in (text.find(",", at), len(text) - 1) if i > 0)
        new = "" if value is None else '"%s":%s' % (name, value)
        joined = text[:at] + new + text[end:]
        return joined.replace(",,", ",").replace("{,", "{").replace(",}", "}")

    case("accept", "25519", good)
    case("accept", "448", good448, "448")
    for why, text in good_json(good):
        case("accept", why, text)
    for why, text in open_json(good):
        case("accept", why, text, also=["reject"])
    case("accept", "no other keys", member("other_keys", "{}"))
    case("accept", "an unknown curve in other_keys, of any value",
         member("other_keys", '{"P-256":[1,{"a":1,"a":2}],"448":"%s"}' % b64["448"]))
    case("accept", "salt_index 0", member("salt_index", "0"))
    case("accept", "salt_index 99, the last", member("salt_index", "99"))
    case("accept", "iterations at the minimum", member("iterations", "10000"))
    case("accept", "iterations at the maximum", member("iterations", "1000000"))
    case("accept", "server_string of 1 byte", member("server_string", '"x"'))
    case("accept", "server_string of 1024 bytes", member("server_string", '"%s"' % ("é" * 512)))
    case("accept", "server_string of 1024 bytes, 6144 as escapes",
         member("server_string", '"%s"' % ("\\u0041" * 1024)))
    case("accept", "a zero byte in server_string", member("server_string", '"a\\u0000b"'))
    case("accept", "a surrogate pair of escapes in server_string",
         member("server_string", '"\\uD834\\udd1E"'))
    for value in ('"none"', '"optional"', '"required"'):
        case("accept", "client_auth " + value, member("client_auth", value))
    case("accept", "expires_in 1", add(good, '"expires_in":1'))
    case("accept", "expires_in 2^31", add(good, '"expires_in":2147483648'))

    case("denied", "denied", '{"error":{"code":"denied","message":"no"}}')
    case("denied", "denied without a message", '{"error":{"code":"denied"}}')
    case("denied", "an unknown code counts as denied", '{"error":{"code":"tired"}}')
    for value in ("null", '"denied"', "{}", '{"code":1}', '{"code":"denied","message":[]}',
                  '{"code":"denied","code":"denied"}'):
        case("reject", "an error of another shape: " + value, '{"error":%s}' % value)

    for why, text in bad_json(good):
        case("reject", why, text)
    for text in ("null", "[]", "{}", '"x"'):
        case("reject", "not a document: " + text, text)
    for name in ("server_id", "salt_index", "server_string", "iterations", "curve", "public_key",
                 "other_keys",
                 "client_auth"):
        case("reject", name + " is missing", member(name, None))
        case("reject", name + " is null", member(name, "null"))
        case("reject", name + " twice", add(good, '"%s":1' % name))
    for why, value in (("in upper case", "000102030405060708090A0B0C0D0E0F"),
                       ("of 31 digits", server_id[:31]),
                       ("of 34 digits", server_id + "00"), ("with a g", "g" + server_id[1:]),
                       ("empty", ""),
                       ("with a blank", " " + server_id[1:])):
        case("reject", "server_id " + why, member("server_id", '"%s"' % value))
    case("reject", "server_id is a number", member("server_id", "1"))
    for value in ("100", "65535", "4294967296", "18446744073709551616", "-1", "-0", "5.0", "1e1",
                  "05", '"5"', "true"):
        case("reject", "salt_index is " + value, member("salt_index", value))
    for why, value in (("empty", '""'), ("of 1025 bytes", '"%s"' % ("a" * 1025)),
                       ("of 513 letters, 1026 bytes", '"%s"' % ("é" * 513)), ("a number", "1"),
                       ("an array", '["a"]'),
                       ("with half a surrogate pair", '"a\\ud800"'),
                       ("with the other half", '"\\udc00a"')):
        case("reject", "server_string " + why, member("server_string", value))
    for value in ("9999", "1000001", "0", "1", "-10000", "10000.0", "1e4", '"10000"', "4294977296",
                  "18446744073709561616"):
        case("reject", "iterations is " + value, member("iterations", value))
    for value in ('"448"', '"X25519"', "25519", '""'):
        case("reject", "curve is " + value, member("curve", value))
    changed = bytes([keys["25519"][0] ^ 1]) + keys["25519"][1:]
    for why, value in (
            ("another key", base64.b64encode(changed).decode()),
        ("without padding", b64["25519"].rstrip("=")),
            ("with too much padding", b64["25519"] + "="), ("hex", keys["25519"].hex()),
        ("empty", ""),
            ("with a line break", b64["25519"][:20] + "\\n" + b64["25519"][20:]),
            ("with a blank at the end", b64["25519"] + " "),
        ("31 bytes", base64.b64encode(keys["25519"][:31]).decode()),
            ("33 bytes", base64.b64encode(keys["25519"] + b"\0").decode()),
        ("the other curve's key", b64["448"]),
            ("with a letter outside the alphabet", "*" + b64["25519"][1:])):
        case("reject", "public_key " + why, member("public_key", '"%s"' % value))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet[alphabet.index(b64["25519"][42]) | 1]
    case("reject", "public_key with unused bits that are not zero",
         member("public_key", '"%s%s="' % (b64["25519"][:42], last)))
    url = base64.b64encode(b"\xfb\xff" * 16).decode()
    case("reject", "public_key in the URL alphabet",
         member("public_key", '"%s"' % url.replace("+", "-").replace(
        "/", "_")), key=b"\xfb\xff" * 16)
    case("accept", "the same key in the right alphabet", member("public_key", '"%s"' % url),
         key=b"\xfb\xff" * 16)
    case("reject", "public_key is not the key that the handshake showed", good, key=changed)
    for name, raw in low_order("25519"):
        case("reject", "public_key is a low-order point: " + name,
             member("public_key", '"%s"' % base64.b64encode(raw).decode()), key=raw)
    for name, raw in low_order("448"):
        case("reject", "public_key is a low-order point of 448: " + name,
             swap('"public_key":"%s"' % b64["448"],
                  '"public_key":"%s"' % base64.b64encode(raw).decode(), good448),
             "448", key=raw)
        case("reject", "other_keys holds a low-order point: " + name,
             member("other_keys", '{"448":"%s"}' % base64.b64encode(raw).decode()))
    for why, value in (
            ("an array", "[]"), ("a string", '"x"'),
        ("with the own curve", '{"25519":"%s"}' % b64["25519"]),
            ("with a key of 55 bytes",
             '{"448":"%s"}' % base64.b64encode(keys["448"][:55]).decode()),
            ("with a number", '{"448":1}'), ("with null", '{"448":null}'),
        ("with bad base64", '{"448":"===="}'),
            ("with a curve twice", '{"448":"%s","448":"%s"}' % (b64["448"], b64["448"])),
            ("with a hidden duplicate", '{"448":"%s","4\\u00348":"%s"}' % (b64["448"], b64["448"])),
            ("with an unknown curve twice", '{"x":1,"x":1}')):
        case("reject", "other_keys is/comes " + why, member("other_keys", value))
    for value in ('"always"', '"None"', '""', "true", "0", "[]"):
        case("reject", "client_auth is " + value, member("client_auth", value))
    for value in ("0", "2147483649", "-1", "1.0", '"60"', "null", "18446744073709551617"):
        case("reject", "expires_in is " + value, add(good, '"expires_in":%s' % value))
    case("reject", "a document of the other curve", good448)
    return out


# ---------------------------------------------------------------- server hello, protocol 6

def hello_cases():
    good = '{"max_message":65536,"keepalive_ms":30000,"agent":"a"}'
    out = []

    def case(expect, why, text, also=()):
        out.append({"why": why, "expect": expect, **({"also": list(also)} if also else {}),
                    "data": data_of(text)})

    case("accept", "all members", good)
    case("accept", "no member", "{}")
    for why, text in good_json(good):
        case("accept", why, text)
    for why, text in open_json(good):
        case("accept", why, text, also=["reject"])
    for text in ('"max_message":1024', '"max_message":4294967295', '"keepalive_ms":1',
                 '"keepalive_ms":4294967295',
                 '"agent":""', '"agent":"%s"' % ("é" * 64), '"agent":"\\u0000\\n"'):
        case("accept", "at a bound: " + text[:40], "{%s}" % text)
    for why, text in bad_json(good):
        case("reject", why, text)
    for text in ("null", "[]", '"x"', "1"):
        case("reject", "not an object: " + text, text)
    for text in ('"max_message":1023', '"max_message":4294967296', '"max_message":0',
                 '"max_message":-1',
                 '"max_message":2048.0', '"max_message":2e3', '"max_message":"2048"',
                 '"max_message":null',
                 '"max_message":18446744073709553664',
                 '"keepalive_ms":0', '"keepalive_ms":4294967296', '"keepalive_ms":1.5',
                 '"keepalive_ms":"1"',
                 '"keepalive_ms":null', '"agent":null', '"agent":1', '"agent":["a"]',
                 '"agent":"%s"' % ("a" * 129),
                 '"agent":"%s"' % ("é" * 65), '"agent":"\\ud800"', '"agent":"a","agent":"a"',
                 '"max_message":2048,"max\\u005fmessage":2048'):
        case("reject", "mistyped, out of range or double: " + text[:40], "{%s}" % text)
    return out


# ---------------------------------------------------------------- client to server, protocol 7

def client_cases():
    echo = '{"endpoint":"echo","content":1}'
    out = []

    def case(expect, why, text, number=None, also=(), count=0, in_use=()):
        out.append({"why": why, "count": count, "in_use": list(in_use), "expect": expect,
                    **({} if number is None else {"id": number}),
                    **({"also": list(also)} if also else {}),
                    "data": data_of(text)})

    def request(why, text, number=1, **options):
        case("request", why, text, number, **options)

    def invalid(why, text, number=1, **options):
        case("invalid_request", why, text, number, **options)

    def broken(why, text, **options):
        case("protocol_error", why, text, **options)

    request("without an id: the first", echo)
    request("without an id: its ordinal", echo, 42, count=41)
    request("with an id", '{"id":7,"endpoint":"echo","content":"x","deadline_ms":2000}', 7)
    request("content is missing: null", '{"endpoint":"echo"}')
    request("the largest id", '{"id":9007199254740991,"endpoint":"echo"}', 9007199254740991)
    request("the smallest id", '{"id":1,"endpoint":"echo"}', 1)
    request("an id given by hand counts too", '{"id":7,"endpoint":"echo"}', 7, count=3)
    request("escapes in names and endpoint", '{"\\u0065ndpoint":"\\u0065cho"}')
    for why, text in good_json('{"id":7,"endpoint":"echo"}'):
        request(why, text, 7)
    for why, text in open_json('{"id":7,"endpoint":"echo"}'):
        request(why, text, 7, also=["protocol_error"])
    for name in ("a", "A.b_c/d-9", "...", "/", "-", "x" * 128, "$/ping", "$/health", "$/endpoints",
                 "$/unknown"):
        request("endpoint " + name[:20], '{"endpoint":"%s"}' % name)
    for value in ("1", "2147483648"):
        request("deadline_ms " + value, '{"endpoint":"echo","deadline_ms":%s}' % value)
    request("notify false", '{"endpoint":"echo","notify":false}')
    request("notify false with an id", '{"id":7,"endpoint":"echo","notify":false}', 7)
    request("an endpoint of 128 bytes after $/", '{"endpoint":"$/%s"}' % ("x" * 128))
    request("content with duplicates is the application's",
            '{"endpoint":"echo","content":{"a":1,"a":2}}')
    request("content nested 64 deep with its object",
            '{"endpoint":"echo","content":%s}' % nested(63))
    request("half a surrogate pair in content need not be looked for",
            '{"endpoint":"echo","content":"\\ud800"}',
            also=["protocol_error"])
    request("numbers that fit nowhere, in content",
            '{"endpoint":"echo","content":[1e999,%s,-0.0]}' % ("9" * 50))
    request("members of the server are unknown here",
            '{"endpoint":"echo","more":1,"error":{"a":1,"a":1},"draining":0}')
    request("an id that was in use and is free", '{"id":7,"endpoint":"echo"}', 7, in_use=[6, 8])

    for why, text in bad_json(echo):
        broken(why, text)
    for text in ("null", "[]", "[%s]" % echo, '"echo"', "1", "true"):
        broken("no object: " + text[:12], text)
    for value in ("0", "9007199254740992", "18446744073709551617", "-1", "-0", "1.0", "1e0", "01",
                  '"7"', "null", "true",
                  "[7]", "{}"):
        broken("id is " + value, '{"id":%s,"endpoint":"echo"}' % value)
    broken("an invalid id in a cancel", '{"id":0,"cancel":true}')
    broken("an invalid id in a notification", '{"id":"x","endpoint":"log","notify":true}')
    broken("an invalid id comes before a close", '{"id":0,"close":{"code":"done"}}')
    broken("id twice", '{"id":7,"id":7,"endpoint":"echo"}')
    broken("endpoint twice", '{"endpoint":"echo","endpoint":"echo"}')
    broken("content twice", '{"endpoint":"echo","content":1,"content":1}')
    broken("content twice, hidden by an escape",
           '{"endpoint":"echo","content":1,"c\\u006fntent":1}')
    broken("content nested too deep", '{"endpoint":"echo","content":%s}' % nested(64))
    broken("content that is no JSON", '{"endpoint":"echo","content":[01]}')
    broken("content that is not UTF-8", b'{"endpoint":"echo","content":"\xff"}')
    broken("half a surrogate pair in endpoint", '{"endpoint":"\\ud800"}')
    broken("an id in use", '{"id":7,"endpoint":"echo"}', in_use=[7])
    broken("an ordinal in use", echo, in_use=[5], count=4)
    broken("an id in use comes before other faults", '{"id":7,"endpoint":5}', in_use=[7])
    broken("an ordinal in use comes before other faults", '{"endpoint":5}', in_use=[1])

    case("notification", "a notification", '{"endpoint":"log","content":1,"notify":true}')
    case("notification", "a notification with a bad endpoint is not answered either",
         '{"endpoint":5,"notify":true}')
    case("notification", "a notification without endpoint is not answered either",
         '{"notify":true}')
    case("notification", "a notification with cancel is not answered either",
         '{"notify":true,"cancel":true}')
    case("notification", "a notification with a bad deadline is not answered either",
         '{"endpoint":"log","notify":true,"deadline_ms":"x"}')
    case("notification", "it is not counted, so no ordinal can be in use",
         '{"endpoint":"log","notify":true}', in_use=[1])
    case("cancel", "a cancel", '{"id":7,"cancel":true}', 7, in_use=[7])
    case("cancel", "a cancel of an unknown id", '{"id":8,"cancel":true}', 8, in_use=[7])
    case("cancel", "a cancel with other members but no endpoint",
         '{"id":7,"cancel":true,"content":1,"deadline_ms":"x"}', 7,
         in_use=[7])
    case("cancel", "a cancel with notify", '{"id":7,"cancel":true,"notify":true}', 7, in_use=[7])
    for value in ('{"code":"done"}', '{"code":"done","message":"bye"}', '{"code":"tired"}',
                  '{"code":"done","x":{"a":1,"a":1}}'):
        case("close", "a close: " + value, '{"close":%s}' % value)
    for value in ("{}", "null", "5", '"done"', '{"code":5}', "[]"):
        case("close", "an object with close is a close: " + value, '{"close":%s}' % value)
    case("close", "a close with a request's members",
         '{"id":7,"endpoint":"echo","close":{"code":"done"}}')
    case("close", "a close with an id in use", '{"id":7,"close":{"code":"done"}}', in_use=[7])
    case("close", "a close with notify", '{"notify":true,"close":{"code":"done"}}')
    broken("close twice", '{"close":{"code":"done"},"close":{"code":"done"}}')
    broken("a duplicate inside close", '{"close":{"code":"done","code":"done"}}', also=["close"])

    for value in ("null", "5", "true", '["echo"]', '""', '"%s"' % ("x" * 129), '"a b"', '"é"',
                  '"$ping"', '"a$/b"', '"$/"',
                  '"$/$/a"', '"echo\\u0000"', '"a:b"', '"echo\\n"', '"*"', '"$"'):
        invalid("endpoint is " + value[:20], '{"endpoint":%s}' % value)
    invalid("a bad endpoint with an id", '{"id":7,"endpoint":""}', 7)
    invalid("a bad endpoint, counted", '{"endpoint":""}', 10, count=9)
    invalid("no endpoint", '{"content":1}')
    invalid("an empty object", "{}")
    invalid("an id alone", '{"id":7}', 7)
    invalid("an id in use and other faults are told apart: not in use", '{"id":7,"endpoint":5}', 7,
            in_use=[8])
    for value in ("0", "2147483649", "1.5", "2e3", '"5"', "null", "-1", "true",
                  "18446744073709551617"):
        invalid("deadline_ms is " + value, '{"endpoint":"echo","deadline_ms":%s}' % value)
    invalid("cancel with endpoint", '{"id":7,"endpoint":"echo","cancel":true}', 7)
    invalid("cancel with endpoint, without id", '{"endpoint":"echo","cancel":true}')
    invalid("cancel false with endpoint", '{"endpoint":"echo","cancel":false}', also=["request"])
    invalid("cancel without id", '{"cancel":true}')
    invalid("cancel false", '{"id":7,"cancel":false}', 7)
    invalid("cancel is 1", '{"id":7,"cancel":1}', 7)
    invalid("cancel is \"true\"", '{"id":7,"cancel":"true"}', 7)
    invalid("a cancel with an endpoint of the wrong type", '{"id":7,"cancel":true,"endpoint":null}',
            7)
    invalid("notify with an id", '{"id":7,"endpoint":"log","notify":true}', 7)
    invalid("an endpoint of 129 bytes after $/", '{"endpoint":"$/%s"}' % ("x" * 129))
    for value in ("1", '"true"', "null", "[]"):
        invalid("notify is " + value, '{"endpoint":"log","notify":%s}' % value)
    invalid("the shape of an answer", '{"id":7,"content":1}', 7)
    invalid("the shape of draining", '{"draining":{"reconnect_after_ms":1}}')
    return out


# ---------------------------------------------------------------- server to client, protocol 7

def server_cases():
    good = '{"id":7,"content":1}'
    out = []

    def case(expect, why, text, number=None, also=(), in_use=(7,)):
        out.append({"why": why, "in_use": list(in_use), "expect": expect,
                    **({} if number is None else {"id": number}),
                    **({"also": list(also)} if also else {}), "data": data_of(text)})

    def broken(why, text, **options):
        case("protocol_error", why, text, **options)

    case("answer", "an answer", good, 7)
    case("answer", "a missing content is null", '{"id":7}', 7)
    case("answer", "more is false", '{"id":7,"content":1,"more":false}', 7)
    case("answer", "the largest id", '{"id":9007199254740991,"content":1}', 9007199254740991,
         in_use=[9007199254740991])
    case("answer", "members of the client are unknown here",
         '{"id":7,"content":1,"endpoint":5,"notify":5,"cancel":5}', 7)
    case("answer", "duplicates inside content", '{"id":7,"content":{"a":1,"a":1}}', 7)
    for why, text in good_json(good):
        case("answer", why, text, 7)
    for why, text in open_json(good):
        case("answer", why, text, 7, also=["protocol_error"])
    case("part", "a part", '{"id":7,"content":1,"more":true}', 7)
    case("part", "a part without content", '{"id":7,"more":true}', 7)
    case("error", "an error", '{"id":7,"error":{"code":"not_found","message":"x"}}', 7)
    case("error", "an error of an application, with data",
         '{"id":7,"error":{"code":"billing.no_credit","data":{"a":1,"a":2}}}', 7)
    case("error", "an unknown code", '{"id":7,"error":{"code":"tired"}}', 7)
    case("error", "more false with an error", '{"id":7,"error":{"code":"internal"},"more":false}',
         7)
    case("draining", "draining", '{"draining":{"reconnect_after_ms":500}}')
    case("draining", "draining without a hint", '{"draining":{}}')
    case("close", "a close", '{"close":{"code":"done"}}')
    case("close", "a close with a hint",
         '{"close":{"code":"draining","reconnect_after_ms":500,"message":"x"}}')
    case("close", "an unknown close code", '{"close":{"code":"tired"}}')
    for value in ("{}", "null", "5", '{"code":5}'):
        case("close", "an object with close is a close: " + value, '{"close":%s}' % value)
    case("close", "a close with an id", '{"id":7,"close":{"code":"done"}}')
    case("ignored", "an id that is not in use", '{"id":8,"content":1}')
    case("ignored", "an error for an id that is not in use", '{"id":8,"error":{"code":"internal"}}')
    case("ignored", "a part for an id that is not in use", '{"id":8,"content":1,"more":true}')
    case("ignored", "none of the shapes", '{"hello":1}')
    case("ignored", "an empty object", "{}")
    case("ignored", "a request", '{"endpoint":"echo","content":1}')
    case("ignored", "an error without id", '{"error":{"code":"internal"}}')

    for why, text in bad_json(good):
        broken(why, text)
    for text in ("null", "[]", "[%s]" % good, '"x"', "7"):
        broken("no object: " + text[:12], text)
    for value in ("0", "9007199254740992", "18446744073709551623", "-7", "7.0", "7e0", "07", '"7"',
                  "null", "true"):
        broken("id is " + value, '{"id":%s,"content":1}' % value)
    broken("id twice", '{"id":7,"id":7}')
    broken("content twice", '{"id":7,"content":1,"content":2}')
    broken("a duplicate in an object that is none of the shapes", '{"x":1,"x":1}')
    broken("content that is no JSON", '{"id":7,"content":tru}')
    broken("content nested too deep", '{"id":7,"content":%s}' % nested(64))
    for value in ("null", '"internal"', "[]", "{}", '{"code":5}', '{"message":"x"}',
                  '{"code":"internal","message":5}',
                  '{"code":"internal","code":"internal"}', '{"code":"\\ud800"}'):
        broken("an error of another shape: " + value, '{"id":7,"error":%s}' % value)
    for value in ("1", '"true"', "null"):
        broken("more is " + value, '{"id":7,"content":1,"more":%s}' % value)
    broken("error together with content", '{"id":7,"content":1,"error":{"code":"internal"}}')
    broken("an error as a part", '{"id":7,"error":{"code":"internal"},"more":true}')
    for value in ("null", "5", "[]", '{"reconnect_after_ms":"5"}', '{"reconnect_after_ms":1.5}',
                  '{"reconnect_after_ms":1,"reconnect_after_ms":1}'):
        broken("draining is " + value, '{"draining":%s}' % value)
    broken("a duplicate inside close", '{"close":{"code":"done","code":"done"}}', also=["close"])
    return out


# ---------------------------------------------------------------- plaintexts, streams, trust

def plaintext_cases():
    def case(why, plaintext, body):
        return {"why": why, "plaintext": plaintext, "body": body}
    return [
        case("a keep-alive", "0000", ""), case("a keep-alive with padding", "0000ffff", ""),
        case("one byte", "000161", "61"), case("one byte and padding", "00016100ff", "61"),
        case("padding that looks like a frame", "0001610001", "61"),
        case("no byte", "", None), case("one byte only", "00", None),
        case("a body that is missing", "0001", None),
        case("a body one byte short", "000261", None), case("the largest length", "ffff61", None),
        case("the bytes swapped", "010061", None)]


def stream_cases():
    def case(why, bodies, messages, expect="ok", max_message=1024):
        return {"why": why, "max_message": max_message, "bodies": [b.hex() for b in bodies],
                "expect": expect,
                "messages": messages}
    one, two = peer.pack_messages(b'{"a":1}'), peer.pack_messages(b"{}", b"[]")
    full = b'"' + b"x" * 1022 + b'"'
    return [
        case("one message", [one], ['{"a":1}']),
        case("two messages in a record", [two], ["{}", "[]"]),
        case("byte by byte", [bytes([b]) for b in one], ['{"a":1}']),
        case("keep-alives inside a message", [one[:2], b"", one[2:5], b"", one[5:]], ['{"a":1}']),
        case("an end inside the next prefix", [two + one[:3], one[3:]], ["{}", "[]", '{"a":1}']),
        case("a message that is not complete", [one[:-1]], []),
        case("the largest message", [peer.pack_messages(full)], [full.decode()]),
        case("length 0", [bytes(4)], [], "protocol_error"),
        case("length 0 after a message", [one, bytes(4)], ['{"a":1}'], "protocol_error"),
        case("too long: known from the prefix alone", [peer.u32(1025)], [], "protocol_error"),
        case("too long: the prefix comes in two records", [b"\0\0", b"\4\1"], [], "protocol_error"),
        case("the largest length", [b"\xff\xff\xff\xff"], [], "protocol_error"),
        case("2^31", [b"\x80\0\0\0"], [], "protocol_error"),
        case("a larger limit", [peer.u32(1025)], [], "ok", 1025)]


def trust_cases():
    """Keys A25519 and A448 are one server's, B25519 another's; see the table of protocol 4."""
    def case(expect, why, shown="A25519", pinned=(), given=None, policy="strict"):
        return {"why": why, "pinned": list(pinned), "given": given, "policy": policy,
                "shown": shown, "expect": expect}
    both = ("A25519", "A448")
    return [
        case("pin", "nothing pinned, the fingerprint fits", given="A25519"),
        case("pin", "the same, whatever the policy", given="A25519", policy="accept-new"),
        case("key_mismatch", "nothing pinned, another fingerprint", given="B25519"),
        case("key_mismatch", "a fingerprint comes before accept-new", given="B25519",
             policy="accept-new"),
        case("key_mismatch", "the fingerprint of the other curve's key", given="A448"),
        case("pin", "nothing pinned, accept-new", policy="accept-new"),
        case("pin", "the same on 448", shown="A448", policy="accept-new"),
        case("key_unknown", "nothing pinned, strict"),
        case("go on", "the pinned key", pinned=["A25519"]),
        case("go on", "the pinned key, accept-new", pinned=["A25519"], policy="accept-new"),
        case("go on", "the pinned key of two", shown="A448", pinned=both),
        case("key_mismatch", "another key than the pinned", shown="B25519", pinned=["A25519"]),
        case("key_mismatch", "another key, accept-new does not help", shown="B25519",
             pinned=["A25519"], policy="accept-new"),
        case("key_mismatch", "another key, its fingerprint does not help", shown="B25519",
             pinned=["A25519"], given="B25519"),
        case("key_unknown", "only the other curve's key is pinned", shown="A448",
             pinned=["A25519"]),
        case("key_unknown", "only the other curve's key, accept-new", shown="A448",
             pinned=["A25519"], policy="accept-new"),
        case("key_unknown", "only the other curve's key, with a fingerprint", shown="A448",
             pinned=["A25519"], given="A448"),
        case("go on", "pin and fingerprint agree", pinned=["A25519"], given="A25519"),
        case("key_mismatch", "pin and fingerprint disagree", pinned=["A25519"], given="B25519")]


# ---------------------------------------------------------------- first frames, protocol 2 and 3

def first_frame_cases():
    """What a server without gate does with the first bytes of a connection: "wait" for more,
    "close" without a word, "refuse" with a code, or "message 2"."""
    out = []

    def case(expect, why, data, code=None):
        out.append({"why": why, "expect": expect, **({"code": code} if code else {}),
                    "bytes": data.hex()})

    def xx(curve="25519", version=1):
        return b'{"sotto":%d,"pattern":"XX","curve":"%s","cipher":"AESGCM"}' % (version,
                                                                                curve.encode())

    e = {c: peer.key_pair(c, bytes(range(1, 1 + peer.DHLEN[c]))).public for c in peer.CURVES}
    good = peer.handshake_frame(xx(), e["25519"])
    case("message 2", "a good message 1 of XX on 25519", good)
    case("message 2", "a good message 1 of XX on 448", peer.handshake_frame(xx("448"), e["448"]))
    case("wait", "nothing yet", b"")
    case("wait", "half a length", good[:1])
    case("wait", "the frame but its last byte", good[:-1])
    case("wait", "the largest lengths, no byte of the message",
         peer.u16(1024) + b"x" * 1024 + peer.u16(2048))
    case("close", "negotiation_len 1025, before its bytes", peer.u16(1025))
    case("close", "negotiation_len 65535", b"\xff\xff")
    case("close", "a TLS client", bytes.fromhex("1603010200010001fc0303"))
    case("close", "an HTTP client", b"GET / HTTP/1.1\r\n\r\n")
    case("close", "noise_len 2049, before its bytes", peer.u16(len(xx())) + xx() + peer.u16(2049))
    case("close", "noise_len 2049 after a bad negotiation", peer.u16(1) + b"x" + peer.u16(2049))
    for size in (0, 1, 31, 33, 50, 56):
        case("close", "message 1 of %d bytes on 25519" % size,
             peer.handshake_frame(xx(), bytes(size)))
    for size in (32, 55, 57, 74):
        case("close", "message 1 of %d bytes on 448" % size,
             peer.handshake_frame(xx("448"), bytes(size)))
    for curve in peer.CURVES:
        for name, raw in low_order(curve):
            case("close", "the ephemeral key is a low-order point of %s: %s" % (curve, name),
                 peer.handshake_frame(xx(curve), raw))
    case("refuse", "no negotiation", peer.handshake_frame(b"", e["25519"]), "malformed")
    case("refuse", "nothing but lengths", bytes(4), "malformed")
    for size in (0, 1, 2048):
        case("refuse", "a refusal comes before the length of %d is judged" % size,
             peer.handshake_frame(xx(version=2), bytes(size)), "unsupported_version")
    case("wait", "a refusal comes after the whole frame",
         peer.handshake_frame(xx(version=2), bytes(32))[:-1])
    return out
