"""Anymail's views for Postmark's webhooks, served by Django: says what it understood of each call, a line of JSON each."""
import json
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    ANYMAIL={"WEBHOOK_SECRET": "user:pass"},
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)
django.setup()

from anymail.signals import inbound, tracking  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [path("anymail/", include("anymail.urls"))]


def say(**of):
    print(json.dumps(of, default=str), flush=True)


def on_tracking(sender, event, esp_name, **kwargs):
    say(
        esp=esp_name,
        type=event.event_type,
        recipient=event.recipient,
        message=event.message_id,
        id=event.event_id,
        timestamp=event.timestamp.isoformat(),
        reason=event.reject_reason,
        reply=event.mta_response,
        tags=event.tags,
        metadata=event.metadata,
        agent=event.user_agent,
        url=event.click_url,
    )


def on_inbound(sender, event, esp_name, **kwargs):
    message = event.message
    say(
        esp=esp_name,
        type=event.event_type,
        id=event.event_id,
        sender=str(message.from_email),
        envelope_sender=message.envelope_sender,
        envelope_recipient=message.envelope_recipient,
        to=[str(to) for to in message.to],
        subject=message.subject,
        text=message.text,
        html=message.html,
        stripped=message.stripped_text,
        date=message.date,
        spam=[message.spam_detected, message.spam_score],
        attachments=[[a.get_filename(), a.get_content_type(), len(a.get_content_bytes())] for a in message.attachments],
    )


tracking.connect(on_tracking)
inbound.connect(on_inbound)


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
say(port=server.server_port)
server.serve_forever()
