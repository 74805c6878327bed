"""Reads messages with Python's email package, policy.strict: a defect anywhere is an answer, not an exception."""
import hashlib, json, sys
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import getaddresses

def walk(message):
    for part in message.walk():
        for name, value in part.items():
            for defect in getattr(value, "defects", ()):
                yield f"{name}: {type(defect).__name__}: {defect}"
        for defect in part.defects:
            yield f"{part.get_content_type()}: {type(defect).__name__}: {defect}"

def read(path):
    raw = open(path, "rb").read()
    message = message_from_bytes(raw, policy=policy.strict)
    parts = []
    for part in message.walk():
        if part.is_multipart():
            continue
        kind, content = part.get_content_type(), part.get_payload(decode=True)
        text = part.get_content() if kind.startswith("text/") and not part.get_filename() else ""
        parts.append({
            "type": kind,
            "name": part.get_filename() or "",
            "disposition": part.get_content_disposition() or "",
            "sha256": hashlib.sha256(content).hexdigest(),
            "text": hashlib.sha256(text.replace("\r\n", "\n").rstrip("\n").encode("utf-8", "surrogatepass")).hexdigest() if text else "",
        })
    # By the older reader: the newer one, up to 3.11 at least, keeps the space between two encoded words of a name.
    plain = message_from_bytes(raw, policy=policy.compat32)
    def people(field):
        lines = " ".join((plain[field] or "").splitlines())
        found = [] if lines == "undisclosed-recipients:;" else getaddresses([lines] if lines else [])
        return [[str(make_header(decode_header(name))), address] for name, address in found]
    return {
        "defects": list(walk(message)),
        "subject": message["Subject"],
        "from": people("From"), "to": people("To"), "cc": people("Cc"), "replyTo": people("Reply-To"),
        "parts": parts,
    }

json.dump([read(path) for path in sys.argv[1:]], sys.stdout)
