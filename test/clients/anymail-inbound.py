"""Anymail's view of Postmark's inbound webhook: is posted what stands in standard input, and says what it understood, as JSON."""
import base64
import json
import sys

import django
from django.conf import settings

settings.configure(
    ANYMAIL={"WEBHOOK_SECRET": "user:password"},
    INSTALLED_APPS=["anymail"],
    ROOT_URLCONF="anymail.urls",
    ALLOWED_HOSTS=["testserver"],
    SECRET_KEY="for a test",
    USE_TZ=True,
)
django.setup()

from anymail.signals import inbound  # noqa: E402
from django.test import Client  # noqa: E402

seen = []


def received(sender, event, esp_name, **kwargs):
    message = event.message
    seen.append(
        {
            "esp": esp_name,
            "id": event.event_id,
            "from": [message.from_email.display_name, message.from_email.addr_spec],
            "to": [[a.display_name, a.addr_spec] for a in message.to],
            # Anymail makes an empty field of no recipients, and cannot read it then.
            "cc": [[a.display_name, a.addr_spec] for a in message.cc] if message["Cc"] else [],
            "subject": message.subject,
            "date": message.date and message.date.isoformat(),
            "text": message.text,
            "html": message.html,
            "stripped": message.stripped_text,
            "envelopeSender": message.envelope_sender,
            "envelopeRecipient": message.envelope_recipient,
            "isSpam": message.spam_detected,
            "spamScore": message.spam_score,
            "results": message.get_all("Authentication-Results"),
            "attachments": [
                {"name": a.get_filename(), "type": a.get_content_type(), "content": base64.b64encode(a.get_content_bytes()).decode()}
                for a in message.attachments
            ],
            "inline": {cid: a.get_content_type() for cid, a in message.inline_attachments.items()},
        }
    )


inbound.connect(received, weak=False)
credentials = base64.b64encode(b"user:password").decode()
response = Client().post(
    "/postmark/inbound/",
    data=sys.stdin.read(),
    content_type="application/json",
    HTTP_AUTHORIZATION="Basic " + credentials,
)
print(json.dumps({"status": response.status_code, "seen": seen}))
