"""Anymail's Postmark backend for Django against the local system: sends and says what it understood, as JSON."""
import json
import os

import django
from django.conf import settings

settings.configure(
    EMAIL_BACKEND="anymail.backends.postmark.EmailBackend",
    ANYMAIL={"POSTMARK_SERVER_TOKEN": os.environ["SERVER_TOKEN"], "POSTMARK_API_URL": os.environ["API_URL"]},
    DEFAULT_FROM_EMAIL=os.environ["FROM"],
    USE_TZ=True,
)
django.setup()

from django.core.mail import EmailMultiAlternatives  # noqa: E402
from anymail.exceptions import AnymailRecipientsRefused  # noqa: E402


def message(to, **kwargs):
    return EmailMultiAlternatives("From Django", "Hello from Anymail", None, to, **kwargs)


def statuses(sent):
    return {email: status.status for email, status in sent.anymail_status.recipients.items()}


seen = {}

one = message(["Ann <ann@customer.test>"], cc=["bob@customer.test"])
one.attach_alternative("<p>Hello from <b>Anymail</b></p>", "text/html")
one.attach("note.txt", b"a note", "text/plain")
one.tags = ["django"]
one.metadata = {"order": 2}
one.send()
seen["id"] = one.anymail_status.recipients["ann@customer.test"].message_id
seen["sent"] = statuses(one)

merged = message(["one@merge.test", "two@merge.test"])
merged.merge_data = {"one@merge.test": {"name": "One"}, "two@merge.test": {"name": "Two"}}
merged.merge_global_data = {"place": "here"}
merged.template_id = os.environ["TEMPLATE"]
merged.subject = ""
merged.body = ""
merged.send()
seen["merged"] = statuses(merged)

half = message(["fine@customer.test", "suppressed@customer.test"])
half.send()
seen["half"] = statuses(half)

refused = message(["suppressed@customer.test"])
try:
    refused.send()
except AnymailRecipientsRefused:
    seen["refused"] = statuses(refused)

invalid = message(["nobody@localhost"])
try:
    invalid.send()
except AnymailRecipientsRefused:
    seen["invalid"] = statuses(invalid)

print(json.dumps(seen))
